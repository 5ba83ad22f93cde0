//! `assay scan`: the same engine on files, with no server.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::files::Found;
use super::table::{Table, harmless};
use super::{End, model};
use crate::config::Config;
use crate::decoding;
use decoder::Pool;
use domain::{
    Context, Evidence, Failure, FailureCode, Grounds, ImageRef, Judge, JudgedImage, Observed, Outcome, Predecessors,
    Purpose, Request, SubmissionKey, Timing,
};
use engine::{Detector, score_images};
use imaging::Crop;

/// Judge files, folders and globs with the worker's own engine; no server is needed.
///
/// Folders are searched through, links followed; what is an image is told by a file's name or its first bytes. Ends with 1 if
/// any image could not be judged or any folder, link or file could not be read.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay scan photo.jpg
  assay scan uploads/ 'more/**/*.webp' --model models/imaginet
  assay scan uploads/ --json | jq 'select(.decision == \"synthetic\") | .path'")]
pub(super) struct Args {
    /// Files, folders (searched through for images) and globs.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// JSON lines: the verdict or failure document of each file, plus `path`.
    #[arg(long)]
    json: bool,
    /// The model folder, instead of detector.model.
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
}

/// So many of what can't be read are named.
const UNREADABLE: usize = 10;

pub(super) fn run(args: &Args, config: &Config) -> Result<(), End> {
    let found = Found::of(&args.paths)?;
    let paths = &found.images;
    let decoders = Pool::open(config.decoders())?;
    let mut settings = config.detector.clone();
    if let Some(model) = &args.model {
        settings.model.clone_from(model);
    }
    let settings = super::block_on(model::registered::resolved(settings, config))?;
    let mut detector = engine::open(&settings)?;
    config.thresholds.check(detector.card().policy.thresholds).map_err(End::usage)?;
    let judge = detector.card().judge(detector.device(), config.thresholds.clone());
    let batch_size = config.worker.batch_for(detector.device());
    let mut report = Report::new(paths.len(), args.json);
    // Decode a few batches ahead of the device, and no more: memory stays flat however many files there are.
    for chunk in paths.chunks(2 * batch_size) {
        let prepared = prepare(chunk, config, &decoders);
        for (path, outcome) in chunk.iter().zip(score(prepared, detector.as_mut(), &judge, batch_size)?) {
            match report.add(path, &outcome) {
                // Nobody reads on: the rest is not looked at.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Err(End::work("").silent()),
                other => other.map_err(End::work)?,
            }
        }
    }
    report.end(&found)
}

/// A file read and decoded, or why not.
struct Prepared {
    request: Request,
    result: Result<Decoded, (FailureCode, String)>,
}

/// What is scored of a file, and what is known of it before that.
struct Decoded {
    crops: Vec<Crop>,
    observed: Observed,
    timing: Timing,
}

/// Reads and decodes on all cores, in order.
fn prepare(paths: &[PathBuf], config: &Config, decoders: &Pool) -> Vec<Prepared> {
    let threads = config.worker.decoders().clamp(1, paths.len().max(1));
    let share = paths.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = paths
            .chunks(share)
            .map(|part| {
                scope.spawn(move || part.iter().map(|path| prepare_one(path, config, decoders)).collect::<Vec<_>>())
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("reading and asking a decoder do not panic"))
            .collect()
    })
}

fn prepare_one(path: &Path, config: &Config, decoders: &Pool) -> Prepared {
    let name = path.to_string_lossy().into_owned();
    let request = Request {
        key: SubmissionKey { tenant: "default".into(), submission_id: name.clone(), generation: 0 },
        image: ImageRef { key: name, ..ImageRef::default() },
        deadline: None,
        purpose: Purpose::Live,
        metadata: serde_json::Map::new(),
        context: Context::default(),
    };
    let result = read_and_decode(path, &request, config, decoders);
    Prepared { request, result }
}

fn read_and_decode(
    path: &Path,
    request: &Request,
    config: &Config,
    decoders: &Pool,
) -> Result<Decoded, (FailureCode, String)> {
    let started = Instant::now();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => (FailureCode::AccessDenied, error.to_string()),
        _ => (FailureCode::ObjectNotFound, error.to_string()),
    };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    let most = config.objects.max_bytes;
    if length > most {
        return Err((FailureCode::TooLarge, format!("{length} bytes, more than the {most} of objects.max_bytes")));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    let fetch = started.elapsed();
    let started = Instant::now();
    let decoded = decoders.decode(&bytes).map_err(|error| (decoding::failure_code(&error), error.to_string()))?;
    let image = JudgedImage {
        bucket: String::new(),
        key: request.image.key.clone(),
        version_id: None,
        etag: None,
        sha256: hex::encode(Sha256::digest(&bytes)),
        bytes: bytes.len() as u64,
        format: decoding::image_format(decoded.format),
        width: decoded.width,
        height: decoded.height,
    };
    let milliseconds = |time: Duration| time.as_millis() as u64;
    let timing = Timing { fetch: milliseconds(fetch), decode: milliseconds(started.elapsed()), ..Timing::default() };
    let (observed, crops) = decoding::observed(image, decoded);
    Ok(Decoded { crops, observed, timing })
}

