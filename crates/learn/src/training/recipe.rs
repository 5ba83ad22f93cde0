//! What a training does, as data: the files of `configs/recipes/`, and others like them.

use serde::{Deserialize, Serialize};

use super::encoder::{self, TrainingError};
use super::{calibration, classifiers, novelty};
use augment::Augmentation;

/// Recipes that are built in, by name.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("imaginet", include_str!("../../../../configs/recipes/imaginet.toml")),
    ("small", include_str!("../../../../configs/recipes/small.toml")),
    ("retrain", include_str!("../../../../configs/recipes/retrain.toml")),
];

/// Keys of older recipes, and what takes their place.
const RENAMED: [(&str, &str); 4] = [
    ("reading", "the table [calibration]"),
    ("augmentation.side", "augmentation.sides, a list: sides = [96]"),
    ("encoder.balance", "encoder.sampling: \"generators\" instead of true, \"plain\" instead of false"),
    ("classifiers.balance", "classifiers.sampling: \"generators\" instead of true, \"plain\" instead of false"),
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
    pub calibration: calibration::Plan,
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

impl Recipe {
    /// The error is for a person.
    pub fn of_text(text: &str) -> Result<Recipe, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        refuse_renamed(&table)?;
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
            ("calibration.held_out", self.calibration.held_out),
            ("calibration.false_alarms", self.calibration.false_alarms),
            ("calibration.misses", self.calibration.misses),
            ("calibration.prior", self.calibration.prior.unwrap_or(0.5)),
        ];
        if let Some((name, share)) = shares.into_iter().find(|(_, share)| !(0.0..1.0).contains(share) && *share != 1.0)
        {
            return Err(format!("{name} = {share} must be a share from 0 to 1"));
        }
        if self.classifiers.dropout > 0.95 || self.calibration.held_out > 0.9 {
            return Err(
                "classifiers.dropout above 0.95 or calibration.held_out above 0.9 leaves nothing to learn from".into(),
            );
        }
        if self.classifiers.views == 0 || self.classifiers.epochs == 0 {
            return Err("classifiers.views and classifiers.epochs must be at least 1".into());
        }
        if !(0.0..f64::INFINITY).contains(&self.classifiers.l2) {
            return Err(format!("classifiers.l2 = {} must be 0 or more", self.classifiers.l2));
        }
        if self.classifiers.layers.is_some_and(|layers| !(1..=4).contains(&layers)) {
            return Err("classifiers.layers must be 1 to 4; leave it out for the whole embedding".into());
        }
        if self.novelty.is_some_and(|plan| plan.dimensions == 0 || !(0.0..=1.0).contains(&plan.known)) {
            return Err("novelty.dimensions must be at least 1, and novelty.known a share from 0 to 1".into());
        }
        Ok(())
    }

    /// Parts that images are read in by turns, where nothing is to be held out.
    pub fn folds(&self) -> Option<usize> {
        (self.encoder.is_none() && self.calibration.folds > 1).then_some(self.calibration.folds)
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

/// The error names the new key.
fn refuse_renamed(table: &toml::Table) -> Result<(), String> {
    for (old, new) in RENAMED {
        let found = match old.split_once('.') {
            Some((table_name, key)) => table.get(table_name).and_then(|own| own.get(key)),
            None => table.get(old),
        };
        if found.is_some() {
            return Err(format!("{old} has another name now: write {new}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_recipes_can_be_read() {
        for (name, _) in BUILT_IN {
            Recipe::named(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(Recipe::named("unknown").unwrap_err().contains("imaginet, small, retrain"));
    }

    #[test]
    fn keys_of_older_recipes_are_refused_with_the_new_ones() {
        let text = BUILT_IN[0].1;
        let changed = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            Recipe::of_text(&text.replacen(from, to, 1)).unwrap_err()
        };
        assert!(changed("[calibration]", "[reading]").contains("[calibration]"));
        assert!(changed("sides = [96]", "side = 96").contains("sides = [96]"));
        let sampling = "sampling = \"plain\"";
        assert!(changed(sampling, "balance = true").contains("encoder.sampling"));
        let after = text.find("[classifiers]").unwrap();
        let older = [&text[..after], &text[after..].replacen(sampling, "balance = true", 1)].concat();
        assert!(Recipe::of_text(&older).unwrap_err().contains("classifiers.sampling"));
    }

    #[test]
    fn what_is_left_out_is_what_it_was_before_there_was_a_key_for_it() {
        let retrain = Recipe::named("retrain").unwrap();
        let augmentation = &retrain.augmentation;
        assert!(augmentation.history.is_none() && augmentation.scale.is_none() && augmentation.colour.is_none());
        assert!(augmentation.shuffle.is_none() && augmentation.mask.is_none());
        assert_eq!(retrain.calibration.by, calibration::HeldOutBy::Images);
        assert_eq!((retrain.classifiers.l2, retrain.classifiers.layers), (0.0, None));
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
        assert!(changed("sides = [96]", "sides = [0]").contains("augmentation.sides"));
        assert!(changed("l2 = 0.0", "l2 = -1.0").contains("classifiers.l2"));
        assert!(changed("l2 = 0.0", "layers = 5").contains("classifiers.layers"));
        assert!(changed("twice = 0.2", "twice = 2.0").contains("augmentation.history.twice"));
    }
}
