//! `assay migrate`: the database's tables, and the move of what was in those of an earlier version.

use std::time::{Duration, Instant};

use clap::Parser;

use super::End;
use super::print::say;
use crate::config::Config;
use database::{Database, Pooler, Settings};
use ledger::postgres::{Moved, Postgres};

/// Between two lines that say how far the move has come.
const EVERY: Duration = Duration::from_secs(10);
/// Tries in a row of a batch that others keep from its locks.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// Apply the database migrations that are not applied yet. Safe to run again and from several places at once.
///
/// Outcomes that an earlier version recorded are then moved to the tables of this one, while workers work. That may be stopped
/// anywhere: the next run goes on.
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// Leave what an earlier version recorded where it is, for a later run. It is found there, too.
    #[arg(long)]
    no_move: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let applied = database::migrate(&config.database).await?;
    if applied.is_empty() {
        say!("the database is up to date");
    }
    for name in applied {
        say!("applied {name}");
    }
    if args.no_move {
        return Ok(());
    }
    // A transaction for each use, which gets through whatever stands between.
    let settings = Settings { pooler: Pooler::Transaction, ..config.database.clone() };
    let ledger = Postgres::on(&Database::connect(&settings).await?);
    move_all(&ledger).await
}

async fn move_all(ledger: &Postgres) -> Result<(), End> {
    if ledger.moved().await? == Moved::All {
        return Ok(());
    }
    let (mut told, mut tries, mut moved) = (Instant::now(), 0, 0);
    loop {
        match ledger.move_some().await {
            Ok(Moved::All) => break,
            Ok(Moved::SoFar(outcomes)) => (tries, moved) = (0, outcomes),
            Err(error) if error.is_transient() && tries < TRIES => {
                tries += 1;
                tracing::warn!(%error, "will try again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
        if told.elapsed() > EVERY {
            told = Instant::now();
            say!("moved {moved} outcomes so far");
        }
    }
    say!("moved {moved} outcomes of an earlier version; its tables are gone");
    Ok(())
}
