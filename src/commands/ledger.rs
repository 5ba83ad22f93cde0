//! `assay ledger`: partitions, sizes, and what is not to be kept any longer.

mod export;

use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use serde_json::json;
use time::OffsetDateTime;

use super::End;
use super::alone::{Holder, alone};
use super::print::say;
use crate::config::Config;
use database::Database;
use export::{Destination, Exported};
use ledger::maintenance::{AHEAD_DAYS, FEWEST_AHEAD, Kind, Partition, ahead, outlived};
use ledger::postgres::{Moved, Postgres, Size};
use ledger::workers::{self, REMOVED_AFTER, Workers};
use objects::s3::S3;

/// Of whoever maintains: after this long without a word another one may.
const LEASE: Duration = Duration::from_secs(120);
/// Clocks of this machine and of the database that differ by more: one of them is wrong, and what is too old is not known.
const MOST_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60 * 60);

/// Keep the ledger in order, and show what it takes.
#[derive(Debug, Parser)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  assay ledger maintain                       once a day: partitions ahead, and what [retention] no longer keeps
  assay ledger maintain --dry-run             what it would do
  assay ledger maintain --partition-days 1    new partitions of a day each, for a ledger that grows by 100 GB a day
  assay ledger show                           partitions, and bytes a verdict by part"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make partitions ahead, remove what `[retention]` no longer keeps, and reports of workers that are gone.
    ///
    /// As the owner of the tables. One at a time, whoever starts it; a second one says so and ends with 0. Safe to stop anywhere.
    Maintain(Maintain),
    /// Partitions and sizes.
    Show {
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, ClapArgs)]
struct Maintain {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Days that each new partition holds; those that are there stay as they are.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=366))]
    partition_days: Option<u32>,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    let ledger = Postgres::on(&database);
    match &args.action {
        Action::Maintain(args) if args.dry_run => tell_plan(&ledger, config, args).await,
        Action::Maintain(args) => maintain_alone(&ledger, &database, config, args).await,
        Action::Show { json } => show(&ledger, *json).await,
    }
}

async fn maintain_alone(ledger: &Postgres, database: &Database, config: &Config, args: &Maintain) -> Result<(), End> {
    let taken_over = "another `assay ledger maintain` has taken over, since this one had said nothing for too long; it does the rest";
    let work = Box::pin(maintain(ledger, database, config, args));
    if let Some(Holder { by, until }) = alone(database, ("ledger", LEASE), taken_over, work).await? {
        say!("another `assay ledger maintain` is at work: {by}, with the lease until {until}; nothing was done");
    }
    Ok(())
}

async fn maintain(ledger: &Postgres, database: &Database, config: &Config, args: &Maintain) -> Result<(), End> {
    let now = trusted_now(ledger).await?;
    let days = partition_days(ledger, config, args).await?;
    ledger.set_partition_days(days).await?;
    ledger.make_partitions(AHEAD_DAYS).await?;
    for name in ledger.drop_left_over().await? {
        say!("dropped {name}, which an earlier run had taken out");
    }
    for partition in ledger.partitions().await?.iter().filter(|one| one.detaching) {
        ledger.let_go(partition).await?;
        say!("dropped {}, which an earlier run had begun to take out", partition.name);
    }
    if is_moving(ledger).await? {
        say!(
            "what was recorded before there were partitions is not moved yet, so nothing is removed: `assay migrate` moves it"
        );
    } else {
        remove(ledger, config, now).await?;
    }
    let gone = workers::postgres::Postgres::on(database).remove_older(REMOVED_AFTER).await?;
    if gone > 0 {
        say!("removed the reports of {gone} workers that are gone");
    }
    let partitions = ledger.partitions().await?;
    say!(
        "{} partitions of verdicts and {} of failures are ahead",
        ahead(&partitions, Kind::Verdict, now),
        ahead(&partitions, Kind::Failure, now)
    );
    Ok(())
}

/// What `[retention]` no longer keeps: row by row first, then whole partitions.
async fn remove(ledger: &Postgres, config: &Config, now: OffsetDateTime) -> Result<(), End> {
    let retention = &config.retention;
    let partitions = ledger.partitions().await?;
    let store = match retention.export_to() {
        Some(to) => Some((S3::connect(&config.objects).await, to)),
        None => None,
    };
    for kind in Kind::ALL {
        for partition in outlived(&partitions, kind, retention.longest(kind), now) {
            if let Some((objects, (bucket, prefix))) = &store {
                let to = Destination { objects, bucket, prefix, schema: &config.database.schema };
                let Exported { rows, manifest } = to.write(ledger, partition).await?;
                say!("exported {} rows of {}: {manifest}", rows, partition.name);
            }
            ledger.let_go(partition).await?;
            say!("dropped {} ({} to {})", partition.name, partition.lower.date(), partition.upper.date());
        }
    }
    let partitions = ledger.partitions().await?;
    for removal in retention.removals(&partitions, now) {
        let rows = ledger.remove(&removal).await?;
        if rows > 0 {
            say!("removed {rows} {} from before {}", removal.what.as_str(), removal.before);
        }
    }
    Ok(())
}

