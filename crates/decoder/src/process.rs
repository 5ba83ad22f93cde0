//! One decoder, as the worker holds it.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Error, Settings, StartError};
use imaging::protocol::{self, Attempt, Protections, Request, Response};
use imaging::{Decoded, DecodedWhole, DecodedWindow};

/// The longest that a decoder may take to say that it is ready.
const START: Duration = Duration::from_secs(10);

/// A child that decodes one image at a time. Dropping it kills it.
pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    pub protections: Protections,
    /// Name and version of the library that it opened at its start.
    pub library: Option<String>,
}

/// Why a decoder can't be used any more.
pub(super) enum Broken {
    /// It was gone before it had read the whole request, so it has not begun.
    NotTaken,
    Late,
    /// The connection ended, or its response makes no sense.
    Failed(io::Error),
}

impl Process {
    /// Must be called on a thread that lives as long as the decoder: when the thread that started a process ends, the
    /// kernel takes that for the death of the parent, and kills the decoder.
    pub(crate) fn start(settings: &Settings) -> Result<Process, StartError> {
        let failed = |detail: String| StartError { program: settings.program.clone(), detail, is_missing: false };
        let (socket, theirs) = UnixStream::pair().map_err(|error| failed(error.to_string()))?;
        let limits = [settings.limits.max_pixels, settings.limits.max_decoded_bytes, settings.memory];
        let child = Command::new(&settings.program)
            .args(limits.map(|limit| limit.to_string()))
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            // What the loader says if it can't start; the decoder itself closes it.
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => StartError {
                    is_missing: true,
                    ..failed("it is not there; it belongs beside assay, and `make build` makes both".into())
                },
                _ => failed(error.to_string()),
            })?;
        let missing = Protections { seccomp: false, landlock: None, memory: 0, missing: vec![] };
        let mut process = Process { child, socket, protections: missing, library: None };
        match protocol::read_response(process.until(Instant::now() + START)) {
            Ok(Response::Ready { version, protections, library }) if version == env!("CARGO_PKG_VERSION") => {
                process.protections = protections;
                process.library = library;
                process.child.stderr = None;
                Ok(process)
            }
            Ok(Response::Ready { version, .. }) => Err(failed(format!(
                "it is of version {version}, and this is {}; install both from one build",
                env!("CARGO_PKG_VERSION")
            ))),
            Ok(other) => Err(failed(format!("its first message is {other:?}; is it assay's decoder?"))),
            Err(error) if is_timeout(&error) => Err(failed(format!("it is not ready after {START:?}"))),
            Err(_) => {
                let mut words = String::new();
                let how = process.end();
                if let Some(mut stderr) = process.child.stderr.take() {
                    let _ = stderr.read_to_string(&mut words);
                }
                let is_missing = how.code() == Some(protocol::EXIT_NO_LIBRARY);
                let detail = if is_missing { words.trim().into() } else { format!("it {how}: {}", words.trim()) };
                Err(StartError { is_missing, ..failed(detail) })
            }
        }
    }

    /// Has it decode an image.
    pub(crate) fn decode(&mut self, bytes: &[u8], timeout: Duration) -> Result<Result<Decoded, Error>, Broken> {
        let deadline = Instant::now() + timeout;
        match self.request(Request::Decode, bytes, deadline)? {
            Response::Decoded(facts) => {
                let decoded = protocol::read_decoded(self.until(deadline), facts);
                Ok(Ok(decoded.map_err(Broken::of_response)?))
            }
            Response::Refused(error) => Ok(Err(error.into())),
            other => Err(Broken::Failed(io::Error::other(format!("its response is {other:?}")))),
        }
    }

    /// Has it decode the middle of an image.
    pub(crate) fn window(
        &mut self,
        bytes: &[u8],
        side: u16,
        timeout: Duration,
    ) -> Result<Result<DecodedWindow, Error>, Broken> {
        let deadline = Instant::now() + timeout;
        match self.request(Request::Window { side }, bytes, deadline)? {
            Response::Window { format, width, height, quality } => {
                let pixels = protocol::read_window(self.until(deadline), width, height, side);
                let picture = pixels.map_err(Broken::of_response)?;
                Ok(Ok(DecodedWindow { picture, format, width, height, quality }))
            }
            Response::Refused(error) => Ok(Err(error.into())),
            other => Err(Broken::Failed(io::Error::other(format!("its response is {other:?}")))),
        }
    }

    /// Has it decode all of an image.
    pub(crate) fn whole(
        &mut self,
        bytes: &[u8],
        longest: u32,
        timeout: Duration,
    ) -> Result<Result<DecodedWhole, Error>, Broken> {
        let deadline = Instant::now() + timeout;
        match self.request(Request::Whole { longest }, bytes, deadline)? {
            Response::Whole { format, width, height } => {
                let pixels = protocol::read_whole(self.until(deadline), width, height, longest);
                let picture = pixels.map_err(Broken::of_response)?;
                Ok(Ok(DecodedWhole { picture, format, width, height }))
            }
            Response::Refused(error) => Ok(Err(error.into())),
            other => Err(Broken::Failed(io::Error::other(format!("its response is {other:?}")))),
        }
    }

    /// Has it try what it must not be able to do.
    pub(crate) fn probe(&mut self, timeout: Duration) -> Result<Vec<Attempt>, Broken> {
        match self.request(Request::Probe, &[], Instant::now() + timeout)? {
            Response::Probed(attempts) => Ok(attempts),
            other => Err(Broken::Failed(io::Error::other(format!("its response is {other:?}")))),
        }
    }

    fn request(&mut self, request: Request, bytes: &[u8], deadline: Instant) -> Result<Response, Broken> {
        protocol::send_request(self.until(deadline), request, bytes).map_err(|error| match is_timeout(&error) {
            true => Broken::Late,
            false => Broken::NotTaken,
        })?;
        protocol::read_response(self.until(deadline)).map_err(Broken::of_response)
    }

    fn until(&mut self, deadline: Instant) -> TimedSocket<'_> {
        TimedSocket { socket: &self.socket, deadline }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that it occupies; 0 once it is gone.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        line.and_then(|kilobytes| kilobytes.parse::<u64>().ok()).map_or(0, |kilobytes| kilobytes << 10)
    }

    /// Ends it, and says how it ended if it had before: "was killed by signal 11 (SIGSEGV)".
    pub(crate) fn end(&mut self) -> Ending {
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) => Ending::Known(status),
            Err(error) => Ending::Unknown(error),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl Broken {
    fn of_response(error: io::Error) -> Broken {
        match error.kind() {
            _ if is_timeout(&error) => Broken::Late,
            // What a Unix socket says whose other end was closed before everything was read from it.
            ErrorKind::ConnectionReset => Broken::NotTaken,
            _ => Broken::Failed(error),
        }
    }
}

pub(super) enum Ending {
    Known(ExitStatus),
    Unknown(io::Error),
}

impl Ending {
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.code() == Some(protocol::EXIT_OUT_OF_MEMORY)
    }

    fn code(&self) -> Option<u8> {
        let Ending::Known(status) = self else { return None };
        u8::try_from(status.code()?).ok()
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Known(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => write!(f, "was killed by signal {signal} ({})", name_of(signal)),
                (None, Some(code)) => write!(f, "ended with code {code}"),
                (None, None) => write!(f, "ended: {status}"),
            },
            Ending::Unknown(error) => write!(f, "ended, and the system does not say how: {error}"),
        }
    }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGXCPU => "SIGXCPU",
        _ => "an unusual one",
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// The socket until a deadline, after which every call fails with a timeout.
struct TimedSocket<'a> {
    socket: &'a UnixStream,
    deadline: Instant,
}

impl TimedSocket<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for TimedSocket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(buffer)
    }
}

impl Write for TimedSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
