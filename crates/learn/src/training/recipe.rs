//! What a training does, as data: the files of `configs/recipes/`, and others like them.

use serde::{Deserialize, Serialize};

use super::classifiers;
use super::encoder::{self, TrainingError};
use super::novelty;
use crate::augment::Augmentation;

/// Recipes that are built in, by name.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("imaginet", include_str!("../../../../configs/recipes/imaginet.toml")),
    ("small-encoder", include_str!("../../../../configs/recipes/small-encoder.toml")),
    ("small", include_str!("../../../../configs/recipes/small.toml")),
    ("retrain", include_str!("../../../../configs/recipes/retrain.toml")),
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Of everything that is left to chance.
    #[serde(default)]
    pub seed: u64,
    pub classes: Classes,
    /// `None`: the encoder stays as it was given.
    pub encoder: Option<encoder::Plan>,
    #[serde(default)]
    pub augmentation: Augmentation,
    pub classifiers: classifiers::Plan,
    pub reading: Reading,
    /// `None`: no statistics of novelty.
    pub novelty: Option<novelty::Plan>,
}

/// What the generator classifier tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Classes {
    Families,
    Generators,
}

/// `[reading]` of a recipe: how scores become words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Share of images that are kept from training where no others are given, by the hash of their bytes; those that show the
    /// same thing together.
    pub held_out: f64,
    /// Where no others are given and the encoder stays as it is: nothing is held out, but each image is read by classifiers
    /// that learnt from the other parts of so many. 0 or 1 for a share that is held out.
    #[serde(default)]
    pub folds: usize,
    /// Share of synthetic images that scores are calibrated for; `None` for that of the held-out images.
    #[serde(default)]
    pub prior: Option<f64>,
    /// Share of real images that may be called synthetic.
    pub false_alarms: f64,
    /// Share of synthetic images that may be called real.
    pub misses: f64,
}

impl Recipe {
    /// The error is for a person.
    pub fn of_text(text: &str) -> Result<Recipe, String> {
        let recipe: Recipe = toml::from_str(text).map_err(|error| error.to_string())?;
        recipe.check()?;
        Ok(recipe)
    }

    /// One that is built in.
    pub fn named(name: &str) -> Result<Recipe, String> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        let names = || BUILT_IN.map(|(known, _)| known).join(", ");
        let (_, text) =
            found.ok_or_else(|| format!("{name:?} is no recipe: {} are, and so is a TOML file", names()))?;
        Recipe::of_text(text)
    }

    fn check(&self) -> Result<(), String> {
        self.augmentation.validate()?;
        if let Some(encoder) = &self.encoder {
            if encoder.epochs == 0 || encoder.batch < 2 {
                return Err(
                    "encoder.epochs must be at least 1 and encoder.batch 2; leave [encoder] out to keep it".into()
                );
            }
            if encoder.average.is_some_and(|decay| !(0.0..1.0).contains(&decay)) {
                return Err("encoder.average must be from 0 to below 1".into());
            }
        }
        let shares = [
            ("classifiers.dropout", self.classifiers.dropout),
            ("classifiers.smoothing", self.classifiers.smoothing),
            ("classifiers.social", self.classifiers.social),
            ("reading.held_out", self.reading.held_out),
            ("reading.false_alarms", self.reading.false_alarms),
            ("reading.misses", self.reading.misses),
            ("reading.prior", self.reading.prior.unwrap_or(0.5)),
        ];
        if let Some((name, share)) = shares.into_iter().find(|(_, share)| !(0.0..1.0).contains(share) && *share != 1.0)
        {
            return Err(format!("{name} = {share} must be a share from 0 to 1"));
        }
        if self.classifiers.dropout > 0.95 || self.reading.held_out > 0.9 {
            return Err(
                "classifiers.dropout above 0.95 or reading.held_out above 0.9 leaves nothing to learn from".into()
            );
        }
        if self.classifiers.views == 0 || self.classifiers.epochs == 0 {
            return Err("classifiers.views and classifiers.epochs must be at least 1".into());
        }
        if self.novelty.is_some_and(|plan| plan.dimensions == 0 || !(0.0..=1.0).contains(&plan.known)) {
            return Err("novelty.dimensions must be at least 1, and novelty.known a share from 0 to 1".into());
        }
        Ok(())
    }

    /// Parts that images are read in by turns, where nothing is to be held out.
    pub fn folds(&self) -> Option<usize> {
        (self.encoder.is_none() && self.reading.folds > 1).then_some(self.reading.folds)
    }

    /// Steps of one epoch over so many images.
    pub fn steps_per_epoch(&self, images: usize) -> Result<u64, TrainingError> {
        let batch = self.encoder.map_or(1, |encoder| encoder.batch);
        if images < 2 {
            return Err(TrainingError::TooLittle(format!(
                "there are {images} images to learn from; two are the least"
            )));
        }
        // What does not fill the last batch comes in another epoch's order.
        Ok((images / batch).max(1) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_built_in_can_be_read() {
        for (name, _) in BUILT_IN {
            Recipe::named(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(Recipe::named("cake").unwrap_err().contains("imaginet, small-encoder, small, retrain"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let text = BUILT_IN[0].1;
        let changed = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            Recipe::of_text(&text.replacen(from, to, 1)).unwrap_err()
        };
        assert!(changed("epochs = 400", "epochs = 0").contains("encoder.epochs"));
        assert!(changed("epochs = 400", "epoch = 400").contains("epoch"));
        assert!(changed("dropout = 0.2", "dropout = 1.5").contains("classifiers.dropout"));
        assert!(changed("side = 96", "side = 0").contains("augmentation.side"));
    }
}