/// One outcome for each prepared file, in order.
fn score(
    prepared: Vec<Prepared>,
    detector: &mut dyn Detector,
    judge: &Judge,
    batch_size: usize,
) -> Result<Vec<Outcome>, End> {
    let images: Vec<Vec<&Crop>> =
        prepared.iter().filter_map(|item| Some(item.result.as_ref().ok()?.crops.iter().collect())).collect();
    let mut scores = Vec::with_capacity(images.len());
    for batch in images.chunks(batch_size) {
        let started = Instant::now();
        let batch_scores = score_images(detector, batch, batch_size).map_err(End::work)?;
        let infer = started.elapsed().as_millis() as u64;
        let crops = batch.iter().map(Vec::len).sum::<usize>().min(batch_size) as u32;
        scores.extend(batch_scores.into_iter().map(|score| (score, infer, crops)));
    }
    let mut scores = scores.into_iter();
    let now = OffsetDateTime::now_utc();
    let outcomes = prepared.into_iter().map(|Prepared { request, result }| {
        let failure = |code, detail: String| Outcome::Failure(Box::new(Failure::new(&request, code, detail, now)));
        let Decoded { observed, timing, .. } = match result {
            Ok(found) => found,
            Err((code, detail)) => return failure(code, detail),
        };
        match scores.next().expect("there is a score for each decoded image") {
            (Ok(scores), infer, batch_size) => {
                let timing = Timing { infer, ..timing };
                let grounds = Grounds::Scored { scores, batch_size };
                let evidence = Evidence { observed, grounds, timing, predecessors: Predecessors::default() };
                Outcome::Verdict(Box::new(judge.verdict(&request, evidence, now)))
            }
            (Err(error), ..) => failure(FailureCode::InferenceFailed, error.to_string()),
        }
    });
    Ok(outcomes.collect())
}

/// What is printed: a table with a progress bar for people, JSON lines for programs.
struct Report {
    json: bool,
    out: BufWriter<std::io::Stdout>,
    bar: ProgressBar,
    table: Table,
    started: Instant,
    failed: usize,
    judged: usize,
    header_due: bool,
}

impl Report {
    fn new(files: usize, json: bool) -> Report {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(files as u64) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files  {per_sec}  {eta} left");
        bar.set_style(style.expect("the template is well formed"));
        let table = Table::new();
        let out = BufWriter::new(std::io::stdout());
        Report { json, out, bar, table, started: Instant::now(), failed: 0, judged: 0, header_due: !json }
    }

    fn add(&mut self, path: &Path, outcome: &Outcome) -> std::io::Result<()> {
        match outcome {
            Outcome::Verdict(_) => self.judged += 1,
            Outcome::Failure(_) => self.failed += 1,
        }
        let line = if self.json {
            let mut document = serde_json::to_value(outcome)?;
            if let Value::Object(fields) = &mut document {
                fields.insert("path".into(), path.to_string_lossy().into());
            }
            document.to_string()
        } else {
            self.table.row(&path.to_string_lossy(), outcome)
        };
        let header = std::mem::take(&mut self.header_due).then(|| self.table.header());
        let out = &mut self.out;
        self.bar.suspend(|| {
            if let Some(header) = header {
                writeln!(out, "{header}")?;
            }
            writeln!(out, "{line}")?;
            out.flush()
        })?;
        self.bar.inc(1);
        Ok(())
    }

    /// An error if anything was not judged.
    fn end(mut self, found: &Found) -> Result<(), End> {
        self.bar.finish_and_clear();
        if !self.json {
            let seconds = self.started.elapsed().as_secs_f64();
            let all = self.judged + self.failed;
            let rate = all as f64 / seconds.max(1e-9);
            let mut last = format!("{} judged, {} failed, {seconds:.1} s, {rate:.1} files/s", self.judged, self.failed);
            if let Some(note) = self.table.footnote() {
                last = format!("{note}\n{last}");
            }
            last += &not_judged(found);
            writeln!(self.out, "{last}").and_then(|()| self.out.flush()).map_err(End::work)?;
        }
        match self.failed + found.unreadable.len() {
            0 => Ok(()),
            _ => Err(End::work("").silent()),
        }
    }
}

/// What was not looked at, in words.
fn not_judged(found: &Found) -> String {
    let mut words = String::new();
    if found.others > 0 {
        words += &format!("; left out, being no images: {}", found.others);
    }
    if !found.unreadable.is_empty() {
        words += &format!("; {} could not be looked at:", found.unreadable.len());
        for problem in found.unreadable.iter().take(UNREADABLE) {
            words += &format!("\n  {}", harmless(problem));
        }
        if found.unreadable.len() > UNREADABLE {
            words += &format!("\n  and {} more", found.unreadable.len() - UNREADABLE);
        }
    }
    words
}
