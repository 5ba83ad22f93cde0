//! The paper's experiments: detectors that are trained alike but for one thing, before the same test images.

use serde::Serialize;

use time::Date;

use super::document::Evaluation;
use super::tracks::OriginTrack;
use augment::{Augmentation, Rng};
use domain::{Generator, LabelledOrigin};
use figures::Figure;
use labels::Vocabulary;
use labels::annotations::Annotation;

/// Which question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Experiment {
    /// Does a detector that saw one type of content judge the others?
    ContentBias,
    /// Which loss teaches the encoder best?
    Losses,
    /// What becomes of a generator that the detector has never seen?
    UnseenGenerator,
    /// Do open generators teach what proprietary ones look like, and the reverse?
    Proprietary,
    /// What is each part of the augmentation worth?
    Augmentation,
    /// Do the generators of before a day teach what those after it look like?
    Temporal { before: Date },
}

/// What detectors are trained with.
pub struct Material<'a> {
    pub annotations: &'a [Annotation],
    pub vocabulary: &'a Vocabulary,
    pub augmentation: &'a Augmentation,
    pub seed: u64,
}

/// What is other in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its objective has this name.
    Objective(&'static str),
    /// This key of its augmentation is not there, or 0.
    Without(&'static str),
}

/// A key of an augmentation, and whether it is there.
type Part = (&'static str, fn(&Augmentation) -> bool);

/// Those that can be left out.
const PARTS: [Part; 9] = [
    ("history", |augmentation| augmentation.history.is_some()),
    ("scale", |augmentation| augmentation.scale.is_some()),
    ("social", |augmentation| augmentation.social > 0.0),
    ("degrade", |augmentation| augmentation.degrade > 0.0),
    ("colour", |augmentation| augmentation.colour.is_some()),
    ("shuffle", |augmentation| augmentation.shuffle.is_some()),
    ("mask", |augmentation| augmentation.mask.is_some()),
    ("turn", |augmentation| augmentation.turn > 0.0),
    ("flip", |augmentation| augmentation.flip > 0.0),
];

/// One detector of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Also the name of its folder.
    pub name: String,
    /// Places of the annotations that it is trained on.
    pub train: Vec<usize>,
    /// Of the recipe, where that is what is compared.
    pub change: Option<Change>,
}

impl Experiment {
    pub fn as_str(self) -> &'static str {
        match self {
            Experiment::ContentBias => "content-bias",
            Experiment::Losses => "losses",
            Experiment::UnseenGenerator => "unseen-generator",
            Experiment::Proprietary => "proprietary",
            Experiment::Augmentation => "augmentation",
            Experiment::Temporal { .. } => "temporal",
        }
    }

    pub fn question(self) -> &'static str {
        match self {
            Experiment::ContentBias => "Does a detector that saw one type of content judge the others?",
            Experiment::Losses => "Which loss teaches the encoder best?",
            Experiment::UnseenGenerator => "What becomes of a generator that was never seen?",
            Experiment::Proprietary => "Do open generators teach what proprietary ones look like, and the reverse?",
            Experiment::Augmentation => "What is each part of the augmentation worth?",
            Experiment::Temporal { .. } => "Do the generators of before a day teach what those after it look like?",
        }
    }

    /// What is to be trained for it. The first is what the others are compared with. The error says what is missing for an answer.
    pub fn variants(self, material: &Material<'_>) -> Result<Vec<Variant>, String> {
        let Material { annotations, vocabulary, augmentation, seed } = *material;
        let all: Vec<usize> = (0..annotations.len()).collect();
        let of = |name: &str, train: Vec<usize>| Variant { name: name.into(), train, change: None };
        let changed = |name: String, change| Variant { change: Some(change), ..of(&name, all.clone()) };
        Ok(match self {
            Experiment::ContentBias => content_types(annotations, seed, &of("all", all)),
            Experiment::Losses => ["selfcon", "supcon", "cross-entropy"]
                .map(|objective| changed(objective.into(), Change::Objective(objective)))
                .to_vec(),
            Experiment::Proprietary => {
                let names = ["open", "proprietary"];
                generators_apart(material, names, |made_by| Some(vocabulary.is_proprietary(made_by))).ok_or(
                    "the images show no proprietary generator, or no other; configs/labels.toml says which are",
                )?
            }
            Experiment::Temporal { before } => {
                let (old, new) = (format!("before-{before}"), format!("from-{before}"));
                generators_apart(material, [&old, &new], |made_by| Some(vocabulary.released(&made_by.label)? >= before))
                    .ok_or_else(|| {
                        format!(
                            "the images show no generator that was released before {before}, or none that was later; the labels file says \
                             when they were"
                        )
                    })?
            }
            Experiment::Augmentation => {
                let there = PARTS.iter().filter(|(_, is_there)| is_there(augmentation));
                let without = there.map(|&(name, _)| changed(format!("without-{name}"), Change::Without(name)));
                std::iter::once(of("all", all.clone())).chain(without).collect()
            }
            Experiment::UnseenGenerator => {
                let label = |place: &usize| annotations[*place].generator.as_ref().map(|made_by| &made_by.label);
                let mut labels: Vec<&String> = all.iter().filter_map(label).collect();
                labels.sort_unstable();
                labels.dedup();
                let without = |left_out: &&String| {
                    let train = all.iter().copied().filter(|place| label(place) != Some(left_out)).collect();
                    of(&format!("without-{left_out}"), train)
                };
                [of("all", all.clone())].into_iter().chain(labels.iter().map(without)).collect()
            }
        })
    }
}

