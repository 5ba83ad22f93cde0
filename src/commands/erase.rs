//! `assay erase`: what is known of a submission, or of a person's, deleted.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Parser};
use indicatif::{ProgressBar, ProgressStyle};
use time::OffsetDateTime;
use uuid::Uuid;

use super::End;
use super::actor::actor;
use super::print::say;
use crate::config::Config;
use crate::moment::moment;
use crate::shutdown::interrupted;
use artefact::LearntImages;
use broker::Events;
use broker::rabbit::RabbitEvents;
use database::Database;
use erasure::{Counts, Ended, Files, Job, JobError, Postgres, Receipt, Selection, What};
use learn::retrain::file_cache;
use registry::Registry;

/// Delete what is known of a submission: its outcomes, the labels of its image, cached bytes.
///
/// A salted mark stays, by which a message that comes again is not judged again: it ends in the failure `erased`. Consumers are told by
/// `erased.<tenant>`. The receipt says what was deleted, what was kept and why, and what this command can't reach; it is kept, and
/// printed. Stopped anywhere, the same command goes on. Ends with 1 if there is nothing of it.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay erase --tenant forum --submission upload-4711 --dry-run   what it would delete
  assay erase --tenant forum --submission upload-4711
  assay erase --tenant forum --metadata user_id=4711              everything that a person has sent: looks at every row
  assay erase --tenant forum --sha256 9f86d0…                     one image, under whatever names
  assay erase --tenant forum                                      all of a tenant's; asks first
  assay erase --receipt 0b6c3f0e-…                                a receipt again")]
