//! `assay verdict`: what became of one submission.

use clap::Parser;

use super::End;
use super::labels::line;
use super::print::say;
use super::table::{Table, harmless};
use crate::config::Config;
use crate::moment::moment;
use crate::submission::Submissions;
use database::Database;
use domain::{Outcome, SubmissionKey};
use labels::RecordedLabel;
use ledger::{Gone, Ledger};

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
    let database = Database::connect(&config.database).await?;
    let found = Submissions::on(&database).look_up(tenant, submission).await?;
    if *json {
        // Not by way of a value, which would write a probability with digits that were never published.
        say!("{}", serde_json::to_string_pretty(&found).map_err(End::work)?);
    } else if !found.outcomes.is_empty() {
        tell(&found.outcomes, &found.labels);
    }
    if found.outcomes.is_empty() {
        let key = SubmissionKey { tenant: tenant.clone(), submission_id: submission.clone(), generation: 0 };
        // Whoever reads outcomes need not be allowed to read marks of what was erased.
        let known = ledger::postgres::Postgres::on(&database).find(&[key]).await.unwrap_or_default();
        if let Some(gone) = known.into_iter().find_map(|found| found.gone) {
            return Err(End::work(gone_in_words(&gone)));
        }
        return Err(End::work(format!(
            "there is no outcome of {:?} for the tenant {:?}; --tenant names another, `assay dead list` shows what could not be read, \
             and `assay status` what still waits",
            harmless(submission),
            harmless(tenant)
        )));
    }
    Ok(())
}

fn gone_in_words(gone: &Gone) -> String {
    match gone {
        Gone::Erased { at } => {
            format!(
                "what was known of this submission was erased at {}; `assay erase --receipt ID` shows the receipt",
                moment(*at)
            )
        }
        Gone::Expired(_) => "there was an outcome, and [retention] no longer keeps it: only its key is left".into(),
    }
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
