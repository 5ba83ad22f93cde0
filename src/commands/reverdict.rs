//! `assay reverdict`: judging again what was judged before.

mod show;
mod which;

use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;
use uuid::Uuid;

use super::End;
use super::actor::actor;
use super::alone::{Holder, alone};
use super::print::say;
use crate::config::Config;
use crate::moment::moment;
use crate::shutdown::interrupted;
use broker::Submitter;
use broker::rabbit::RabbitSubmitter;
use campaign::{By, Campaign, Cost, Created, Job, JobError, Limits, Postgres, Selection};
use database::Database;
use ledger::workers::{SILENT_AFTER, Workers};
use registry::Registry;
use show::{list, show, suppose};
use which::{OtherPolicy, Which};

/// Of whoever feeds the bulk queue: after this long without a word another one may.
const LEASE: Duration = Duration::from_secs(60);
/// Why a campaign waits that a person has paused.
const PAUSED: &str = "somebody has paused it";

/// Judge again what was judged before, by the model that is at work now.
///
/// A campaign is what a selection chooses of the verdicts in force, at one moment, without what this model has judged already. Each is
/// submitted as its next generation, by the bulk queue: first what is called synthetic, then what lies nearest the thresholds. What
/// changed is published under `verdict.<tenant>.<decision>`, what did not under `unchanged.<tenant>.<decision>`.
#[derive(Debug, Parser)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  assay reverdict plan --model 2026-10-01-small              what it would cost
  assay reverdict plan --thresholds 0.3,0.9                  what other thresholds would change, from the scores that are kept
  assay reverdict run --model 2026-10-01-small --reason 'accused photographs' --stop-after-flips 1000
  assay reverdict run --campaign 0b6c3f0e-…                  go on with one that was paused, stopped or killed
  assay reverdict pause 0b6c3f0e-…                           what is in the queue is judged, and no more is submitted
  assay reverdict show                                       all campaigns
  assay reverdict show 0b6c3f0e-… --by generator             what one has changed
  assay reverdict end 0b6c3f0e-…                             give the rest of it up"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Count what a selection chooses, in verdicts, bytes and hours of a device.
    Plan {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        policy: OtherPolicy,
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Begin a campaign, or go on with the one of the same selection that has not ended, and feed the bulk queue until it has ended.
    Run(Box<Run>),
    /// Submit no more of a campaign, until `run --campaign`.
    Pause { campaign: Uuid },
    /// Give up what is not submitted yet; other campaigns may have it.
    End { campaign: Uuid },
    /// List campaigns, or say what one has changed.
    Show {
        campaign: Option<Uuid>,
        #[arg(long, value_enum, default_value_t)]
        by: Groups,
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, ClapArgs)]
struct Run {
    #[command(flatten)]
    which: Which,
    /// Why; it is kept.
    #[arg(long, value_name = "TEXT", required_unless_present = "campaign")]
    reason: Option<String>,
    /// Go on with this one, with what it has selected.
    #[arg(long, value_name = "ID", conflicts_with_all = ["since", "until", "tenant", "model", "decision", "min_score", "max_score", "generator", "label", "same_model", "reason"])]
    campaign: Option<Uuid>,
    /// Most messages in the bulk queue.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Submit nothing while live uploads wait longer than this, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    live_wait: f32,
    /// Stop when so many decisions have changed, for a person to look.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    stop_after_flips: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Groups {
    #[default]
    All,
    Tenant,
    Generator,
    Format,
    Label,
}