pub(super) struct Args {
    #[arg(long, required_unless_present = "receipt")]
    tenant: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Say what would be deleted, and delete nothing.
    #[arg(long, conflicts_with = "receipt")]
    dry_run: bool,
    /// Do not ask before everything of a tenant is deleted.
    #[arg(long)]
    yes: bool,
    /// The receipt of an earlier erasure.
    #[arg(long, value_name = "ERASURE_ID", conflicts_with_all = ["tenant", "submission", "sha256", "metadata"])]
    receipt: Option<Uuid>,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
struct Which {
    /// One submission, all its generations.
    #[arg(long, value_name = "SUBMISSION")]
    submission: Option<String>,
    /// Every submission of these bytes.
    #[arg(long, value_name = "DIGEST")]
    sha256: Option<String>,
    /// Every submission whose metadata says this.
    #[arg(long, value_name = "KEY=VALUE", value_parser = What::metadata)]
    metadata: Option<What>,
}

impl Which {
    fn what(&self) -> What {
        let submission = self.submission.clone().map(What::Submission);
        let what = submission.or_else(|| self.sha256.clone().map(What::Sha256)).or_else(|| self.metadata.clone());
        what.unwrap_or(What::Everything)
    }
}

impl From<JobError> for End {
    fn from(error: JobError) -> End {
        match error {
            JobError::Database(error) => error.into(),
            JobError::Broker(error) => error.into(),
            JobError::Files(_) | JobError::Moving | JobError::StillComing => End::work(error),
        }
    }
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    let postgres = Postgres::on(&database);
    if let Some(id) = args.receipt {
        let receipt = postgres.receipt(id).await?;
        let none = || End::work(format!("there is no finished erasure {id}"));
        return print(&receipt.ok_or_else(none)?, args.json);
    }
    let tenant = args.tenant.as_deref().unwrap_or_default();
    let selection = Selection::new(tenant, args.which.what()).map_err(End::usage)?;
    if !args.dry_run && !args.yes && selection.what == What::Everything && !is_confirmed(tenant).map_err(End::work)? {
        return Err(End::work("nothing was deleted"));
    }
    let models = learnt_by_models(&database).await?;
    let events = RabbitEvents::connect(&config.broker).await?;
    let bar = bar();
    let job = Job {
        postgres: &postgres,
        events: &events,
        files: &Cache { folder: Path::new(&config.retrain.folder).join("cache") },
        learnt_by: &|sha256| {
            let learnt = models.iter().filter(|(_, learnt)| learnt.contains(sha256));
            learnt.map(|(version, _)| version.clone()).collect()
        },
        prefix: &config.broker.prefix,
        progress: &|submissions, until| tell_progress(&bar, submissions, until),
    };
    let ended = tokio::select! {
        ended = work(&job, &selection, args) => ended,
        () = interrupted() => Err(End::work("stopped; give the same command again, and it goes on")),
    };
    bar.finish_and_clear();
    events.close().await;
    ended
}

async fn work(job: &Job<'_>, selection: &Selection, args: &Args) -> Result<(), End> {
    if args.dry_run {
        let (counts, labels_kept) = job.plan(selection).await?;
        tell_plan(selection, &counts, labels_kept, args.json);
        return if counts.submissions == 0 { Err(nothing(selection)) } else { Ok(()) };
    }
    match job.run(selection, &actor()).await? {
        Ended::Erased(receipt) => print(&receipt, args.json),
        Ended::Before { erased_at } => {
            say!("{selection} was erased before, at {}; nothing of it is left", moment(erased_at));
            Ok(())
        }
        Ended::Nothing => Err(nothing(selection)),
    }
}

fn nothing(selection: &Selection) -> End {
    End::work(format!(
        "there is no outcome of {selection}, and nothing was deleted; what still waits in a queue is judged first: `assay status` shows it"
    ))
}

/// Everything of a tenant is much to lose by a slip: a person is asked for its name once more.
fn is_confirmed(tenant: &str) -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    write!(io::stderr(), "This deletes everything of the tenant {tenant:?}. Its name once more: ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == tenant)
}

/// Registered versions, and what each has learnt from.
async fn learnt_by_models(database: &Database) -> Result<BTreeMap<String, LearntImages>, End> {
    let models = registry::postgres::Postgres::on(database).models().await.map_err(End::work)?;
    let learnt = models.into_iter().filter_map(|model| {
        let manifest: serde_json::Value = serde_json::from_str(&model.entry.manifest).ok()?;
        Some((model.entry.version, serde_json::from_value(manifest.get("learnt")?.clone()).ok()?))
    });
    Ok(learnt.collect())
}

/// The images that the retrain job keeps on this machine.
struct Cache {
    folder: PathBuf,
}

impl Files for Cache {
    fn delete(&self, contents: &[String]) -> io::Result<u64> {
        file_cache::delete(&self.folder, contents)
    }
}

fn bar() -> ProgressBar {
    let bar = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.with_style(ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is right"))
}

fn tell_progress(bar: &ProgressBar, submissions: u64, until: Option<OffsetDateTime>) {
    let until =
        until.map_or(String::new(), |until| format!(", looked through what was recorded until {}", moment(until)));
    bar.set_message(format!("{submissions} submissions{until}"));
}

fn print(receipt: &Receipt, json: bool) -> Result<(), End> {
    if json {
        say!("{}", serde_json::to_string_pretty(receipt).map_err(End::work)?);
    } else {
        lines(receipt).iter().for_each(|line| say!("{line}"));
    }
    Ok(())
}

fn tell_plan(selection: &Selection, counts: &Counts, labels_kept: u64, json: bool) {
    if json {
        say!("{}", serde_json::json!({"dry_run": true, "would_delete": counts, "labels_kept": labels_kept}));
    } else if counts.submissions > 0 {
        say!("would erase {selection}: {}", in_words(counts));
        if labels_kept > 0 {
            say!("would keep {labels_kept} labels of images that another tenant has, too");
        }
    }
}

fn in_words(counts: &Counts) -> String {
    let named = [
        (counts.submissions, "submissions"),
        (counts.verdicts, "verdicts"),
        (counts.failures, "failures"),
        (counts.labels, "labels"),
        (counts.cached_images, "cached images"),
    ];
    named
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn lines(receipt: &Receipt) -> Vec<String> {
    let mut lines = vec![
        format!("erasure {} for the tenant {}, by {}", receipt.erasure_id, receipt.tenant, receipt.actor),
        format!("  {:<12} {} to {}", "time", moment(receipt.started_at), moment(receipt.finished_at)),
        format!("  {:<12} {}; asked again, nothing of it is left", "deleted", in_words(&receipt.deleted)),
    ];
    let kept = receipt.kept.iter().map(|kept| ("kept", format!("{} {}: {}", kept.count, kept.what, kept.why)));
    let models = receipt.models.iter().map(|model| ("learnt by", model.clone()));
    let beyond = receipt.not_reached.iter().map(|one| ("not reached", format!("{}: {}", one.place, one.what_to_do)));
    lines.extend(kept.chain(models).chain(beyond).map(|(name, words)| format!("  {name:<12} {words}")));
    lines
}
