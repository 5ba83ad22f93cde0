//! `assay dead`: lists, shows, replays and drops dead letters.

mod letters;
mod replay;

use clap::{Args as ClapArgs, Parser, Subcommand};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::End;
use super::print::say;
use super::table::{fit, harmless};
use crate::config::Config;
use crate::moment::moment;
use broker::DeadLetters;
use broker::rabbit::RabbitDeadLetters;
use letters::{Filter, LetterView, Named};

/// Inspect, replay and drop the dead letters: messages that could not be read, that contradict what stands, or that the
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
  assay dead drop 3f9c21aa                    for good: what its sender has corrected and sent again

The first 10,000 are looked at. Replayed letters leave the dead letters once the broker has confirmed them in their queue;
their attempts are counted anew. An id may be written by its beginning, as long as it is that of one letter. Letters that don't say which queue they came from stay, unless --to names one. Workers go
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
    /// Take them out for good. Nobody gets an answer to them any more.
    Drop(DropArgs),
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

#[derive(Debug, ClapArgs)]
struct DropArgs {
    /// Their ids in the list, or the beginnings of them.
    #[arg(required = true)]
    ids: Vec<String>,
    /// JSON lines: each letter, whole.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    match &args.action {
        Action::List(list) => self::list(list, config).await,
        Action::Show(show) => self::show(show, config).await,
        Action::Replay(args) => replay::run(args, config).await,
        Action::Drop(args) => {
            let mut letters = Box::new(RabbitDeadLetters::open(&config.broker).await?);
            let dropped = discard(args, letters.as_mut()).await;
            letters.close().await;
            dropped
        }
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

/// When a letter died, of its header: another program may have written it.
fn died(at: &str) -> String {
    OffsetDateTime::parse(at, &Rfc3339).map_or_else(|_| fit(at, 20), moment)
}

fn row(letter: &LetterView) -> String {
    format!(
        "{:<8}  {:<20}  {:<18}  {:<28}  {:>7}  {}",
        letter.id,
        letter.at.as_deref().map_or("–".into(), died),
        fit(letter.queue.as_deref().unwrap_or("–"), 18),
        fit(letter.submission.as_deref().unwrap_or("–"), 28),
        letter.body.len(),
        harmless(&letter.reason)
    )
}

async fn show(args: &Show, config: &Config) -> Result<(), End> {
    let mut letters = Box::new(RabbitDeadLetters::open(&config.broker).await?);
    let (mut named, mut found) = (Named::new(std::slice::from_ref(&args.id)), None);
    while let Some(letter) = letters.next().await? {
        let letter = LetterView::of(&letter);
        if named.see(&letter) {
            found.get_or_insert(letter);
        }
    }
    letters.close().await;
    named.check()?;
    let Some(letter) = found else { return Ok(()) };
    if args.json {
        say!("{}", letter.document());
        return Ok(());
    }
    say!("id          {}", letter.id);
    say!("reason      {}", harmless(&letter.reason));
    say!("dead since  {}", letter.at.as_deref().map_or("an unknown time".into(), died));
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

/// Looks at all before it drops one: an id that is not that of one letter drops none.
async fn discard(args: &DropArgs, letters: &mut dyn DeadLetters) -> Result<(), End> {
    let (mut named, mut chosen) = (Named::new(&args.ids), Vec::new());
    while let Some(letter) = letters.next().await? {
        let view = LetterView::of(&letter);
        if named.see(&view) {
            chosen.push((letter, view));
        }
    }
    named.check()?;
    for (letter, view) in chosen {
        letters.discard(letter).await?;
        match args.json {
            true => say!("{}", view.document()),
            false => say!(
                "dropped {}  {}  {}",
                view.id,
                fit(view.submission.as_deref().unwrap_or("–"), 28),
                harmless(&view.reason)
            ),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use broker::memory::Memory;
    use broker::wire::Message;

    async fn drop_(broker: &Memory, ids: &[&str]) -> Result<(), End> {
        let args = DropArgs { ids: ids.iter().map(|id| (*id).to_string()).collect(), json: true };
        let mut letters = broker.dead_letters();
        discard(&args, &mut letters).await
    }

    #[tokio::test]
    async fn a_letter_is_dropped_for_good_and_none_where_one_is_not_known() {
        let broker = Memory::new(1);
        for body in ["a", "b", "c"] {
            broker.put_dead(Message { body: body.into(), ..Message::default() });
        }
        let mut ids = Vec::new();
        let mut letters = broker.dead_letters();
        while let Some(letter) = letters.next().await.unwrap() {
            ids.push(LetterView::of(&letter).id);
        }
        drop(letters);
        let bodies = || broker.dead().iter().map(|letter| letter.body.clone()).collect::<Vec<_>>();
        assert_eq!(drop_(&broker, &[&ids[1], "zz"]).await.unwrap_err().code(), 1);
        assert_eq!(drop_(&broker, &[""]).await.unwrap_err().code(), 2);
        assert_eq!(bodies(), [b"a", b"b", b"c"], "none was dropped, and they are in their order");
        drop_(&broker, &[&ids[1]]).await.unwrap();
        assert_eq!(bodies(), [b"a", b"c"]);
    }
}
