//! Decoding in processes of their own, so that an image that takes over its decoder finds nothing worth taking there.
//!
//! The worker's side: a [`Pool`] of child processes, and the error when one dies. The children's side is [`child`], of which the
//! binaries `assay-decoder` and `assay-decoder-heif` are made: `imaging` and a sandbox alone, so that libtorch, credentials and
//! connections are not merely shut off there but absent.

pub mod child;
mod pool;
mod process;

use std::path::PathBuf;
use std::time::Duration;

use imaging::{DecodeError, Limits};

pub use imaging::protocol::{Attempt, MAX_WINDOW, Protections};
pub use pool::{IdleDecoder, Pool};

/// Bytes of address space that a decoder has beside those of the image: its code, stack and allocator.
const OWN_MEMORY: u64 = 64 << 20;

/// What decoders are started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The binary `assay-decoder`; `assay-decoder-heif` lies beside it.
    pub program: PathBuf,
    pub limits: Limits,
    /// Bytes of address space of one decoder, which it can't exceed whatever the image.
    pub memory: u64,
    /// The longest that one image may take, from its first byte sent to the last of the answer received.
    pub timeout: Duration,
}

impl Settings {
    /// For decoders that lie beside this program.
    pub fn beside_this_program(limits: Limits, max_object_bytes: u64, timeout: Duration) -> Settings {
        // Where the system does not tell, starting will fail and name this path.
        let program = std::env::current_exe().unwrap_or_default().with_file_name("assay-decoder");
        Settings { program, memory: memory(&limits, max_object_bytes), limits, timeout }
    }
}

/// Bytes of address space that libheif and the libraries that it brings take.
const LIBHEIF_MEMORY: u64 = 64 << 20;

/// The same for the decoder of HEIC.
pub(crate) fn with_libheif(settings: &Settings) -> Settings {
    Settings {
        program: settings.program.with_file_name("assay-decoder-heif"),
        memory: settings.memory.saturating_add(LIBHEIF_MEMORY),
        ..settings.clone()
    }
}

/// Bytes of address space that a decoder needs for images within these limits.
pub fn memory(limits: &Limits, max_object_bytes: u64) -> u64 {
    OWN_MEMORY.saturating_add(limits.max_decoded_bytes).saturating_add(max_object_bytes)
}

/// What two decoders have of which one decodes HEIC, or nothing, and the other one waits: as many of both as images are
/// decoded at a time may be there.
pub fn memory_of_both(limits: &Limits, max_object_bytes: u64) -> u64 {
    memory(limits, max_object_bytes).saturating_add(LIBHEIF_MEMORY + OWN_MEMORY)
}

/// Why there is no decoded image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] DecodeError),
    #[error("decoding took longer than the {} s of imaging.timeout_s", timeout.as_secs_f32())]
    TooSlow { timeout: Duration },
    #[error(
        "decoding wanted more than the {limit} bytes of a decoder's memory, which follows from imaging.max_decoded_bytes"
    )]
    OutOfMemory { limit: u64 },
    /// `how` is for instance "was killed by signal 11 (SIGSEGV)".
    #[error("the decoder {how} at this image")]
    Died { how: String },
    #[error(transparent)]
    NotStarted(#[from] StartError),
}

/// A decoder that can't be started: not the image's fault.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the decoder {} can't be started: {detail}", program.display())]
pub struct StartError {
    pub program: PathBuf,
    pub detail: String,
    /// Whether the program, or a library that it opens, is not there at all.
    pub is_missing: bool,
}

impl Error {
    /// Whether the image may be decoded if it is tried again later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::NotStarted(_))
    }
}