/// Two kinds of generators, each with all real images: both, as many images of both as the smaller kind has, and each alone.
/// `is_second`: `None` for a generator that nobody can say it of. `None` where a kind is missing.
fn generators_apart(
    material: &Material<'_>,
    names: [&str; 2],
    is_second: impl Fn(&Generator) -> Option<bool>,
) -> Option<Vec<Variant>> {
    let places = 0..material.annotations.len();
    let real = |place: &usize| material.annotations[*place].origin == LabelledOrigin::Real;
    let real: Vec<usize> = places.clone().filter(real).collect();
    let kind = |place: &usize| is_second(material.annotations[*place].generator.as_ref()?);
    let [first, second] =
        [false, true].map(|wanted| places.clone().filter(|place| kind(place) == Some(wanted)).collect::<Vec<_>>());
    let least = first.len().min(second.len());
    if least == 0 {
        return None;
    }
    let with_real = |name: &str, synthetic: &[usize]| {
        let mut train = [&real, synthetic].concat();
        train.sort_unstable();
        Variant { name: name.into(), train, change: None }
    };
    let both = [first.as_slice(), &second].concat();
    // Else more images would be taken for better ones.
    let mixed = some_of(both.clone(), least, material.seed);
    let [first_name, second_name] = names;
    Some(vec![
        with_real("all", &both),
        with_real("mixed", &mixed),
        with_real(first_name, &first),
        with_real(second_name, &second),
    ])
}

/// So many of them, by chance, in their order.
fn some_of(mut places: Vec<usize>, count: usize, seed: u64) -> Vec<usize> {
    let mut rng = Rng::of(seed, &[b"content-bias"]);
    for place in 0..count.min(places.len()) {
        let other = place + rng.below(places.len() - place);
        places.swap(place, other);
    }
    places.truncate(count);
    places.sort_unstable();
    places
}

/// All images; as many of all types as the largest single type has; and each type that has both classes.
fn content_types(annotations: &[Annotation], seed: u64, all: &Variant) -> Vec<Variant> {
    let mut types: Vec<&str> = annotations.iter().map(|annotation| annotation.content_type.as_str()).collect();
    types.sort_unstable();
    types.dedup();
    let only = |content_type: &&str| -> Vec<usize> {
        (0..annotations.len()).filter(|place| annotations[*place].content_type == *content_type).collect()
    };
    let has_both = |places: &[usize]| {
        let has = |origin: LabelledOrigin| places.iter().any(|place| annotations[*place].origin == origin);
        has(LabelledOrigin::Real) && has(LabelledOrigin::Synthetic)
    };
    let single: Vec<Variant> = types
        .iter()
        .map(|content_type| Variant { name: format!("only-{content_type}"), train: only(content_type), change: None })
        .filter(|variant| has_both(&variant.train))
        .collect();
    let most = single.iter().map(|variant| variant.train.len()).max().unwrap_or_default();
    // Else more images would be taken for better ones.
    let mixed = Variant { name: "mixed".into(), train: some_of(all.train.clone(), most, seed), change: None };
    [all.clone(), mixed].into_iter().chain(single).collect()
}

/// The document `assay.experiment.v1`: what `assay experiment --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub schema: &'static str,
    pub experiment: &'static str,
    pub question: &'static str,
    pub architecture: String,
    pub recipe: String,
    /// What the cells of each variant are about: AUC of all, of each content type, of each generator against all real.
    pub columns: Vec<String>,
    pub variants: Vec<Measured>,
}

/// A variant, trained and measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub name: String,
    /// Images.
    pub trained_on: usize,
    pub cells: Vec<Cell>,
    pub evaluation: Evaluation,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cell {
    pub value: Option<f64>,
    pub interval: Option<[f64; 2]>,
}

impl Comparison {
    pub const SCHEMA: &'static str = "assay.experiment.v1";

