//! `[calibration]` of a recipe.

use serde::{Deserialize, Serialize};

/// How scores become words, and by which images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Share of images that are kept from training where no others are given, by the hash of their bytes; those that show the
    /// same thing together.
    pub held_out: f64,
    /// Where no others are given and the encoder stays as it is: nothing is held out, but each image is read by classifiers
    /// that learnt from the other parts of so many. 0 or 1 for a share that is held out.
    #[serde(default)]
    pub folds: usize,
    #[serde(default)]
    pub by: HeldOutBy,
    /// Share of synthetic images that scores are calibrated for; `None` for that of the held-out images.
    #[serde(default)]
    pub prior: Option<f64>,
    /// Share of real images that may be called synthetic; of sources that the model has never seen, where `by` says so.
    #[serde(default = "few_false_alarms")]
    pub false_alarms: f64,
    /// Share of synthetic images that may be called real.
    pub misses: f64,
}

/// What the images that calibrate are held out by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeldOutBy {
    /// Each by itself, but for those that show the same thing: scores are then read as those of known sources.
    #[default]
    Images,
    /// Whole sources and whole generators, of which each counts alike: scores are then read as those of sources and generators
    /// that the model has never seen.
    Sources,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            held_out: 0.1,
            folds: 0,
            by: HeldOutBy::Images,
            prior: None,
            false_alarms: few_false_alarms(),
            misses: 0.05,
        }
    }
}

fn few_false_alarms() -> f64 {
    0.03
}
