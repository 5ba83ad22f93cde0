//! `assay migrate`: the database's tables.

use clap::Parser;

use super::End;
use super::print::say;
use crate::config::Config;

/// Apply the database migrations that are not applied yet. Safe to run again and from several places at once.
#[derive(Debug, Parser)]
pub(super) struct Args {}

pub(super) async fn run(_args: &Args, config: &Config) -> Result<(), End> {
    let applied = database::migrate(&config.database).await?;
    if applied.is_empty() {
        say!("the database is up to date");
    }
    for name in applied {
        say!("applied {name}");
    }
    Ok(())
}
