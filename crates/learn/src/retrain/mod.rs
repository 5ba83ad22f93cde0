//! From labelled images to a model, with everything that is not computing: files, decoders, checkpoints, servers.
//!
//! `assay train`: [`dataset`] says which images and what they are, [`image_cache`] gives their pixels, [`training_run`] goes from
//! them to a model, leaving [`checkpoint`]s behind. `assay model calibrate`: [`recalibration`] of a finished model. `assay retrain`: the [`job`] takes a [`snapshot`] of the labels, asks the
//! [`plan`] whether there is anything to do, fetches the images into the [`file_cache`], has a [`candidate`] made, lets it and
//! the active model judge the same images ([`comparison`]), lets the [`gate`] decide, and does what follows from that
//! ([`promotion`]).
//!
//! Direction of use: each module may name those above it here, and none below.
//! - images and their labels: [`prefetch`], [`dataset`], [`snapshot`], [`likenesses`], [`file_cache`], [`image_cache`], [`duplicate_groups`]
//! - training: [`checkpoint`], [`observer`], `batches`, `first_weights`, [`training_run`], [`cross_validation`], [`recalibration`]
//! - judging: [`gate`], [`comparison`]
//! - the job: [`outcome`], [`error`], [`report`] and its [`page`], `lease`, [`plan`], `preparation`, `candidate`, `promotion`, `run_record`, [`job`]; [`push`]

mod batches;
mod candidate;
pub mod checkpoint;
pub mod comparison;
pub mod cross_validation;
pub mod dataset;
pub mod duplicate_groups;
pub mod error;
pub mod file_cache;
mod first_weights;
pub mod gate;
pub mod image_cache;
pub mod job;
pub mod likenesses;
pub mod observer;
pub mod outcome;
pub mod page;
pub mod plan;
pub mod prefetch;
mod preparation;
mod promotion;
pub mod push;
pub mod recalibration;
pub mod report;
mod run_record;
pub mod snapshot;
pub mod training_run;

use serde::Deserialize;

pub use first_weights::{BeginError, Start, first_weights};

/// `[retrain]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub folder: String,
    pub recipe: String,
    pub held_out: f64,
    pub min_images: usize,
    pub noise: f64,
    pub confidence: f64,
    pub max_ece: f64,
    pub lease_s: u64,
    pub pushgateway: String,
}

impl Settings {
    /// What the types do not hold; the error names the key and the fix.
    pub fn validate(&self) -> Result<(), String> {
        let shares = [("held_out", self.held_out), ("noise", self.noise), ("confidence", self.confidence)];
        if let Some((name, share)) = shares.into_iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
            return Err(format!("retrain.{name} = {share} must be from 0 to below 1"));
        }
        if self.lease_s < 3 || self.folder.is_empty() {
            return Err("retrain.lease_s must be at least 3, and retrain.folder name a folder".into());
        }
        Ok(())
    }

    pub fn bounds(&self) -> gate::Bounds {
        gate::Bounds { noise: self.noise, confidence: self.confidence, max_ece: self.max_ece }
    }
}

/// `[training]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Of decoded pixels that are kept.
    pub cache_bytes: u64,
    /// Seconds between two checkpoints.
    pub checkpoint_s: u64,
}
