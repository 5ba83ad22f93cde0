//! `assay-decoder` with the system's libheif, for HEIC alone: C++ that is opened at run time touches no other image.

use std::ffi::{c_int, c_void};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: decoder::child::Allocator = decoder::child::Allocator;

fn main() -> ExitCode {
    decoder::child::run(|| imaging::heic::open().map(|version| Some(format!("libheif {version}"))))
}

/// In place of libde265's function of this name. libheif calls it for each picture, and libde265 then waits for its thread without
/// end, since a sandbox lets no thread start; without one it decodes on the thread that asks. The loader looks for a name in the
/// program first (build.rs exports it).
#[unsafe(no_mangle)]
extern "C" fn de265_start_worker_threads(_decoder: *mut c_void, _threads: c_int) -> c_int {
    0
}
