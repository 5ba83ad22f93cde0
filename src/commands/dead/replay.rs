//! `assay dead replay`.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::letters::{Filter, LetterView, Named};
use crate::commands::End;
use crate::commands::print::say;
use crate::commands::table::harmless;
use crate::config::Config;
use crate::shutdown::interrupted;
use broker::rabbit::RabbitDeadLetters;
use broker::topology::Topology;
use broker::{DeadLetters, InboxQueue, InputQueue, RequestQueue};

/// Most ids that an error names.
const MAX_NAMED: usize = 5;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Their ids in the list, or the beginnings of them.
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// All of them.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// The queue to put them on, whatever the queue that they came from.
    #[arg(long, value_name = "QUEUE")]
    to: Option<To>,
    /// At most so many a second.
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
    /// Only say which it would be.
    #[arg(long)]
    dry_run: bool,
    /// A summary in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// Requests.
    #[value(alias = "live")]
    Images,
    /// Requests of the bulk queue.
    Bulk,
    /// Corrections.
    Labels,
    /// Decisions of people who reviewed.
    Decisions,
    Appeals,
}

impl From<To> for InputQueue {
    fn from(to: To) -> InputQueue {
        match to {
            To::Images => InputQueue::Requests(RequestQueue::Live),
            To::Bulk => InputQueue::Requests(RequestQueue::Bulk),
            To::Labels => InputQueue::Inbox(InboxQueue::Corrections),
            To::Decisions => InputQueue::Inbox(InboxQueue::Decisions),
            To::Appeals => InputQueue::Inbox(InboxQueue::Appeals),
        }
    }
}

/// What became of the letters that were chosen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    replayed: u64,
    /// Ids of those that stay, because it is not known which queue they came from.
    of_unknown_origin: Vec<String>,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    if args.ids.is_empty() && args.filter.is_empty() && !args.all {
        return Err(End::usage("which ones? Name ids or a filter (--reason, --queue, --submission), or say --all"));
    }
    if !args.ids.is_empty() {
        // All are looked at before one is replayed.
        let mut letters = Box::new(RabbitDeadLetters::open(&config.broker).await?);
        let unambiguous = check_ids(&args.ids, letters.as_mut()).await;
        letters.close().await;
        unambiguous?;
    }
    let mut letters = Box::new(RabbitDeadLetters::open(&config.broker).await?);
    let bar = ProgressBar::new(letters.remaining().into()).with_style(style());
    let summary = replay(args, letters.as_mut(), &Topology::new(&config.broker), &bar).await;
    bar.finish_and_clear();
    letters.close().await;
    summary?.tell(args)
}

async fn check_ids(ids: &[String], letters: &mut dyn DeadLetters) -> Result<(), End> {
    let mut named = Named::new(ids);
    while let Some(letter) = letters.next().await? {
        named.see(&LetterView::of(&letter));
    }
    named.check()
}

/// Replays the letters that are chosen, until none is left or Ctrl-C.
async fn replay(
    args: &Args,
    letters: &mut dyn DeadLetters,
    topology: &Topology,
    bar: &ProgressBar,
) -> Result<Summary, End> {
    let mut pace = args.rate.map(paced);
    let mut interrupted = std::pin::pin!(interrupted());
    let mut summary = Summary::default();
    loop {
        let next = tokio::select! {
            () = &mut interrupted => break,
            next = letters.next() => next?,
        };
        let Some(letter) = next else { break };
        bar.inc(1);
        let view = LetterView::of(&letter);
        if !args.choose(&view) {
            continue;
        }
        let Some(queue) = args.to.map(InputQueue::from).or(view.origin) else {
            summary.of_unknown_origin.push(view.id);
            continue;
        };
        if args.dry_run {
            if !args.json {
                say!("{}  to {}  {}", view.id, topology.input(queue, &letter.message.body), harmless(&view.reason));
            }
        } else {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            letters.replay(letter, queue).await?;
        }
        summary.replayed += 1;
    }
    Ok(summary)
}

impl Args {
    fn choose(&self, letter: &LetterView) -> bool {
        let is_named = |id: &String| letter.digest.starts_with(&id.to_ascii_lowercase());
        let named = self.ids.is_empty() || self.ids.iter().any(is_named);
        named && self.filter.matches(letter)
    }
}

impl Summary {
    fn tell(&self, args: &Args) -> Result<(), End> {
        let Summary { replayed, of_unknown_origin } = self;
        let (dry_run, left) = (args.dry_run, of_unknown_origin.len());
        match args.json {
            true => say!("{}", json!({ "replayed": replayed, "of_unknown_origin": left, "dry_run": dry_run })),
            false => say!("{replayed} {}", if dry_run { "would be replayed" } else { "replayed" }),
        }
        if left > 0 {
            return Err(End::work(self.unknown_origin()));
        }
        match args.ids.is_empty() || *replayed > 0 {
            true => Ok(()),
            false => Err(End::work("no dead letter has such an id; `assay dead list` shows them")),
        }
    }

    fn unknown_origin(&self) -> String {
        let mut ids: Vec<_> = self.of_unknown_origin.iter().take(MAX_NAMED).map(String::as_str).collect();
        if self.of_unknown_origin.len() > MAX_NAMED {
            ids.push("…");
        }
        let (count, ids) = (self.of_unknown_origin.len(), ids.join(", "));
        format!(
            "{count} not replayed, because no header says which queue they came from ({ids}); \
             name it with --to images, --to bulk or --to labels"
        )
    }
}

