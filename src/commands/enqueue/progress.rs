//! How far it has come: for the person who watches, and for the run that goes on after an interruption.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Args;
use super::source::{Entry, Source};
use crate::commands::End;
use crate::commands::print::say;
use artefact::persist;

/// Between two savings of the place, and two lines where there is no terminal.
const SAVE_EVERY: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The place that was reached, in a file that is always whole.
pub(super) struct State {
    path: PathBuf,
    record: Record,
    saved: Instant,
    changed: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    source: String,
    reached: Option<Entry>,
}

impl State {
    /// From the start, or where the last run stopped if that is asked for.
    pub(super) fn begin(args: &Args, source: &Source) -> Result<State, End> {
        let name = source.name();
        let path = match &args.resume {
            Some(path) if !path.as_os_str().is_empty() => path.clone(),
            _ => PathBuf::from(format!(".assay-enqueue-{}.json", hex::encode(&Sha256::digest(&name)[..6]))),
        };
        let mut record = Record { source: name, reached: None };
        if args.resume.is_some()
            && let Some(earlier) = read(&path)?
        {
            if earlier.source != record.source {
                let problem = format!("{} belongs to {}, not to {}", path.display(), earlier.source, record.source);
                return Err(End::usage(format!("{problem}; name another file with --resume")));
            }
            record = earlier;
        }
        if let Some(reached) = &record.reached {
            tracing::info!(after = %reached, "going on");
        }
        Ok(State { path, record, saved: Instant::now(), changed: false })
    }

    pub(super) fn position(&self) -> Option<Entry> {
        self.record.reached.clone()
    }

    /// Everything up to this entry is done.
    pub(super) fn reached(&mut self, entry: Entry) -> Result<(), End> {
        self.record.reached = Some(entry);
        self.changed = true;
        if self.saved.elapsed() >= SAVE_EVERY { self.save() } else { Ok(()) }
    }

    pub(super) fn save(&mut self) -> Result<(), End> {
        self.saved = Instant::now();
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let failed = |error: std::io::Error| End::work(format!("{} can't be written: {error}", self.path.display()));
        persist(&self.path, json!(self.record).to_string().as_bytes()).map_err(failed)
    }

    /// The work is done: nothing is left to go on with.
    pub(super) fn forget(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    pub(super) fn how_to_go_on(&self) -> String {
        match &self.record.reached {
            Some(entry) => {
                format!("confirmed up to {entry}; go on with the same command and --resume {}", self.path.display())
            }
            None => "nothing was confirmed yet; run the same command again".into(),
        }
    }
}

fn read(path: &Path) -> Result<Option<Record>, End> {
    match std::fs::read(path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(record) => Ok(Some(record)),
            Err(error) => Err(End::usage(format!("{} is no record of an earlier run: {error}", path.display()))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(End::usage(format!("{} can't be read: {error}", path.display()))),
    }
}

/// A bar on a terminal, a line now and then elsewhere, a summary at the end.
pub(super) struct Progress {
    json: bool,
    queue: String,
    bar: ProgressBar,
    began: Instant,
    told: Instant,
    enqueued: u64,
    refused: u64,
}

impl Progress {
    pub(super) fn new(json: bool, queue: String) -> Progress {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} {pos} enqueued  {per_sec}  {elapsed}");
        bar.set_style(style.expect("the template is well formed"));
        let now = Instant::now();
        Progress { json, queue, bar, began: now, told: now, enqueued: 0, refused: 0 }
    }

    pub(super) fn enqueued(&mut self) {
        self.enqueued += 1;
        self.bar.inc(1);
        if self.bar.is_hidden() && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            eprintln!("{} enqueued, {:.0}/s", self.enqueued, self.rate());
        }
    }

    pub(super) fn refused(&mut self, entry: &Entry, problem: &str) {
        self.refused += 1;
        self.bar.suspend(|| eprintln!("{entry}: {problem}"));
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Says what was done; an error if something was refused.
    pub(super) fn summary(&self) -> Result<(), End> {
        let Progress { queue, enqueued, refused, .. } = self;
        let (seconds, rate) = (self.began.elapsed().as_secs_f64(), self.rate());
        let line = if self.json {
            json!({"queue": queue, "enqueued": enqueued, "refused": refused, "seconds": seconds}).to_string()
        } else {
            format!("{enqueued} enqueued to {queue}, {refused} refused, {seconds:.1} s, {rate:.0}/s")
        };
        say!("{line}");
        match refused {
            0 => Ok(()),
            _ => Err(End::work("").silent()),
        }
    }

    fn rate(&self) -> f64 {
        self.enqueued as f64 / self.began.elapsed().as_secs_f64().max(1e-9)
    }
}
