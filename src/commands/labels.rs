//! `assay labels`: what people say images are, for the models to be trained on.

mod annotate;
mod import;

use std::sync::Arc;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use serde_json::json;

use super::End;
use super::print::say;
use super::table::harmless;
use crate::config::Config;
use crate::corrections::CorrectionHandler;
use crate::inbox::{self, Drained, InboxError};
use crate::moment::moment;
use broker::rabbit::{RabbitInbox, RabbitInboxes};
use broker::{Inbox, InboxQueue, Inboxes};
use database::Database;
use labels::postgres::Postgres;
use labels::{Labels, RecordedLabel, VocabularyError};

use crate::shutdown::Shutdown;
use objects::s3::S3;

/// Import labels, take corrections from their queue, and show what is labelled.
#[derive(Debug, Parser)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  assay labels annotate real/ fake/ > train.txt
  assay labels import --annotations train.txt --root s3://datasets/imaginet
  assay labels drain                          take the corrections that are there
  assay labels list                           how many images are labelled as what
  assay labels list --history SHA256          everything that was said about one image

Of each image the latest label counts, and corrections outrank imports. Nothing is ever overwritten."
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write an annotation file of two folders of images, one of real and one of synthetic ones.
    Annotate(annotate::Args),
    /// Read an annotation file (path,origin,content_type,model,specific_model), hash its images, and record their labels.
    Import(import::Args),
    /// How many images are labelled as what; or what was said about one.
    List(List),
    /// Take the corrections that wait in their queue, until none is left.
    Drain {
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Take corrections as they come, until told to stop.
    Listen,
}

#[derive(Debug, ClapArgs)]
struct List {
    /// All labels of the image with these bytes.
    #[arg(long, value_name = "SHA256")]
    history: Option<String>,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    match &args.action {
        Action::Annotate(args) => annotate::run(args, config),
        Action::Import(args) => import::run(args, config).await,
        Action::List(args) => list(args, config).await,
        Action::Drain { json } => {
            tell(drain_corrections(config).await?, *json);
            Ok(())
        }
        Action::Listen => {
            let handler = correction_handler(config).await?;
            let shutdown = Shutdown::on_signals(Duration::from_secs_f32(config.worker.grace_s)).map_err(End::work)?;
            let inboxes = RabbitInboxes(config.broker.clone());
            let corrections = (&inboxes as &dyn Inboxes, InboxQueue::Corrections);
            tell(inbox::listen(corrections, &handler, &shutdown.stop).await?, false);
            Ok(())
        }
    }
}

/// Makes labels of the corrections that wait in their queue.
pub(super) async fn drain_corrections(config: &Config) -> Result<Drained, End> {
    let handler = correction_handler(config).await?;
    let mut queue = Box::new(RabbitInbox::open(&config.broker, InboxQueue::Corrections).await?);
    let taken = inbox::drain(queue.as_mut(), &handler).await;
    queue.close().await;
    Ok(taken?)
}

async fn correction_handler(config: &Config) -> Result<CorrectionHandler, End> {
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    Ok(CorrectionHandler {
        labels: Arc::new(Postgres::on(&database)),
        ledger: Arc::new(ledger::postgres::Postgres::on(&database)),
        objects: Arc::new(S3::connect(&config.objects).await),
        vocabulary: config.labels.vocabulary()?,
        allowed: config.objects.allowed(),
        tenants: config.broker.tenants.clone(),
        max_object_bytes: config.objects.max_bytes,
    })
}

fn tell(drained: Drained, json: bool) {
    let Drained { new, known, dead } = drained;
    if json {
        say!("{}", json!({"new": new, "known": known, "dead": dead}));
    } else {
        say!("{new} new labels, {known} known before, {dead} to the dead letters");
    }
}

async fn list(args: &List, config: &Config) -> Result<(), End> {
    let labels = Postgres::on(&Database::connect(&config.database).await?);
    if let Some(sha256) = &args.history {
        let words = labels.history(&sha256.to_ascii_lowercase()).await?;
        if words.is_empty() {
            return Err(End::work(format!("there are no labels for {sha256}; it is the sha256 of an image's bytes")));
        }
        if args.json {
            say!("{}", json!({"history": words}));
        } else {
            words.iter().for_each(|word| say!("{}", line(word)));
        }
        return Ok(());
    }
    let counts = labels.counts().await?;
    let images: u64 = counts.iter().map(|count| count.images).sum();
    if args.json {
        say!("{}", json!({"images": images, "labels": counts}));
        return Ok(());
    }
    if images == 0 {
        say!("no labels; `assay labels import` takes annotation files, `assay labels drain` corrections");
        return Ok(());
    }
    say!("{:<10} {:<16} {:<24} {:>9}", "origin", "content type", "generator", "images");
    for count in &counts {
        let (content, generator) = (count.content_type.as_deref(), count.generator.as_deref());
        let (content, generator) = (harmless(content.unwrap_or("–")), harmless(generator.unwrap_or("–")));
        say!("{:<10} {content:<16} {generator:<24} {:>9}", count.origin, count.images);
    }
    say!("{:<52} {images:>9}", "in all");
    Ok(())
}

/// What was said, on one line.
pub(super) fn line(word: &RecordedLabel) -> String {
    let RecordedLabel { said_at, label, .. } = word;
    let what = [Some(label.origin.as_str()), label.content_type.as_deref(), label.generator.as_deref()];
    let what = what.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let reason = label.reason.as_ref().map_or(String::new(), |reason| format!(": {}", harmless(reason)));
    let (actor, location) = (harmless(&label.actor), harmless(&label.location));
    format!("{}  {:<10}  {what:<36}  {actor}{reason}  ({location})", moment(*said_at), label.source.as_str())
}

impl From<VocabularyError> for End {
    fn from(error: VocabularyError) -> End {
        End::usage(error)
    }
}

impl From<InboxError> for End {
    fn from(error: InboxError) -> End {
        match error {
            InboxError::Broker(error) => error.into(),
            InboxError::Database(error) => error.into(),
            InboxError::Objects(_) => End::unreachable(error),
        }
    }
}
