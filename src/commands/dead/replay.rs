//! `assay dead replay`.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::letters::{Dead, Filter, printed};
use crate::commands::End;
use crate::commands::table::harmless;
use crate::config::Config;
use broker::Lane;
use broker::rabbit::{DeadLetters, Submitter};
use broker::topology::Topology;

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
    #[arg(long, value_name = "LANE")]
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    Live,
    Bulk,
}

impl Args {
    fn takes(&self, dead: &Dead) -> bool {
        let named = self.ids.is_empty() || self.ids.iter().any(|id| dead.id.starts_with(id.as_str()));
        named && self.filter.takes(dead)
    }

    /// The lane that a letter came from, unless told; what came from elsewhere counts as live.
    fn lane(&self, dead: &Dead, topology: &Topology) -> Lane {
        match self.to {
            Some(To::Live) => Lane::Live,
            Some(To::Bulk) => Lane::Bulk,
            None if dead.queue.as_deref() == Some(topology.lane(Lane::Bulk).as_str()) => Lane::Bulk,
            None => Lane::Live,
        }
    }
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    if args.ids.is_empty() && args.filter.is_empty() && !args.all {
        return Err(End::usage("which ones? Name ids or a filter (--reason, --queue, --submission), or say --all"));
    }
    let topology = Topology::new(&config.broker);
    let submitter = Submitter::connect(&config.broker).await?;
    let mut letters = DeadLetters::open(&config.broker).await?;
    let bar = ProgressBar::new(letters.left().into()).with_style(style());
    let mut pace = args.rate.map(paced);
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut replayed = 0_u64;
    loop {
        let next = tokio::select! {
            _ = &mut interrupted => break,
            next = letters.next() => next?,
        };
        let Some(letter) = next else { break };
        bar.inc(1);
        let dead = Dead::of(&letter);
        if !args.takes(&dead) {
            continue;
        }
        let lane = args.lane(&dead, &topology);
        if args.dry_run {
            if !args.json {
                printed(&format!("{}  to {}  {}", dead.id, topology.lane(lane), harmless(&dead.reason)))?;
            }
        } else {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            // In this order: a crash between the two leaves it in both, and the second verdict is the first one again.
            submitter.replay(lane, &letter).await?;
            letter.acknowledge().await?;
        }
        replayed += 1;
    }
    bar.finish_and_clear();
    letters.close().await;
    submitter.close().await;
    if args.json {
        return printed(&json!({ "replayed": replayed, "dry_run": args.dry_run }).to_string());
    }
    let done = if args.dry_run { "would be replayed" } else { "replayed" };
    printed(&format!("{replayed} {done}"))?;
    match args.ids.is_empty() || replayed > 0 {
        true => Ok(()),
        false => Err(End::work("no dead letter has such an id; `assay dead list` shows them")),
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
