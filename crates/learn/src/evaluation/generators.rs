//! The track of the generators: those that the model knows by name, and those that it doesn't.

use std::collections::BTreeSet;

use serde::Serialize;

use super::examination::Judged;
use domain::judge::UNKNOWN;
use domain::{Decision, Generator};
use figures::{Bootstrap, Confusion, Figures, Naming};
use labels::annotations::Annotation;

/// Synthetic images whose generator the model knows, whatever it thinks of their origin.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GeneratorTrack {
    /// `generator_top1` and `generator_macro_f1` by families; `specific_top1` and `specific_macro_f1` by generators, where
    /// the model tells them apart; `known_called_unknown`.
    #[serde(flatten)]
    pub figures: Figures,
    pub families: Option<Confusion>,
    pub generators: Option<Confusion>,
}

/// Synthetic images whose generator is none of the model's.
#[derive(Clone, Debug, Serialize)]
pub struct Unseen {
    pub images: usize,
    pub labels: BTreeSet<String>,
    /// Of all: `called_synthetic`, `called_uncertain`, `called_real`, `synthetic_or_uncertain`. Of those called synthetic:
    /// `named_unknown`, and `not_misnamed`, which no known generator's name is given to.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What the model was made to name.
pub(super) struct Known<'a>(pub &'a [Generator]);

impl Known<'_> {
    /// The generator's place among the labels: itself, or its family where the model names families.
    pub(super) fn place(&self, generator: &Generator) -> Option<usize> {
        let named = |name: &str| self.0.iter().position(|known| known.label == name);
        named(&generator.label).or_else(|| named(&generator.family))
    }

    fn families(&self) -> Vec<String> {
        let mut families: Vec<String> = Vec::new();
        for generator in self.0 {
            if !families.contains(&generator.family) {
                families.push(generator.family.clone());
            }
        }
        families
    }

    /// Whether it tells apart generators of a family.
    fn is_specific(&self) -> bool {
        self.0.iter().any(|generator| generator.label != generator.family)
    }

    pub(super) fn family(&self, place: usize, families: &[String]) -> usize {
        families.iter().position(|family| *family == self.0[place].family).unwrap_or_default()
    }

    /// The family that has most of the probability.
    fn likeliest_family(&self, probabilities: &[f32], families: &[String]) -> usize {
        let mut sums = vec![0.0; families.len()];
        for (place, probability) in probabilities.iter().enumerate().take(self.0.len()) {
            sums[self.family(place, families)] += probability;
        }
        largest(&sums)
    }
}

/// The first of the largest.
fn largest(values: &[f32]) -> usize {
    (0..values.len()).fold(0, |best, place| if values[place] > values[best] { place } else { best })
}