impl From<JobError> for End {
    fn from(error: JobError) -> End {
        match error {
            JobError::Database(error) => error.into(),
            JobError::Broker(error) => error.into(),
            JobError::Unknown(_) => End::work(error),
        }
    }
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    let postgres = Postgres::on(&database);
    match &args.action {
        Action::Plan { which, policy, json } => match policy.policy()? {
            Some(policy) => suppose(&postgres, &which.selection()?, &policy, *json).await,
            None => plan(&postgres, &which.selection()?, &model(&database).await?, *json).await,
        },
        Action::Run(args) => feed(&database, &postgres, args, config).await,
        Action::Pause { campaign } => {
            let campaign = known(&postgres, *campaign).await?;
            if campaign.state != "running" {
                return Err(End::work(format!(
                    "campaign {} is {}: there is nothing to pause",
                    campaign.id, campaign.state
                )));
            }
            postgres.set_state(campaign.id, "paused", Some(PAUSED)).await?;
            say!("campaign {} is paused; {} messages of it are still to be judged", campaign.id, campaign.awaited);
            Ok(())
        }
        Action::End { campaign } => {
            let campaign = known(&postgres, *campaign).await?;
            if !postgres.end(campaign.id, "somebody has ended it").await? {
                return Err(End::work(format!("campaign {} has ended already", campaign.id)));
            }
            say!("campaign {} has ended; {} of {} were not submitted", campaign.id, campaign.left(), campaign.items);
            Ok(())
        }
        Action::Show { campaign: None, json, .. } => list(&postgres, *json).await,
        Action::Show { campaign: Some(id), by, json } => show(&postgres, *id, *by, *json).await,
    }
}

/// The version that workers serve; without workers the one that is active.
async fn model(database: &Database) -> Result<String, End> {
    let reports = ledger::workers::postgres::Postgres::on(database).last_reports(SILENT_AFTER).await?;
    let mut at_work: Vec<String> = reports.into_iter().map(|last| last.report.model_version).collect();
    at_work.sort();
    at_work.dedup();
    match at_work.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            let active = registry::postgres::Postgres::on(database).active().await.map_err(End::work)?;
            let none =
                || End::work("no worker is at work, and no model is promoted: there is none to judge again with");
            Ok(active.ok_or_else(none)?.version)
        }
        several => Err(End::work(format!(
            "several models are at work ({}): wait until all workers follow one, `assay status` shows them",
            several.join(", ")
        ))),
    }
}

async fn known(postgres: &Postgres, id: Uuid) -> Result<Campaign, End> {
    postgres.campaign(id).await?.ok_or_else(|| JobError::Unknown(id).into())
}

async fn plan(postgres: &Postgres, selection: &Selection, model: &str, json: bool) -> Result<(), End> {
    let cost = postgres.cost(selection, model).await?;
    let hours = cost.seconds.map(|seconds| seconds * cost.verdicts as f64 / 3600.0);
    if json {
        let by_decision: serde_json::Map<_, _> =
            cost.by_decision.iter().map(|(decision, count)| (decision.clone(), json!(count))).collect();
        say!(
            "{}",
            json!({"model": model, "verdicts": cost.verdicts, "bytes": cost.bytes, "by_decision": by_decision,
                   "device_hours": hours, "in_other_campaigns": cost.taken})
        );
    } else {
        lines_of_cost(&cost, selection, model, hours).iter().for_each(|line| say!("{line}"));
    }
    if cost.verdicts == 0 { Err(nothing(selection, model)) } else { Ok(()) }
}

fn nothing(selection: &Selection, model: &str) -> End {
    End::work(format!(
        "nothing is to be judged again by {model}: {selection} matches no verdict in force of another model whose document is kept, \
         and that no other campaign holds; `assay reverdict show` lists campaigns"
    ))
}

fn lines_of_cost(cost: &Cost, selection: &Selection, model: &str, hours: Option<f64>) -> Vec<String> {
    let by_decision: Vec<_> = cost.by_decision.iter().map(|(decision, count)| format!("{count} {decision}")).collect();
    let hours =
        hours.map_or("not known: no verdict of the last week says".into(), |hours| format!("{hours:.2} of one device"));
    let mut lines = vec![
        format!("{selection}, to be judged by {model}"),
        format!("  {:<10} {} ({})", "verdicts", cost.verdicts, by_decision.join(", ")),
        format!("  {:<10} {}", "bytes", HumanBytes(cost.bytes)),
        format!("  {:<10} {hours}, by the last verdicts' times", "hours"),
    ];
    if cost.taken > 0 {
        lines.push(format!("  {:<10} {} are in another campaign, and are left out", "taken", cost.taken));
    }
    lines
}

