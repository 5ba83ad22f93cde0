//! `assay dead`: lists, shows and replays dead letters.

mod letters;
mod replay;

use clap::{Args as ClapArgs, Parser, Subcommand};
use serde_json::json;

use super::End;
use super::print::say;
use super::table::{fit, harmless};
use crate::config::Config;
use broker::DeadLetters;
use broker::rabbit::RabbitDeadLetters;
use letters::{Filter, LetterView};

/// Inspect and replay the dead letters: messages that could not be read, that contradict what stands, or that the
/// broker gave up.
#[derive(Debug, Parser)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  assay dead list --reason \"no JSON\"         which, since when, and why
  assay dead show 3f9c21aa                    all of one: reason, headers, body
  assay dead replay 3f9c21aa                  onto the queue that it came from, as it first came
  assay dead replay --reason \"more than the\" --rate 20 --dry-run
  assay dead replay --queue assay.images --to bulk

The first 10,000 are looked at. Replayed letters leave the dead letters once the broker has confirmed them in their queue;
their attempts are counted anew. Letters that don't say which queue they came from stay, unless --to names one. Workers go
on meanwhile."
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// One line for each, oldest first.
    List(List),
    /// One of them, whole: reason, headers and body.
    Show(Show),
    /// Put them back on their queue, body and headers as they first came.
    Replay(replay::Args),
}

#[derive(Debug, ClapArgs)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// At most so many lines.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// JSON lines, with headers and body.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Show {
    /// Its id in the list, or the beginning of it.
    id: String,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    match &args.action {
        Action::List(list) => self::list(list, config).await,
        Action::Show(show) => self::show(show, config).await,
        Action::Replay(args) => replay::run(args, config).await,
    }
}

async fn list(args: &List, config: &Config) -> Result<(), End> {
    let mut letters = Box::new(RabbitDeadLetters::open(&config.broker).await?);
    let all = letters.remaining();
    let mut shown = 0;
    if !args.json && all > 0 {
        say!("{:<8}  {:<20}  {:<18}  {:<28}  {:>7}  reason", "id", "dead since", "from", "submission", "bytes");
    }
    while let Some(letter) = letters.next().await? {
        let letter = LetterView::of(&letter);
        if !args.filter.matches(&letter) {
            continue;
        }
        if shown == args.limit {
            tracing::info!(limit = args.limit, "there are more; raise --limit");
            break;
        }
        shown += 1;
        let line = if args.json { letter.document().to_string() } else { row(&letter) };
        say!("{line}");
    }
    letters.close().await;
    match (args.json, all) {
        (true, _) => {}
        (false, 0) => say!("no dead letters"),
        (false, all) => say!("{shown} shown of {all} dead letters"),
    }
    Ok(())
}

fn row(letter: &LetterView) -> String {
    format!(
        "{:<8}  {:<20}  {:<18}  {:<28}  {:>7}  {}",
        letter.id,
        harmless(letter.at.as_deref().and_then(|at| at.get(..19)).unwrap_or("–")),
        fit(letter.queue.as_deref().unwrap_or("–"), 18),
        fit(letter.submission.as_deref().unwrap_or("–"), 28),
        letter.body.len(),
        harmless(&letter.reason)
    )
}

async fn show(args: &Show, config: &Config) -> Result<(), End> {
    let mut letters = Box::new(RabbitDeadLetters::open(&config.broker).await?);
    let mut found = None;
    while let Some(letter) = letters.next().await? {
        let letter = LetterView::of(&letter);
        if letter.id.starts_with(&args.id) {
            found = Some(letter);
            break;
        }
    }
    letters.close().await;
    let Some(letter) = found else {
        return Err(End::work(format!("no dead letter has the id {:?}; `assay dead list` shows them", args.id)));
    };
    if args.json {
        say!("{}", letter.document());
        return Ok(());
    }
    say!("id          {}", letter.id);
    say!("reason      {}", harmless(&letter.reason));
    say!("dead since  {}", letter.at.as_deref().map_or("an unknown time".into(), harmless));
    say!("from        {}", letter.queue.as_deref().map_or("an unknown queue".into(), harmless));
    say!("submission  {}", letter.submission.as_deref().map_or("none that can be read".into(), harmless));
    for (name, value) in &letter.headers {
        say!("header      {}: {}", harmless(name), harmless(value));
    }
    say!("body        {} bytes", letter.body.len());
    let body = match serde_json::from_slice::<serde_json::Value>(&letter.body) {
        Ok(document) => format!("{document:#}"),
        Err(_) => String::from_utf8_lossy(&letter.body).lines().map(harmless).collect::<Vec<_>>().join("\n"),
    };
    say!("{body}");
    Ok(())
}

impl LetterView {
    fn document(&self) -> serde_json::Value {
        let body = match serde_json::from_slice(&self.body) {
            Ok(document) => document,
            Err(_) => json!(String::from_utf8_lossy(&self.body)),
        };
        json!({
            "id": self.id, "reason": self.reason, "at": self.at, "queue": self.queue, "submission_id": self.submission,
            "headers": self.headers, "bytes": self.body.len(), "body": body,
        })
    }
}
