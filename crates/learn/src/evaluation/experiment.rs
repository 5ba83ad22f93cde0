//! The paper's experiments: detectors that are trained alike but for one thing, before the same test images.

use serde::Serialize;

use super::document::Evaluation;
use super::tracks::OriginTrack;
use crate::augment::Rng;
use domain::LabelledOrigin;
use figures::Figure;
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
}

/// One detector of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Also the name of its folder.
    pub name: String,
    /// Places of the annotations that it is trained on.
    pub train: Vec<usize>,
    /// Instead of the recipe's, where that is what is compared.
    pub objective: Option<&'static str>,
}

impl Experiment {
    pub fn as_str(self) -> &'static str {
        match self {
            Experiment::ContentBias => "content-bias",
            Experiment::Losses => "losses",
            Experiment::UnseenGenerator => "unseen-generator",
        }
    }

    pub fn question(self) -> &'static str {
        match self {
            Experiment::ContentBias => "Does a detector that saw one type of content judge the others?",
            Experiment::Losses => "Which loss teaches the encoder best?",
            Experiment::UnseenGenerator => "What becomes of a generator that was never seen?",
        }
    }

    /// What is to be trained for it on these annotations. The first is what the others are compared with.
    pub fn variants(self, annotations: &[Annotation], seed: u64) -> Vec<Variant> {
        let all: Vec<usize> = (0..annotations.len()).collect();
        let of = |name: &str, train: Vec<usize>| Variant { name: name.into(), train, objective: None };
        match self {
            Experiment::ContentBias => content_types(annotations, seed, &of("all", all)),
            Experiment::Losses => ["selfcon", "supcon", "cross-entropy"]
                .map(|objective| Variant { objective: Some(objective), ..of(objective, all.clone()) })
                .to_vec(),
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
        }
    }
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
        .map(|content_type| Variant {
            name: format!("only-{content_type}"),
            train: only(content_type),
            objective: None,
        })
        .filter(|variant| has_both(&variant.train))
        .collect();
    let most = single.iter().map(|variant| variant.train.len()).max().unwrap_or_default();
    // Else more images would be taken for better ones.
    let mut dice = Rng::of(seed, &[b"content-bias"]);
    let mut mixed = all.train.clone();
    for place in 0..most.min(mixed.len()) {
        let other = place + dice.below(mixed.len() - place);
        mixed.swap(place, other);
    }
    mixed.truncate(most);
    mixed.sort_unstable();
    let mixed = Variant { name: "mixed".into(), train: mixed, objective: None };
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

    fn named(variants: &[Variant]) -> Vec<&str> {
        variants.iter().map(|variant| variant.name.as_str()).collect()
    }

    #[test]
    fn content_bias_trains_on_each_type_that_has_both_classes_and_on_as_many_of_all() {
        let variants = Experiment::ContentBias.variants(&images(), 1);
        assert_eq!(named(&variants), ["all", "mixed", "only-faces", "only-photos"]);
        assert_eq!(variants[1].train.len(), 3);
        assert_eq!((&variants[2].train[..], &variants[3].train[..]), (&[3, 4][..], &[0, 1, 2][..]));
        assert_eq!(variants, Experiment::ContentBias.variants(&images(), 1));
    }

    #[test]
    fn each_generator_is_left_out_once() {
        let variants = Experiment::UnseenGenerator.variants(&images(), 0);
        assert_eq!(named(&variants), ["all", "without-progan", "without-stylegan3"]);
        assert_eq!((variants[0].train.len(), &variants[2].train[..]), (6, &[0, 1, 3, 5][..]));
    }

    #[test]
    fn losses_differ_in_nothing_else() {
        let variants = Experiment::Losses.variants(&images(), 0);
        assert_eq!(named(&variants), ["selfcon", "supcon", "cross-entropy"]);
        assert!(
            variants.iter().all(|variant| variant.train.len() == 6 && variant.objective == Some(variant.name.as_str()))
        );
    }
}
