//! `assay statements`: statements of reasons for what followed from verdicts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::End;
use super::print::say;
use super::since::moment_of;
use crate::config::Config;
use database::Database;
use domain::request::validate_tenant;
use domain::{Outcome, Verdict};
use ledger::Ledger;
use moderation::{InForce, Postgres};
use statements::{Completeness, Facts, FactsTemplate, Review, Statement};

/// Verdicts on their way from the database.
const ON_THEIR_WAY: usize = 256;
/// Longer than a transaction of a worker takes.
const LATEST: Duration = Duration::from_secs(5);

/// Print a statement of reasons for each verdict in force that a policy restricts (label, limit, block), one JSON line each.
///
/// They have every field of the EU's DSA Transparency Database that Assay can know; fields that only the platform knows (the legal
/// ground, the category, the territory, …) are null or left out, and docs/operators.md lists them. No submission's id, object or
/// person is in them. Assay submits nothing. What was judged again without a change has none, since nothing followed anew.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay statements --since 1d --format dsa-v2 > statements.jsonl
  assay statements --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z --tenant acme --format dsa-v2
  assay statements --since 1d --format dsa-v2 --facts facts.jinja      the facts in words of your own
  assay statements --print-facts > facts.jinja                         the words to begin with

Ends with 1 if a statement is due that could not be made.")]
pub(super) struct Args {
    /// Verdicts recorded since then: 7d, 36h, 30m, or 2026-11-02T03:12:45Z.
    #[arg(long, value_name = "TIME", value_parser = moment_of, required_unless_present = "print_facts")]
    since: Option<OffsetDateTime>,
    /// … and before; a few seconds ago unless given.
    #[arg(long, value_name = "TIME", value_parser = moment_of)]
    until: Option<OffsetDateTime>,
    #[arg(long)]
    tenant: Option<String>,
    /// dsa-v2: the schema of the DSA Transparency Database in force since July 2025.
    #[arg(long, value_enum, required_unless_present = "print_facts")]
    format: Option<Format>,
    /// A template of the facts, in the language of Jinja.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Print the built-in template of the facts, and nothing else.
    #[arg(long)]
    print_facts: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    #[value(name = "dsa-v2")]
    DsaV2,
}

/// What was printed and what was not.
#[derive(Default)]
struct Summary {
    statements: u64,
    /// Fields that the platform is to fill in, by how many statements lack them.
    lacking: BTreeMap<&'static str, u64>,
    unchanged: u64,
    /// Statements that are due and could not be made, with the first reason.
    faults: Option<(u64, String)>,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let (Some(since), Some(Format::DsaV2)) = (args.since, args.format) else {
        say!("{}", FactsTemplate::DEFAULT.trim_end());
        return Ok(());
    };
    // What is being recorded at this moment may come with a time of a moment ago.
    let now = OffsetDateTime::now_utc();
    let until = args.until.unwrap_or(now - LATEST).min(now);
    if since >= until {
        return Err(End::usage("--since is not before --until: no verdict is in between"));
    }
    if let Some(tenant) = &args.tenant {
        validate_tenant(tenant).map_err(|error| End::usage(format!("--tenant: {error}")))?;
    }
    let text = match &args.facts {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| End::usage(format!("{} can't be read: {error}", file.display())))?,
        None => FactsTemplate::DEFAULT.into(),
    };
    let template = FactsTemplate::new(&text).map_err(|error| End::usage(format!("--facts: {error}")))?;
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    let (policies, ledger) = (Postgres::on(&database), ledger::postgres::Postgres::on(&database));
    let printing = print(&policies, &ledger, (since, until), args.tenant.as_deref(), &template);
    let summary = Box::pin(printing).await?;
    summary.tell()
}

async fn print(
    policies: &Postgres,
    ledger: &dyn Ledger,
    (since, until): (OffsetDateTime, OffsetDateTime),
    tenant: Option<&str>,
    template: &FactsTemplate<'_>,
) -> Result<Summary, End> {
    // Without a look at years in which there was nothing.
    let since = policies.earliest().await?.map_or(since, |earliest| earliest.max(since)).min(until);
    let (sender, mut verdicts) = mpsc::channel::<InForce>(ON_THEIR_WAY);
    let reading = async {
        let sender = sender;
        policies.verdicts((since, until), tenant, &sender).await
    };
    let printing = async {
        let mut summary = Summary::default();
        while let Some(one) = verdicts.recv().await {
            if is_told_of(&one.verdict, since, ledger).await {
                summary.unchanged += 1;
            } else {
                summary.print(&one, template);
            }
        }
        summary
    };
    let (read, summary) = tokio::join!(reading, printing);
    read?;
    Ok(summary)
}

/// Whether the same followed from the same image before, from a verdict of before this window: that one has the statement.
async fn is_told_of(verdict: &Verdict, since: OffsetDateTime, ledger: &dyn Ledger) -> bool {
    let Some(before) = verdict.previous.as_ref().filter(|before| before.says_as(verdict)) else { return false };
    match ledger.outcome(before.outcome_id).await {
        Ok(Some(Outcome::Verdict(before))) => before.image.sha256 == verdict.image.sha256 && before.decided_at < since,
        // It is not kept any more, so it was long ago.
        Ok(_) => true,
        // Rather twice than not at all.
        Err(_) => false,
    }
}

impl Summary {
    fn print(&mut self, one: &InForce, template: &FactsTemplate<'_>) {
        let verdict = &one.verdict;
        match Statement::of(&Facts { verdict, review: Review::of(verdict) }, template) {
            Ok(statement) => {
                match Completeness::of(&statement) {
                    Completeness::Complete => {}
                    Completeness::NeedsPlatform { fields } => {
                        fields.into_iter().for_each(|field| *self.lacking.entry(field).or_default() += 1);
                    }
                    Completeness::Faulty { problems } => {
                        return self.fault(problems.first().map_or_else(String::new, ToString::to_string));
                    }
                }
                self.statements += 1;
                say!("{}", statement.to_line());
            }
            Err(reason) if reason.is_fault() => self.fault(reason.to_string()),
            // Nothing followed, or people decided otherwise since.
            Err(_) => {}
        }
    }

    fn fault(&mut self, reason: String) {
        let (count, _) = self.faults.get_or_insert((0, reason));
        *count += 1;
    }

    fn tell(self) -> Result<(), End> {
        let lacking: Vec<_> = self.lacking.keys().copied().collect();
        let yours =
            if lacking.is_empty() { String::new() } else { format!("; the platform fills in {}", lacking.join(", ")) };
        tracing::info!(
            "{} statements, {} verdicts judged again without a change left out{yours}",
            self.statements,
            self.unchanged
        );
        match self.faults {
            None => Ok(()),
            Some((count, reason)) => {
                Err(End::work(format!("{count} statements are due and could not be made; the first: {reason}")))
            }
        }
    }
}
