//! The decoders of one worker.

use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::process::{Broken, Process};
use super::{Error, Settings, StartError};
use imaging::protocol::{self, Attempt, Protections};
use imaging::{Decoded, DecodedWhole, DecodedWindow};

/// Decoders that are kept between images; there are as many as were ever needed at a time.
pub struct Pool {
    usual: Crew,
    /// Of HEIC alone; the first is started when the first such image comes.
    with_libheif: Crew,
}

/// Decoders of one kind.
struct Crew {
    settings: Settings,
    idle: Mutex<Vec<Process>>,
    starter: Starter,
}

impl Pool {
    /// Starts the first decoder, so that one that can't be started is known at once. The others follow when they are
    /// needed.
    pub fn open(settings: Settings) -> Result<Pool, StartError> {
        let with_libheif = Crew::new(super::with_libheif(&settings))?;
        let usual = Crew::new(settings)?;
        let first = usual.starter.start()?;
        if !first.protections.missing.is_empty() {
            let missing = first.protections.missing.join("; ");
            tracing::warn!(missing, "decoders run with fewer protections than they could have");
        }
        usual.idle().push(first);
        Ok(Pool { usual, with_libheif })
    }

    /// Decodes the centre of an image, as [`imaging::decode`] does. Blocks, at most for the timeout and the
    /// start of a decoder. Whatever becomes of the decoder, only this image is affected.
    pub fn decode(&self, bytes: &[u8]) -> Result<Decoded, Error> {
        self.for_image(bytes, |process, timeout| process.decode(bytes, timeout))
    }

    /// Decodes the middle of an image, at most `side` pixels wide and high, as [`imaging::window`] does; sides above
    /// [`protocol::MAX_WINDOW`] are taken for that. Blocks, and fails, as [`Pool::decode`].
    pub fn window(&self, bytes: &[u8], side: u16) -> Result<DecodedWindow, Error> {
        let side = side.clamp(1, protocol::MAX_WINDOW);
        self.for_image(bytes, |process, timeout| process.window(bytes, side, timeout))
    }

    /// Decodes all of an image, scaled down to at most `longest` pixels a side, as [`imaging::whole`] does. Blocks, and fails, as
    /// [`Pool::decode`].
    pub fn whole(&self, bytes: &[u8], longest: u32) -> Result<DecodedWhole, Error> {
        let longest = longest.max(1);
        self.for_image(bytes, |process, timeout| process.whole(bytes, longest, timeout))
    }

    /// Has a decoder try what it must not be able to do, and tells what it is kept from.
    pub fn probe(&self) -> Result<(Protections, Vec<Attempt>), Error> {
        let (_, protections, attempts) = self.usual.probe()?;
        Ok((protections, attempts))
    }

    /// The same of a decoder of HEIC, with the name and version of its library.
    pub fn probe_libheif(&self) -> Result<(String, Protections, Vec<Attempt>), Error> {
        let (library, protections, attempts) = self.with_libheif.probe()?;
        Ok((library.unwrap_or_default(), protections, attempts))
    }

    /// The decoders that have nothing to do.
    pub fn idle_decoders(&self) -> Vec<IdleDecoder> {
        let crews = [&self.usual, &self.with_libheif];
        let of_crew = |crew: &Crew| -> Vec<_> {
            crew.idle().iter().map(|process| IdleDecoder { id: process.id(), resident: process.resident() }).collect()
        };
        crews.into_iter().flat_map(of_crew).collect()
    }

    fn for_image<T>(
        &self,
        bytes: &[u8],
        work: impl Fn(&mut Process, Duration) -> Result<Result<T, Error>, Broken>,
    ) -> Result<T, Error> {
        let is_heic = imaging::heic::is_needed_for(bytes);
        let crew = if is_heic { &self.with_libheif } else { &self.usual };
        match crew.with_decoder(|process| work(process, crew.settings.timeout)) {
            // That this machine can't decode it is said of the image: to wait would not help it.
            Err(Error::NotStarted(StartError { is_missing: true, .. })) if is_heic => {
                Err(imaging::heic::not_supported(bytes).into())
            }
            other => other?,
        }
    }
}

impl Crew {
    fn new(settings: Settings) -> Result<Crew, StartError> {
        let starter = Starter::new(settings.clone())?;
        Ok(Crew { settings, idle: Mutex::default(), starter })
    }

    /// With the name of the library that the decoder opened, if it opens one.
    fn probe(&self) -> Result<(Option<String>, Protections, Vec<Attempt>), Error> {
        self.with_decoder(|process| {
            let attempts = process.probe(self.settings.timeout)?;
            Ok((process.library.clone(), process.protections.clone(), attempts))
        })
    }

    fn with_decoder<T>(&self, mut work: impl FnMut(&mut Process) -> Result<T, Broken>) -> Result<T, Error> {
        loop {
            let idle = self.idle().pop();
            let (mut process, is_new) = match idle {
                Some(process) => (process, false),
                None => (self.starter.start()?, true),
            };
            let broken = match work(&mut process) {
                Ok(answer) => {
                    self.idle().push(process);
                    return Ok(answer);
                }
                Err(broken) => broken,
            };
            let ending = process.end();
            let error = match broken {
                // It died while it was idle. Another idle one takes the request, or at last a new one.
                Broken::NotTaken if !is_new => {
                    tracing::warn!("a decoder {ending} while it had nothing to do: another one takes its place");
                    continue;
                }
                Broken::NotTaken => {
                    let program = self.settings.program.clone();
                    return Err(StartError {
                        program,
                        detail: format!("it {ending} before its first image"),
                        is_missing: false,
                    }
                    .into());
                }
                Broken::Late => Error::TooSlow { timeout: self.settings.timeout },
                Broken::Failed(_) if ending.is_out_of_memory() => Error::OutOfMemory { limit: self.settings.memory },
                Broken::Failed(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    Error::Died { how: ending.to_string() }
                }
                Broken::Failed(error) => Error::Died { how: format!("gave a response that makes no sense ({error})") },
            };
            tracing::warn!(%error, "a decoder is lost with its image: another one takes its place");
            return Err(error);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Process>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A decoder that has nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleDecoder {
    /// Of its process.
    pub id: u32,
    /// Bytes of memory that it occupies.
    pub resident: u64,
}

/// The thread on which all decoders are started, and which lives as long as the pool.
struct Starter(SyncSender<SyncSender<Result<Process, StartError>>>);

impl Starter {
    fn new(settings: Settings) -> Result<Starter, StartError> {
        let program = settings.program.clone();
        let (sender, receiver) = mpsc::sync_channel::<SyncSender<_>>(1);
        let run = move || {
            for reply in receiver {
                // A process that nobody waits for any more is dropped, and so killed.
                let _ = reply.send(Process::start(&settings));
            }
        };
        thread::Builder::new().name("decoder-starter".into()).spawn(run).map_err(|error| StartError {
            program,
            detail: error.to_string(),
            is_missing: false,
        })?;
        Ok(Starter(sender))
    }

    fn start(&self) -> Result<Process, StartError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.0.send(sender).expect("the starter lives as long as the pool");
        receiver.recv().expect("the starter answers every request")
    }
}