fn paced(rate: NonZeroU32) -> Interval {
    let mut pace = interval(Duration::from_secs(1) / rate.get());
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos} of {len} looked at, {per_sec}, {eta} left")
        .expect("the template is well formed")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use broker::memory::{Fault, Memory};
    use broker::wire::{Message, headers};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn args(arguments: &[&str]) -> Args {
        Command::try_parse_from([&["replay"], arguments].concat()).unwrap().args
    }

    async fn replayed(broker: &Memory, arguments: &[&str]) -> Result<Summary, End> {
        let topology = Topology::new(&Config::load(None).unwrap().broker);
        let mut letters = broker.dead_letters();
        replay(&args(arguments), &mut letters, &topology, &ProgressBar::hidden()).await
    }

    fn letter(body: &str, queue: Option<&str>) -> Message {
        let mut message = Message { body: body.into(), ..Message::default() };
        if let Some(queue) = queue {
            message.properties.headers.insert(headers::QUEUE.into(), queue.into());
        }
        message
    }

    fn bodies(broker: &Memory, queue: InputQueue) -> Vec<String> {
        broker.ready(queue).into_iter().map(|message| String::from_utf8(message.body).unwrap()).collect()
    }

    const IMAGES: InputQueue = InputQueue::Requests(RequestQueue::Live);
    const BULK: InputQueue = InputQueue::Requests(RequestQueue::Bulk);

    #[tokio::test]
    async fn each_letter_is_replayed_to_the_queue_that_it_came_from() {
        let broker = Memory::new(1);
        for (body, queue) in [("a", "memory.images"), ("b", "memory.images.bulk"), ("c", "memory.labels")] {
            broker.put_dead(letter(body, Some(queue)));
        }
        let summary = replayed(&broker, &["--all"]).await.unwrap();
        assert_eq!(summary, Summary { replayed: 3, of_unknown_origin: vec![] });
        let found = [IMAGES, BULK, InputQueue::Inbox(InboxQueue::Corrections)].map(|queue| bodies(&broker, queue));
        assert_eq!(found, [["a"], ["b"], ["c"]]);
        assert!(broker.dead().is_empty());
    }

    #[tokio::test]
    async fn a_letter_of_unknown_origin_stays_until_a_queue_is_named() {
        let broker = Memory::new(1);
        let letters = [letter("a", None), letter("b", Some("another.images")), letter("c", Some("memory.labels"))];
        for letter in letters.clone() {
            broker.put_dead(letter);
        }
        let summary = replayed(&broker, &["--all"]).await.unwrap();
        assert_eq!((summary.replayed, summary.of_unknown_origin.len()), (1, 2));
        let end = summary.tell(&args(&["--all"])).unwrap_err();
        assert_eq!(end.code(), 1);
        let message = end.message().unwrap();
        for part in ["2 not replayed", &summary.of_unknown_origin[0], "--to images, --to bulk or --to labels"] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        assert_eq!(broker.dead(), letters[..2]);
        let summary = replayed(&broker, &["--all", "--to", "labels"]).await.unwrap();
        assert_eq!((summary.replayed, summary.of_unknown_origin.len()), (2, 0));
        assert_eq!(bodies(&broker, InputQueue::Inbox(InboxQueue::Corrections)), ["c", "a", "b"]);
    }

    #[tokio::test]
    async fn ids_that_are_of_none_or_of_several_are_refused_before_anything_is_replayed() {
        let broker = Memory::new(1);
        for body in ["a", "b"] {
            broker.put_dead(letter(body, Some("memory.images")));
        }
        let check = async |id: &str| check_ids(&[id.to_string()], &mut broker.dead_letters()).await;
        assert_eq!(check("").await.unwrap_err().code(), 2);
        assert_eq!(check("zz").await.unwrap_err().code(), 1);
        let id = LetterView::of(&broker.dead_letters().next().await.unwrap().unwrap()).id;
        assert!(check(&id).await.is_ok());
    }

    #[tokio::test]
    async fn a_letter_that_could_not_be_published_stays_as_it_was() {
        let broker = Memory::new(1);
        let dead = letter("a", Some("memory.labels"));
        broker.put_dead(dead.clone());
        for fault in [Fault::Lost, Fault::Unroutable] {
            broker.fail_publications([fault]);
            assert_eq!(replayed(&broker, &["--all"]).await.unwrap_err().code(), 3);
            assert_eq!(broker.dead(), std::slice::from_ref(&dead));
        }
        assert_eq!(replayed(&broker, &["--all", "--dry-run"]).await.unwrap().replayed, 1);
        assert_eq!(broker.dead(), [dead]);
        assert!(bodies(&broker, InputQueue::Inbox(InboxQueue::Corrections)).is_empty());
    }

    #[test]
    fn the_queue_is_named_as_in_its_own_name_and_live_is_images() {
        let named = |name| InputQueue::from(args(&["--all", "--to", name]).to.unwrap());
        assert_eq!([named("images"), named("live"), named("bulk")], [IMAGES, IMAGES, BULK]);
        assert_eq!(named("labels"), InputQueue::Inbox(InboxQueue::Corrections));
    }
}
