//! `assay labels import`: annotation files become labels.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::commands::End;
use crate::commands::actor::actor;
use crate::commands::print::say;
use crate::commands::table::harmless;
use crate::config::Config;
use database::Database;
use domain::ImageRef;
use labels::annotations::{self, Annotation};
use labels::postgres::Postgres;
use labels::{Label, Labels, Recorded, Source};
use objects::s3::S3;
use objects::{FetchError, Objects, digest};

/// Images hashed at a time.
const WIDTH: usize = 8;
/// Labels recorded in one transaction.
const CHUNK: usize = 500;
/// Between two lines of progress where there is no terminal.
const TELL_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay labels import --annotations annotations/train.txt --root s3://datasets/imaginet
  assay labels import --annotations train.txt --root ../mini-imaginet --dry-run

The codes are those of configs/labels.toml, or of labels.file. Importing the same again adds nothing. Ends with 1 if an image
is missing; the others are imported.")]
pub(super) struct Args {
    /// The annotation file.
    #[arg(long, value_name = "FILE")]
    annotations: PathBuf,
    /// What the file's paths are below: a folder, or s3://bucket/prefix.
    #[arg(long, value_name = "DIR|s3://…")]
    root: String,
    /// What the labels weigh: corrections outweigh imports.
    #[arg(long, value_enum, default_value = "import")]
    source: As,
    /// Who says so; user@host unless given.
    #[arg(long)]
    actor: Option<String>,
    /// Read and hash everything, and record nothing.
    #[arg(long)]
    dry_run: bool,
    /// The summary in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum As {
    Import,
    Correction,
}

/// Where the images are.
enum Root {
    Folder(PathBuf),
    Bucket {
        s3: S3,
        bucket: String,
        /// Empty, or with a slash at its end.
        prefix: String,
        max_bytes: u64,
    },
}

#[derive(Default)]
struct Summary {
    new: u64,
    known: u64,
    /// Images that could not be read.
    missing: u64,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let vocabulary = config.labels.vocabulary()?;
    let unreadable =
        |error: std::io::Error| End::usage(format!("{} can't be read: {error}", args.annotations.display()));
    let text = std::fs::read_to_string(&args.annotations).map_err(unreadable)?;
    let annotations = annotations::read(&text, &vocabulary)
        .map_err(|error| End::usage(format!("{}: {error}", args.annotations.display())))?;
    let labels = Postgres::on(&Database::connect(&config.database).await?);
    let root = Root::of(&args.root, config).await?;
    let actor = args.actor.clone().unwrap_or_else(actor);
    let began = Instant::now();
    let bar = Bar::new(annotations.len() as u64);
    let mut summary = Summary::default();
    let hashed = stream::iter(annotations)
        .map(|annotation| async { (root.hash(&annotation.path).await, annotation) })
        .buffered(WIDTH);
    let mut chunks = std::pin::pin!(hashed.chunks(CHUNK));
    while let Some(chunk) = chunks.next().await {
        let mut read = Vec::with_capacity(chunk.len());
        for (hashed, annotation) in chunk {
            match hashed {
                Ok(sha256) => read.push(label(args, &root, &actor, annotation, sha256)),
                Err(Missing::Image(problem)) => {
                    summary.missing += 1;
                    bar.print(&format!("{}: {problem}", harmless(&annotation.path)));
                }
                Err(Missing::All(end)) => return Err(end),
            }
            bar.one();
        }
        if args.dry_run {
            summary.new += read.len() as u64;
            continue;
        }
        for heard in labels.record(&read).await? {
            match heard {
                Recorded::New => summary.new += 1,
                Recorded::Duplicate => summary.known += 1,
            }
        }
    }
    bar.end();
    summary.tell(args, began.elapsed());
    if summary.missing == 0 { Ok(()) } else { Err(End::work("").silent()) }
}