pub(super) fn track(
    known: &Known<'_>,
    annotations: &[Annotation],
    judged: &[&Judged],
    bootstrap: &Bootstrap,
) -> GeneratorTrack {
    let families = known.families();
    let labels: Vec<String> = known.0.iter().map(|generator| generator.label.clone()).collect();
    let (mut by_family, mut by_label, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for judged in judged.iter().filter(|judged| !judged.generators.is_empty()) {
        let Some(generator) = &annotations[judged.image].generator else { continue };
        let Some(truth) = known.place(generator) else { continue };
        let likeliest = known.likeliest_family(&judged.generators, &families);
        let image = judged.image;
        by_family.push(Naming { image, truth: known.family(truth, &families), named: likeliest });
        if known.is_specific() && labels[truth] == generator.label {
            by_label.push(Naming { image, truth, named: largest(&judged.generators) });
        }
        if judged.decision == Decision::Synthetic {
            named.push((image, judged.named.as_deref() == Some(UNKNOWN)));
        }
    }
    let names = ["generator_top1", "generator_macro_f1", "specific_top1", "specific_macro_f1", "known_called_unknown"];
    let images: Vec<usize> = by_family.iter().map(|naming| naming.image).collect();
    let figures = bootstrap.figures(&names, &images, |weights| {
        let (families, generators) =
            (Confusion::of(&families, &by_family, weights), Confusion::of(&labels, &by_label, weights));
        let unknown = share(&named, weights, |unknown| *unknown);
        vec![families.top1(), families.macro_f1(), generators.top1(), generators.macro_f1(), unknown]
    });
    let even = even(&images);
    let table =
        |labels: &[String], namings: &[Naming]| (!namings.is_empty()).then(|| Confusion::of(labels, namings, &even));
    GeneratorTrack { figures, families: table(&families, &by_family), generators: table(&labels, &by_label) }
}

pub(super) fn unseen(
    known: &Known<'_>,
    annotations: &[Annotation],
    judged: &[&Judged],
    bootstrap: &Bootstrap,
) -> Option<Unseen> {
    if known.0.is_empty() {
        return None;
    }
    let unseen: Vec<(usize, (&Judged, &Generator))> = judged
        .iter()
        .filter_map(|judged| Some((*judged, annotations[judged.image].generator.as_ref()?)))
        .filter(|(_, generator)| known.place(generator).is_none())
        .map(|(judged, generator)| (judged.image, (judged, generator)))
        .collect();
    let images: BTreeSet<usize> = unseen.iter().map(|(image, _)| *image).collect();
    let names = [
        "called_synthetic",
        "called_uncertain",
        "called_real",
        "synthetic_or_uncertain",
        "named_unknown",
        "not_misnamed",
    ];
    let decided = |decision: Decision| move |found: &(&Judged, &Generator)| found.0.decision == decision;
    let accused: Vec<_> = unseen.iter().filter(|(_, found)| decided(Decision::Synthetic)(found)).copied().collect();
    let is_unknown = |found: &(&Judged, &Generator)| found.0.named.as_deref() == Some(UNKNOWN);
    let figures = bootstrap.figures(&names, &images.iter().copied().collect::<Vec<_>>(), |weights| {
        vec![
            share(&unseen, weights, decided(Decision::Synthetic)),
            share(&unseen, weights, decided(Decision::Uncertain)),
            share(&unseen, weights, decided(Decision::Real)),
            share(&unseen, weights, |found| found.0.decision != Decision::Real),
            share(&accused, weights, is_unknown),
            share(&accused, weights, |found| found.0.named.is_none() || is_unknown(found)),
        ]
    });
    let labels = unseen.iter().map(|(_, (_, generator))| generator.label.clone()).collect();
    (!unseen.is_empty()).then_some(Unseen { images: images.len(), labels, figures })
}

/// Share, by weight, of those of which something is true.
fn share<T>(items: &[(usize, T)], weights: &[f64], is_true: impl Fn(&T) -> bool) -> Option<f64> {
    let all: f64 = items.iter().map(|(image, _)| weights[*image]).sum();
    let part: f64 = items.iter().filter(|(_, item)| is_true(item)).map(|(image, _)| weights[*image]).sum();
    figures::share(part, all)
}

/// A weight of one for each of these images.
fn even(images: &[usize]) -> Vec<f64> {
    vec![1.0; images.iter().max().map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::LabelledOrigin;

    fn generator(label: &str, family: &str) -> Generator {
        Generator { label: label.into(), family: family.into() }
    }

    fn made_by(generator: Option<Generator>) -> Annotation {
        let origin = if generator.is_some() { LabelledOrigin::Synthetic } else { LabelledOrigin::Real };
        Annotation { path: "a.png".into(), origin, content_type: "photos".into(), generator, source: String::new() }
    }

    fn judged(image: usize, decision: Decision, generators: [f32; 3], named: Option<&str>) -> Judged {
        Judged {
            image,
            condition: 0,
            logit: 0.0,
            probability: 0.5,
            decision,
            generators: generators.into(),
            named: named.map(String::from),
        }
    }

    const PLAIN: Bootstrap = Bootstrap { rounds: 0, seed: 0 };

    #[test]
    fn a_family_is_named_by_the_sum_of_its_generators() {
        let labels = [generator("progan", "gan"), generator("stylegan3", "gan"), generator("midjourney", "midjourney")];
        let images = [
            made_by(Some(labels[0].clone())),
            made_by(Some(labels[1].clone())),
            made_by(Some(labels[2].clone())),
            made_by(None),
            made_by(Some(generator("flux", "other"))),
        ];
        // Midjourney is the likeliest generator of the first image, but the two GANs together are likelier.
        let answers = [
            judged(0, Decision::Synthetic, [0.3, 0.3, 0.4], Some("midjourney")),
            judged(1, Decision::Real, [0.2, 0.7, 0.1], None),
            judged(2, Decision::Synthetic, [0.5, 0.2, 0.3], Some(UNKNOWN)),
            judged(3, Decision::Synthetic, [0.5, 0.2, 0.3], Some("progan")),
            judged(4, Decision::Synthetic, [0.5, 0.2, 0.3], Some("progan")),
        ];
        let found = track(&Known(&labels), &images, &answers.iter().collect::<Vec<_>>(), &PLAIN);
        assert_eq!(found.figures.get("generator_top1").value, Some(2.0 / 3.0));
        assert_eq!(found.figures.get("specific_top1").value, Some(1.0 / 3.0));
        // Of the two known ones that are called synthetic.
        assert_eq!(found.figures.get("known_called_unknown").value, Some(0.5));
        assert_eq!(found.families.unwrap().counts, [[2.0, 0.0], [1.0, 0.0]]);
        assert_eq!(found.generators.unwrap().counts[0], [0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_model_that_names_families_knows_all_their_generators() {
        let labels = [generator("gan", "gan"), generator("midjourney", "midjourney"), generator("sd", "sd")];
        let images = [made_by(Some(generator("progan", "gan"))), made_by(Some(generator("flux", "other")))];
        let answers = [
            judged(0, Decision::Synthetic, [0.6, 0.3, 0.1], Some("gan")),
            judged(1, Decision::Synthetic, [0.6, 0.3, 0.1], Some("gan")),
        ];
        let answers: Vec<&Judged> = answers.iter().collect();
        let found = track(&Known(&labels), &images, &answers, &PLAIN);
        assert_eq!(found.figures.get("generator_top1").value, Some(1.0));
        assert_eq!((found.generators, found.figures.get("specific_top1").value), (None, None));
        assert_eq!(unseen(&Known(&labels), &images, &answers, &PLAIN).unwrap().labels, BTreeSet::from(["flux".into()]));
    }

    #[test]
    fn strangers_are_counted_by_what_they_are_called() {
        let labels = [generator("gan", "gan"), generator("b", "b"), generator("c", "c")];
        let stranger = || made_by(Some(generator("flux", "other")));
        let images = [stranger(), stranger(), stranger(), stranger(), stranger()];
        let none = [0.0; 3];
        let answers = [
            judged(0, Decision::Synthetic, none, Some(UNKNOWN)),
            judged(1, Decision::Synthetic, none, Some("gan")),
            judged(2, Decision::Synthetic, none, None),
            judged(3, Decision::Uncertain, none, None),
            judged(4, Decision::Real, none, None),
        ];
        let found = unseen(&Known(&labels), &images, &answers.iter().collect::<Vec<_>>(), &PLAIN).unwrap();
        let figure = |name| found.figures.get(name).value.unwrap();
        assert_eq!((found.images, figure("synthetic_or_uncertain"), figure("called_synthetic")), (5, 0.8, 0.6));
        assert_eq!((figure("called_uncertain"), figure("called_real")), (0.2, 0.2));
        assert!(
            (figure("named_unknown") - 1.0 / 3.0).abs() < 1e-12 && (figure("not_misnamed") - 2.0 / 3.0).abs() < 1e-12
        );
        assert!(unseen(&Known(&[]), &images, &[], &PLAIN).is_none(), "a model that names nothing knows no strangers");
    }
}
