//! What a run did and why, for machines and for people.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::gate::GateDecision;
use super::outcome::Outcome;

/// The document `assay.retrain.v1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub run: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub dry_run: bool,
    pub snapshot_sha256: String,
    pub incumbent: String,
    pub candidate: String,
    pub train_images: usize,
    /// That calibrate the candidate.
    pub reading_images: usize,
    /// That decide.
    pub held_out_images: usize,
    /// Held-out images that decide nothing, since one of the models has learnt them.
    #[serde(default)]
    pub learnt_images: usize,
    /// Labelled images that could not be had, and why: the first few.
    pub missing: Vec<(String, String)>,
    pub missing_images: usize,
    /// The candidate's own figures, from the images that calibrate it.
    pub metrics: Value,
    pub gate: GateDecision,
    pub outcome: Outcome,
    /// What became of the candidate, and what is to be done.
    pub words: String,
    /// Where the candidate is, and this report: `report.json`, `report.txt`, `report.html`.
    pub folder: String,
    pub seconds: f64,
}

impl Report {
    pub const SCHEMA: &'static str = "assay.retrain.v1";

    pub fn text(&self) -> String {
        let mut lines = vec![
            format!("retrain {}: {}", self.run, self.words),
            format!("  candidate {} against {}", self.candidate, self.incumbent),
            format!(
                "  images: {} to learn from, {} to calibrate by, {} held out; {} missing",
                self.train_images, self.reading_images, self.held_out_images, self.missing_images
            ),
            format!("  snapshot {}", self.snapshot_sha256),
        ];
        if self.learnt_images > 0 {
            let images = self.learnt_images;
            lines.push(format!(
                "  {images} more are held out and decide nothing: one of the models has learnt them before"
            ));
        }
        lines.extend(self.missing.iter().map(|(location, reason)| format!("  missing {location}: {reason}")));
        let mark = |holds: Option<bool>| match holds {
            Some(true) => "✔",
            Some(false) => "✘",
            None => "–",
        };
        lines.extend(self.gate.reasons.iter().map(|reason| format!("  {} {}", mark(reason.holds), reason.words)));
        lines.push(format!("  page {}", Path::new(&self.folder).join("report.html").display()));
        lines.join("\n") + "\n"
    }
}
