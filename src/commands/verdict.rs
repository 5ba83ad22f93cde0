//! `assay verdict`: what became of one submission.

use clap::Parser;
use serde_json::{Value, json};

use super::End;
use super::labels::line;
use super::print::say;
use super::table::{Table, harmless};
use crate::config::Config;
use database::Database;
use domain::{Outcome, SubmissionKey};
use labels::{Labels, RecordedLabel};
use ledger::Ledger;

/// Generations that are looked for at once; the latest is found beyond them too.
const GENERATIONS: u32 = 64;
/// Bytes of an id.
const LONGEST: usize = 512;

/// Show the outcomes of a submission, every generation of it, and what people said of its image.
///
/// Ends with 1 if there is none.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay verdict upload-4711
  assay verdict upload-4711 --tenant forum
  assay verdict upload-4711 --json | jq '.outcomes[-1].decision'")]
pub(super) struct Args {
    /// The platform's own id; in events of an object store the key of the object.
    #[arg(value_name = "SUBMISSION")]
    submission: String,
    #[arg(long, default_value = "default")]
    tenant: String,
    /// One JSON document: the outcomes as they were published, and the labels.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let Args { submission, tenant, json } = args;
    if submission.is_empty() || submission.len() > LONGEST || submission.chars().any(char::is_control) {
        return Err(End::usage(format!(
            "a submission id has 1 to {LONGEST} bytes and no control characters; this one is {:?}",
            submission.chars().take(80).collect::<String>()
        )));
    }
    domain::request::validate_tenant(tenant).map_err(End::usage)?;
    let database = Database::connect(&config.database).await?;
    let outcomes = outcomes(&ledger::postgres::Postgres::on(&database), tenant, submission).await?;
    let labels = said(&labels::postgres::Postgres::on(&database), &outcomes).await?;
    if *json {
        let document: Vec<Value> =
            outcomes.iter().map(serde_json::to_value).collect::<Result<_, _>>().map_err(End::work)?;
        say!("{:#}", json!({"tenant": tenant, "submission_id": submission, "outcomes": document, "labels": labels}));
    } else if !outcomes.is_empty() {
        tell(&outcomes, &labels);
    }
    if outcomes.is_empty() {
        return Err(End::work(format!(
            "there is no outcome of {:?} for the tenant {:?}; --tenant names another, `assay dead list` shows what could not be read, \
             and `assay status` what still waits",
            harmless(submission),
            harmless(tenant)
        )));
    }
    Ok(())
}

/// Of all generations, in their order.
async fn outcomes(ledger: &dyn Ledger, tenant: &str, submission: &str) -> Result<Vec<Outcome>, End> {
    let key = |generation| SubmissionKey { tenant: tenant.into(), submission_id: submission.into(), generation };
    // What comes before the last of all numbers is the latest.
    let keys: Vec<SubmissionKey> = (0..GENERATIONS).chain([u32::MAX]).map(key).collect();
    let mut found = ledger.find(&keys).await?;
    let latest = found.pop().and_then(|last| last.standing.map(|outcome| outcome.id()).or(last.predecessor));
    let mut outcomes: Vec<Outcome> = found.into_iter().filter_map(|found| found.standing).collect();
    if let Some(latest) = latest.filter(|id| outcomes.iter().all(|outcome| outcome.id() != *id)) {
        outcomes.extend(ledger.outcome(latest).await?);
    }
    Ok(outcomes)
}

/// What people said of the judged bytes.
async fn said(labels: &dyn Labels, outcomes: &[Outcome]) -> Result<Vec<RecordedLabel>, End> {
    let digests = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Verdict(verdict) => Some(verdict.image.sha256.as_str()),
        Outcome::Failure(_) => None,
    });
    let mut digests: Vec<&str> = digests.collect();
    digests.sort_unstable();
    digests.dedup();
    let mut all = Vec::new();
    for sha256 in digests {
        all.extend(labels.history(sha256).await?);
    }
    Ok(all)
}

fn tell(outcomes: &[Outcome], labels: &[RecordedLabel]) {
    let mut table = Table::new();
    say!("{}", table.header());
    for outcome in outcomes {
        say!("{}", table.row(&format!("generation {}", outcome.key().generation), outcome));
    }
    if let Some(note) = table.footnote() {
        say!("{note}");
    }
    for label in labels {
        say!("{}", line(label));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::block_on;
    use domain::{Context, Failure, FailureCode, ImageRef, Purpose, Request};

    fn failure(generation: u32) -> Outcome {
        let key = SubmissionKey { tenant: "default".into(), submission_id: "a".into(), generation };
        let image = ImageRef { bucket: "b".into(), key: "k".into(), ..ImageRef::default() };
        let request = Request {
            key,
            image,
            deadline: None,
            purpose: Purpose::default(),
            metadata: serde_json::Map::new(),
            context: Context::default(),
        };
        let at = time::OffsetDateTime::UNIX_EPOCH;
        Outcome::Failure(Box::new(Failure::new(&request, FailureCode::ObjectNotFound, "gone", at)))
    }

    #[test]
    fn all_generations_are_found_the_latest_beyond_all_numbers_too() {
        let ledger = ledger::memory::Memory::default();
        let given = [failure(0), failure(1), failure(900)];
        let found = block_on(async {
            ledger.record(&given).await?;
            Ok((outcomes(&ledger, "default", "a").await?, outcomes(&ledger, "other", "a").await?))
        });
        let (found, others) = found.unwrap();
        let generations: Vec<u32> = found.iter().map(|outcome| outcome.key().generation).collect();
        assert_eq!(generations, [0, 1, 900]);
        assert!(others.is_empty());
    }
}
