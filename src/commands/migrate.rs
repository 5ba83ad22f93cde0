//! `assay migrate`: the database's tables.

use clap::Parser;

use super::End;
use crate::config::Config;

/// Apply the database migrations that are not applied yet. Safe to run again and from several places at once.
#[derive(Debug, Parser)]
pub(super) struct Args {}

#[allow(clippy::print_stdout, reason = "it is the command's answer")]
pub(super) async fn run(_args: &Args, config: &Config) -> Result<(), End> {
    let applied = database::migrate(&config.database).await?;
    if applied.is_empty() {
        println!("the database is up to date");
    }
    for name in applied {
        println!("applied {name}");
    }
    Ok(())
}