fn label(args: &Args, root: &Root, actor: &str, annotation: Annotation, sha256: String) -> Label {
    Label {
        sha256,
        location: root.location(&annotation.path),
        origin: annotation.origin,
        content_type: Some(annotation.content_type),
        generator: annotation.generator.map(|generator| generator.label),
        source: match args.source {
            As::Import => Source::Import,
            As::Correction => Source::Correction,
        },
        actor: actor.into(),
        reason: None,
        verdict_id: None,
        drawn_as: match args.source {
            As::Import => Some(labels::IMPORTED.into()),
            As::Correction => None,
        },
        grounds: Vec::new(),
        trains: true,
    }
}

impl Summary {
    fn tell(&self, args: &Args, took: Duration) {
        let Summary { new, known, missing } = self;
        let seconds = took.as_secs_f64();
        if args.json {
            let dry_run = args.dry_run;
            say!("{}", json!({"new": new, "known": known, "missing": missing, "dry_run": dry_run, "seconds": seconds}));
        } else if args.dry_run {
            say!("{new} could be imported, {missing} missing, {seconds:.1} s; nothing was recorded");
        } else {
            say!("{new} new, {known} known before, {missing} missing, {seconds:.1} s");
        }
    }
}

/// Why an image has no digest.
enum Missing {
    Image(String),
    /// Nor will the others.
    All(End),
}

impl Root {
    async fn of(text: &str, config: &Config) -> Result<Root, End> {
        let Some(place) = text.strip_prefix("s3://") else {
            let absolute = Path::new(text).canonicalize();
            return match absolute {
                Ok(folder) if folder.is_dir() => Ok(Root::Folder(folder)),
                Ok(_) => Err(End::usage(format!("--root {text:?} is no folder"))),
                Err(error) => Err(End::usage(format!("--root {text:?} can't be read: {error}"))),
            };
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(End::usage(format!("--root {text:?} names no bucket: write s3://bucket/prefix")));
        }
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let (s3, max_bytes) = (S3::connect(&config.objects).await, config.objects.max_bytes);
        s3.check(bucket).await?;
        Ok(Root::Bucket { s3, bucket: bucket.into(), prefix, max_bytes })
    }

    fn location(&self, path: &str) -> String {
        match self {
            Root::Folder(folder) => folder.join(path).display().to_string(),
            Root::Bucket { bucket, prefix, .. } => format!("s3://{bucket}/{prefix}{path}"),
        }
    }

    /// The sha256 of an image's bytes.
    async fn hash(&self, path: &str) -> Result<String, Missing> {
        match self {
            Root::Folder(folder) => {
                let file = folder.join(path);
                let hashed = tokio::task::spawn_blocking(move || digest(&file)).await;
                let hashed = hashed.map_err(|panic| Missing::All(End::work(panic)))?;
                hashed.map_err(|error| Missing::Image(error.to_string()))
            }
            Root::Bucket { s3, bucket, prefix, max_bytes } => {
                let key = format!("{prefix}{path}");
                let image = ImageRef { bucket: bucket.clone(), key, ..ImageRef::default() };
                match s3.fetch(&image, *max_bytes).await {
                    Ok(object) => Ok(object.sha256),
                    Err(error @ FetchError::Unavailable { .. }) => Err(Missing::All(End::unreachable(error))),
                    Err(error) => Err(Missing::Image(error.to_string())),
                }
            }
        }
    }
}

/// A bar on a terminal, a line now and then elsewhere.
struct Bar {
    bar: ProgressBar,
    told: std::cell::Cell<Instant>,
}

impl Bar {
    fn new(images: u64) -> Bar {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(images) } else { ProgressBar::hidden() };
        bar.set_length(images);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} images  {per_sec}  {eta}");
        bar.set_style(style.expect("the template is well formed"));
        Bar { bar, told: std::cell::Cell::new(Instant::now()) }
    }

    fn one(&self) {
        self.bar.inc(1);
        if self.bar.is_hidden() && self.told.get().elapsed() >= TELL_EVERY {
            self.told.set(Instant::now());
            eprintln!("{} of {} images", self.bar.position(), self.bar.length().unwrap_or(0));
        }
    }

    fn print(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