/// The database's time, unless it can't be right.
async fn trusted_now(ledger: &Postgres) -> Result<OffsetDateTime, End> {
    let (theirs, ours) = (ledger.now().await?, OffsetDateTime::now_utc());
    if (theirs - ours).unsigned_abs() > MOST_CLOCK_DIFFERENCE {
        return Err(End::work(format!(
            "the database's clock says {theirs} and this machine's {ours}: one of them is wrong, and what is too old can't be told; \
             nothing was done"
        )));
    }
    Ok(theirs)
}

async fn partition_days(ledger: &Postgres, config: &Config, args: &Maintain) -> Result<u32, End> {
    let days = match args.partition_days {
        Some(days) => days,
        None => ledger.partition_days().await?,
    };
    config.retention.check_against(days).map_err(End::usage)?;
    Ok(days)
}

async fn is_moving(ledger: &Postgres) -> Result<bool, End> {
    Ok(ledger.moved().await? != Moved::All)
}

async fn tell_plan(ledger: &Postgres, config: &Config, args: &Maintain) -> Result<(), End> {
    let now = trusted_now(ledger).await?;
    partition_days(ledger, config, args).await?;
    let partitions = ledger.partitions().await?;
    for kind in Kind::ALL {
        say!("{kind}: {} partitions are ahead", ahead(&partitions, kind, now));
        for partition in outlived(&partitions, kind, config.retention.longest(kind), now) {
            let first = if config.retention.export_to().is_some() { "export and " } else { "" };
            say!("would {first}drop {} ({} to {})", partition.name, partition.lower.date(), partition.upper.date());
        }
    }
    for removal in config.retention.removals(&partitions, now) {
        say!("would remove {} of {:?} from before {}", removal.what.as_str(), removal.whose, removal.before);
    }
    Ok(())
}

async fn show(ledger: &Postgres, json: bool) -> Result<(), End> {
    let (sizes, partitions, now) = (ledger.sizes().await?, ledger.partitions().await?, ledger.now().await?);
    let moved = ledger.moved().await?;
    if json {
        say!("{}", document(&sizes, &partitions, moved));
        return Ok(());
    }
    lines(&sizes, &partitions, now).iter().for_each(|line| say!("{line}"));
    if let Moved::SoFar(outcomes) = moved {
        say!("{outcomes} outcomes from before there were partitions are moved, and more are to be: `assay migrate`");
    }
    Ok(())
}

fn lines(sizes: &[Size], partitions: &[Partition], now: OffsetDateTime) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<10} {:>14} {:>16} {:>16} {:>12}",
        "table", "rows", "table bytes", "index bytes", "bytes a row"
    )];
    for size in sizes {
        let total = (size.table_bytes + size.index_bytes) as f64;
        let each = if size.rows > 0.0 { format!("{:.0}", total / size.rows) } else { "-".into() };
        lines.push(format!(
            "{:<10} {:>14.0} {:>16} {:>16} {each:>12}",
            size.table, size.rows, size.table_bytes, size.index_bytes
        ));
    }
    lines.push("rows as PostgreSQL estimates them; empty partitions take room, too".into());
    for kind in Kind::ALL {
        let own: Vec<_> = partitions.iter().filter(|one| one.kind == kind).collect();
        let (first, last) = (own.iter().map(|one| one.lower).min(), own.iter().map(|one| one.upper).max());
        let span =
            first.zip(last).map_or("none".into(), |(first, last)| format!("{} to {}", first.date(), last.date()));
        let ahead = ahead(partitions, kind, now);
        let few = if ahead < FEWEST_AHEAD { "; FEW: run `assay ledger maintain`" } else { "" };
        lines.push(format!("{kind}: {} partitions, {span}; {ahead} ahead{few}", own.len()));
    }
    lines
}

fn document(sizes: &[Size], partitions: &[Partition], moved: Moved) -> serde_json::Value {
    let sizes = sizes.iter().map(|size| {
        json!({"table": size.table, "rows": size.rows, "table_bytes": size.table_bytes, "index_bytes": size.index_bytes})
    });
    let partitions = partitions.iter().map(|one| {
        let (lower, upper) = (one.lower.to_string(), one.upper.to_string());
        json!({"table": one.kind.table(), "name": one.name, "lower": lower, "upper": upper, "detaching": one.detaching})
    });
    json!({
        "tables": sizes.collect::<Vec<_>>(), "partitions": partitions.collect::<Vec<_>>(),
        "all_moved": moved == Moved::All,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_partitions_ahead_are_told_of() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let week = |number: i64| {
            let lower = now + time::Duration::weeks(number);
            Partition {
                kind: Kind::Verdict,
                name: "v".into(),
                lower,
                upper: lower + time::Duration::WEEK,
                detaching: false,
            }
        };
        let size = Size { table: "verdicts".into(), table_bytes: 900, index_bytes: 100, rows: 2.0 };
        let text = lines(&[size], &[week(0), week(1), week(2)], now).join("\n");
        assert!(text.contains("verdicts: 3 partitions, 1970-01-01 to 1970-01-22; 2 ahead\n"), "{text}");
        assert!(text.contains("failures: 0 partitions, none; 0 ahead; FEW") && text.contains(" 500\n"), "{text}");
    }
}