    /// Of evaluations on the same images, each with its variant.
    pub fn of(
        experiment: Experiment,
        architecture: String,
        recipe: String,
        evaluations: Vec<(Variant, Evaluation)>,
    ) -> Comparison {
        let first = evaluations.first().map(|(_, evaluation)| evaluation);
        let names = |evaluation: &Evaluation| {
            let groups = evaluation.by_content_type.keys().chain(evaluation.by_generator.keys());
            std::iter::once("all".to_string()).chain(groups.cloned()).collect()
        };
        let columns = first.map(names).unwrap_or_default();
        let variants = evaluations.into_iter().map(|(variant, evaluation)| {
            let groups = evaluation.by_content_type.values().chain(evaluation.by_generator.values());
            let cell = |track: &OriginTrack| {
                let Figure { value, interval } = track.figures.get("auc");
                Cell { value, interval }
            };
            let cells = std::iter::once(&evaluation.origin).chain(groups).map(cell).collect();
            Measured { name: variant.name, trained_on: variant.train.len(), cells, evaluation }
        });
        Comparison {
            schema: Comparison::SCHEMA,
            experiment: experiment.as_str(),
            question: experiment.question(),
            architecture,
            recipe,
            columns,
            variants: variants.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Generator;

    fn image(content_type: &str, generator: Option<&str>) -> Annotation {
        let origin = if generator.is_some() { LabelledOrigin::Synthetic } else { LabelledOrigin::Real };
        let generator = generator.map(|label| Generator { label: label.into(), family: "gan".into() });
        Annotation { path: "a.png".into(), origin, content_type: content_type.into(), generator, source: String::new() }
    }

    fn images() -> Vec<Annotation> {
        vec![
            image("photos", None),
            image("photos", Some("progan")),
            image("photos", Some("stylegan3")),
            image("faces", None),
            image("faces", Some("stylegan3")),
            image("paintings", None),
        ]
    }

    fn variants_of(experiment: Experiment, annotations: &[Annotation]) -> Result<Vec<Variant>, String> {
        let vocabulary = Vocabulary::built_in();
        let augmentation = Augmentation { social: 0.5, turn: 0.0, ..Augmentation::default() };
        experiment.variants(&Material { annotations, vocabulary: &vocabulary, augmentation: &augmentation, seed: 1 })
    }

    fn named(variants: &[Variant]) -> Vec<&str> {
        variants.iter().map(|variant| variant.name.as_str()).collect()
    }

    #[test]
    fn content_bias_trains_on_each_type_that_has_both_classes_and_on_as_many_of_all() {
        let variants = variants_of(Experiment::ContentBias, &images()).unwrap();
        assert_eq!(named(&variants), ["all", "mixed", "only-faces", "only-photos"]);
        assert_eq!(variants[1].train.len(), 3);
        assert_eq!((&variants[2].train[..], &variants[3].train[..]), (&[3, 4][..], &[0, 1, 2][..]));
        assert_eq!(variants, variants_of(Experiment::ContentBias, &images()).unwrap());
    }

    #[test]
    fn each_generator_is_left_out_once() {
        let variants = variants_of(Experiment::UnseenGenerator, &images()).unwrap();
        assert_eq!(named(&variants), ["all", "without-progan", "without-stylegan3"]);
        assert_eq!((variants[0].train.len(), &variants[2].train[..]), (6, &[0, 1, 3, 5][..]));
    }

    #[test]
    fn losses_differ_in_nothing_else() {
        let variants = variants_of(Experiment::Losses, &images()).unwrap();
        assert_eq!(named(&variants), ["selfcon", "supcon", "cross-entropy"]);
        let changed = |variant: &Variant| match variant.change {
            Some(Change::Objective(name)) => name == variant.name,
            _ => false,
        };
        assert!(variants.iter().all(|variant| variant.train.len() == 6 && changed(variant)));
    }

    #[test]
    fn open_and_proprietary_generators_are_apart_each_with_all_real_images() {
        let mut all = images();
        assert!(variants_of(Experiment::Proprietary, &all).unwrap_err().contains("proprietary"));
        all.push(image("faces", Some("midjourney")));
        all.last_mut().unwrap().generator = Some(Generator { label: "midjourney".into(), family: "midjourney".into() });
        let found = variants_of(Experiment::Proprietary, &all).unwrap();
        assert_eq!(named(&found), ["all", "mixed", "open", "proprietary"]);
        assert_eq!((&found[2].train[..], &found[3].train[..]), (&[0, 1, 2, 3, 4, 5][..], &[0, 3, 5, 6][..]));
        assert_eq!(found[1].train.len(), 4);
    }

    #[test]
    fn generators_are_apart_by_the_day_of_their_release() {
        let on = |year| Date::from_ordinal_date(year, 1).unwrap();
        // ProGAN is of 2017, StyleGAN3 of 2021.
        let found = variants_of(Experiment::Temporal { before: on(2020) }, &images()).unwrap();
        assert_eq!(named(&found), ["all", "mixed", "before-2020-01-01", "from-2020-01-01"]);
        assert_eq!((&found[2].train[..], &found[3].train[..]), (&[0, 1, 3, 5][..], &[0, 2, 3, 4, 5][..]));
        assert!(variants_of(Experiment::Temporal { before: on(2010) }, &images()).unwrap_err().contains("2010-01-01"));
    }

    #[test]
    fn each_augmentation_that_the_recipe_has_is_left_out_once() {
        let found = variants_of(Experiment::Augmentation, &images()).unwrap();
        assert_eq!(named(&found), ["all", "without-social", "without-degrade", "without-flip"]);
        assert_eq!((found[0].change, found[1].change), (None, Some(Change::Without("social"))));
    }
}
