//! A decoder from inside: reads encoded images from its socket, sends back their crops, and can do nothing else.
//!
//! `assay` starts the binaries that this is the whole of. libtorch and the clients of broker, store and database are not linked.

mod memory;
mod probe;
mod sandbox;

use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use imaging::Limits;
use imaging::protocol::{self, Request, Response};

pub use memory::Allocator;

/// What a decoder's `main` does. `open` opens the library that this one has at run time, if it has one, and gives its name and version; it
/// runs before the sandbox is closed.
pub fn run(open: impl FnOnce() -> Result<Option<String>, String>) -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).map_while(|word| word.parse().ok()).collect();
    let [max_pixels, max_decoded_bytes, memory] = numbers[..] else {
        eprintln!("a decoder is started by assay, which gives it its limits and a socket");
        return ExitCode::from(2);
    };
    let library = match open() {
        Ok(library) => library,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(protocol::EXIT_NO_LIBRARY);
        }
    };
    match serve(&Limits { max_pixels, max_decoded_bytes }, memory, library) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is open only until the sandbox is closed.
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers requests until no more come.
fn serve(limits: &Limits, memory: u64, library: Option<String>) -> io::Result<()> {
    let protections = sandbox::enter(memory)?;
    // SAFETY: descriptor 0 is the one thing that the sandbox leaves open, and nothing else in this process holds it.
    let socket = unsafe { UnixStream::from_raw_fd(0) };
    // A panic is reported in the response.
    std::panic::set_hook(Box::new(|_| {}));
    let ready = Response::Ready { version: env!("CARGO_PKG_VERSION").into(), protections, library };
    protocol::send_response(&socket, &ready, &[])?;
    let mut buffer = Vec::new();
    while let Some((request, length)) = protocol::read_request(&socket, &mut buffer)? {
        match request {
            Request::Decode => protocol::send_decoded(&socket, imaging::decode(&buffer[..length], limits))?,
            Request::Window { side } => {
                protocol::send_window(&socket, imaging::window(&buffer[..length], side.into(), limits))?;
            }
            Request::Whole { longest } => {
                protocol::send_whole(&socket, imaging::whole(&buffer[..length], longest, limits))?;
            }
            Request::Probe => protocol::send_response(&socket, &Response::Probed(probe::attempts()), &[])?,
        }
        if buffer.len() > KEPT {
            buffer = Vec::new();
        }
    }
    Ok(())
}

/// Bytes of the buffer for encoded images that are kept for the next one.
const KEPT: usize = 4 << 20;
