//! Who says what about an image: the port to the labels that models are trained on.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - no label that was recorded is ever changed or lost: an image's history is all of them, in the order of recording;
//! - in force is, for each image, the newest label of the highest source: a correction outweighs an import, and a label that is
//!   trained on any that is not;
//! - an actor who repeats their own last label of an image adds nothing, so that a message that comes twice makes one label;
//! - `record` is all or nothing.
//!
//! An image is its bytes, named by their sha256.

pub mod annotations;
pub mod memory;
pub mod postgres;
mod vocabulary;

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use database::DatabaseError;
use domain::{LabelledOrigin, OutcomeId};

pub use vocabulary::{Vocabulary, VocabularyError};

/// `[labels]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// "" for the vocabulary that is built in.
    pub file: String,
}

impl Settings {
    pub fn vocabulary(&self) -> Result<Vocabulary, VocabularyError> {
        if self.file.is_empty() { Ok(Vocabulary::built_in()) } else { Vocabulary::read(Path::new(&self.file)) }
    }
}

/// Where a label comes from; the later one outweighs the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A file of annotations.
    Import,
    /// Somebody who looked at this very image.
    Correction,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Import => "import",
            Source::Correction => "correction",
        }
    }
}

/// What somebody says of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SaidOfAnImage")]
pub struct Label {
    /// Of the image's bytes, lower-case hexadecimal.
    pub sha256: String,
    /// `s3://bucket/key`, or the path of a file.
    pub location: String,
    pub origin: LabelledOrigin,
    /// By the vocabulary.
    pub content_type: Option<String>,
    /// A generator of the vocabulary, or a family where no more is known; only for a synthetic image.
    pub generator: Option<String>,
    pub source: Source,
    pub actor: String,
    pub reason: Option<String>,
    /// The outcome that it corrects.
    pub verdict_id: Option<OutcomeId>,
    /// How the image came to be labelled: `import`, or, of a review, `audit`, `policy`, `uncertain` or `appeal`; null where nobody
    /// said.
    pub drawn_as: Option<String>,
    /// On what grounds people say so: `provenance`, `known_source`, `uploaders_original`, `visible_artefact`, `by_eye`; empty where
    /// none were given.
    pub grounds: Vec<String>,
    /// Whether it is trained on. What only the look of the image speaks for is kept, and is not.
    pub trains: bool,
}

/// How labels of a file came about: [`Label::drawn_as`].
pub const IMPORTED: &str = "import";

impl Label {
    /// Bucket and key, where the location is in an object store; `None` for a file.
    pub fn object(&self) -> Option<(&str, &str)> {
        self.location.strip_prefix("s3://")?.split_once('/')
    }
}

/// A label as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Label")]
pub struct RecordedLabel {
    /// Grows with each label that is recorded, of whatever image.
    pub number: i64,
    /// When it was recorded.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub said_at: OffsetDateTime,
    #[serde(flatten)]
    pub label: Label,
}

/// What became of a label handed to [`Labels::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    New,
    /// The last label of the same image by the same actor says the same; nothing was added.
    Duplicate,
}

/// How many images have the same label in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Count {
    pub origin: &'static str,
    pub content_type: Option<String>,
    pub generator: Option<String>,
    pub images: u64,
}

/// The record of labels.
#[async_trait]
pub trait Labels: Send + Sync {
    /// Records labels in their order, all or none; one answer for each, in order.
    async fn record(&self, labels: &[Label]) -> Result<Vec<Recorded>, DatabaseError>;

    /// The labels in force, one for each image, in the order of the images' sha256: at most `most`, those after `after`
    /// ("" for the first). Fewer than `most` are the last ones.
    async fn in_force(&self, after: &str, most: usize) -> Result<Vec<RecordedLabel>, DatabaseError>;

    /// Every label of an image, in the order of recording.
    async fn history(&self, sha256: &str) -> Result<Vec<RecordedLabel>, DatabaseError>;

    /// What is in force, counted.
    async fn counts(&self) -> Result<Vec<Count>, DatabaseError>;
}

/// Who labels which image: sha256, source, actor.
type Author = (String, Source, String);

fn author(label: &Label) -> Author {
    (label.sha256.clone(), label.source, label.actor.clone())
}

/// What two labels must have in common to say the same.
type Statement = (LabelledOrigin, Option<String>, Option<String>);

fn statement(label: &Label) -> Statement {
    (label.origin, label.content_type.clone(), label.generator.clone())
}

/// Which labels say something new, given the last one of each author.
fn compare(mut last: HashMap<Author, Statement>, labels: &[Label]) -> Vec<Recorded> {
    let compare = |label: &Label| match last.insert(author(label), statement(label)) {
        Some(before) if before == statement(label) => Recorded::Duplicate,
        _ => Recorded::New,
    };
    labels.iter().map(compare).collect()
}
