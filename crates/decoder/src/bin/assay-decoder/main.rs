//! Decodes what strangers sent, in a sandbox. `assay` starts it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: decoder::child::Allocator = decoder::child::Allocator;

fn main() -> ExitCode {
    decoder::child::run(|| Ok(None))
}
