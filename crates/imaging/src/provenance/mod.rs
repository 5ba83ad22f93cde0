//! What a file says of itself: which generator's settings, which kind of source, which program or camera.
//!
//! Anybody can write such words, or remove them: they are told beside the pixels, and nothing is concluded from them here. At most
//! [`BUDGET`] bytes of text are looked at, unpacked ones included, and none of them is handed on: what leaves is which known words
//! were found, never a prompt or a name of a person. Whatever is malformed says nothing.

mod boxes;
mod containers;
mod exif;
mod finder;
mod names;

use std::panic::catch_unwind;

use serde::{Deserialize, Serialize};

use finder::Finder;
pub use names::{Claim, Name};

/// Bytes of text that are looked at in one file.
const BUDGET: usize = 64 << 10;

/// What was found, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    pub hints: Vec<Hint>,
    /// It has a manifest of Content Credentials, whose signature is not checked.
    pub has_c2pa: bool,
}

/// One thing that a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    pub kind: HintKind,
    /// `None` where it is none of the known ones.
    pub name: Option<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HintKind {
    DigitalSourceType,
    GeneratorSettings,
    Software,
    CameraMake,
}

impl Hint {
    /// What it claims the image to be.
    pub fn claim(&self) -> Option<Claim> {
        match (self.kind, self.name) {
            (HintKind::GeneratorSettings, _) => Some(Claim::Synthetic),
            (HintKind::CameraMake, _) => Some(Claim::Capture),
            (_, name) => name.and_then(Name::claim),
        }
    }
}

/// Looks through a file of any format.
pub fn of(bytes: &[u8]) -> Provenance {
    // A defect here costs the hints, and not the image.
    catch_unwind(|| {
        let mut finder = Finder::new(BUDGET);
        containers::look(bytes, &mut finder);
        finder.found
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests;