async fn feed(database: &Database, postgres: &Postgres, args: &Run, config: &Config) -> Result<(), End> {
    let taken_over = "another `assay reverdict run` has taken over, since this one had said nothing for too long";
    let work = Box::pin(async {
        tokio::select! {
            end = run_campaign(database, postgres, args, config) => end,
            () = interrupted() => Err(End::work(
                "stopped; what is in the queue is judged. `assay reverdict show` lists campaigns, `run --campaign ID` goes on",
            )),
        }
    });
    match alone(database, ("reverdict", LEASE), taken_over, work).await? {
        None => Ok(()),
        Some(Holder { by, until }) => Err(End::work(format!(
            "{by} feeds the bulk queue, with the lease until {until}; one campaign at a time: `assay reverdict pause` it first"
        ))),
    }
}

async fn run_campaign(database: &Database, postgres: &Postgres, args: &Run, config: &Config) -> Result<(), End> {
    // Before a campaign is made that could not be run.
    let live_wait =
        Duration::try_from_secs_f32(args.live_wait).map_err(|error| End::usage(format!("--live-wait: {error}")))?;
    let submitter = RabbitSubmitter::connect(&config.broker).await?;
    let id = match args.campaign {
        Some(id) => known(postgres, id).await?.id,
        None => create(database, postgres, args).await?,
    };
    // The same call goes on with what it has begun, also where that is to stop later than before.
    if let Some(flips) = args.stop_after_flips {
        postgres.set_stop_after_flips(id, flips).await?;
    }
    let bar = bar();
    let workers = ledger::workers::postgres::Postgres::on(database);
    let job = Job {
        postgres,
        workers: &workers,
        submitter: &submitter,
        limits: Limits { window: args.window, live_wait },
        progress: &|campaign, why| {
            bar.set_length(campaign.items);
            bar.set_position(campaign.items.saturating_sub(campaign.left() + campaign.awaited));
            bar.set_message(format!(
                "{} decisions changed{}",
                campaign.flips,
                why.map_or(String::new(), |why| format!("; {why}"))
            ));
        },
        trouble: &|error, pause| {
            bar.suspend(|| tracing::warn!(%error, pause_s = pause.as_secs(), "a server is away: trying again"));
        },
    };
    let ended = job.run(id).await;
    bar.finish_and_clear();
    submitter.close().await;
    let campaign = ended?;
    let changes = postgres.changes(id, By::All).await?;
    changes.lines().iter().for_each(|line| say!("{line}"));
    let why = campaign.why.as_deref().unwrap_or("every result is there");
    say!("campaign {id}: {}, {} of {} decisions changed; {why}", campaign.state, campaign.flips, campaign.items);
    let how = match campaign.state.as_str() {
        "finished" => return Ok(()),
        "stopped" => format!(
            "`assay reverdict run --campaign {id} --stop-after-flips N`, with an N above {}, goes on",
            campaign.flips
        ),
        _ => format!(
            "`assay reverdict run --campaign {id}` goes on, with {} at work; `assay reverdict end {id}` gives the rest up",
            campaign.model
        ),
    };
    Err(End::work(how))
}

async fn create(database: &Database, postgres: &Postgres, args: &Run) -> Result<Uuid, End> {
    let (selection, model) = (args.which.selection()?, model(database).await?);
    if let Some(begun) = postgres.unfinished(&selection, &model).await? {
        if begun.state == "paused" && begun.why.as_deref() == Some(PAUSED) {
            return Err(End::work(format!(
                "campaign {0} of the same selection is paused, by a person: `assay reverdict run --campaign {0}` goes on with it",
                begun.id
            )));
        }
        say!(
            "going on with campaign {}, which was begun at {}: {selection}, judged by {model}",
            begun.id,
            moment(begun.created_at)
        );
        return Ok(begun.id);
    }
    let by = (actor(), args.reason.as_deref().unwrap_or_default());
    match postgres.create(&selection, &model, (&by.0, by.1), args.stop_after_flips).await? {
        Created::Campaign(id) => {
            say!("campaign {id}: {selection}, to be judged by {model}");
            Ok(id)
        }
        Created::Nothing => Err(nothing(&selection, &model)),
    }
}

fn bar() -> ProgressBar {
    use std::io::IsTerminal;
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {per_sec}, {eta} left  {msg}");
    bar.with_style(style.expect("the template is right"))
}
