//! What an image file says of itself: side evidence that no score and no decision knows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a file says of where it comes from. Nothing of it is checked: anybody can write such words into a file, or remove them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// What the hints come to.
    pub class: Claim,
    /// What was found, each once. Only words that are known are named, and nothing is quoted.
    pub hints: Vec<Hint>,
    /// null where there is none.
    pub c2pa: Option<C2pa>,
}

/// What a file claims to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// Made by a generative model.
    ClaimedSynthetic,
    /// Edited or composed, perhaps with parts that a generative model made.
    ClaimedEdit,
    /// Taken by a camera.
    ClaimedCapture,
    /// It says nothing of the kind, which means nothing: most images have no such words any more.
    #[default]
    None,
}

/// One thing that a file says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Hint {
    pub kind: HintKind,
    /// Which one it is, if it is a known one: `trainedAlgorithmicMedia`, `Photoshop`, `Canon`.
    pub name: Option<String>,
}

/// Where a file says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HintKind {
    /// IPTC's digital source type, in XMP or in a C2PA manifest.
    DigitalSourceType,
    /// Settings that a front-end of a generative model wrote: `name` says which front-end.
    GeneratorSettings,
    /// The program that wrote the file.
    Software,
    /// The maker of the camera.
    CameraMake,
}

/// Content Credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum C2pa {
    /// There is a manifest; its signature was not checked.
    Present,
}
