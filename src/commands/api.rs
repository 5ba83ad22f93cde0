//! `assay api`: submissions by HTTP.

use std::path::Path;

use clap::Parser;

use super::{End, schema};
use crate::api::{self, Api, Tokens};
use crate::config::Config;
use crate::shutdown::Shutdown;
use crate::submission::Submissions;
use database::Database;

/// Serve GET /v1/submissions/TENANT/ID: all outcomes of a submission and what people said of its image, read-only.
///
/// Each request brings `Authorization: Bearer TOKEN`, with a token of `api.tokens_file` for that tenant. It reads the database alone,
/// so it runs while no worker does. /v1/openapi.json describes it.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  echo \"acme $(openssl rand -hex 32)\" > tokens && chmod 600 tokens
  ASSAY__API__TOKENS_FILE=tokens assay api
  curl -H \"Authorization: Bearer TOKEN\" http://127.0.0.1:9465/v1/submissions/acme/upload-4711")]
pub(super) struct Args {
    /// In place of api.listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let file = &config.api.tokens_file;
    if file == Path::new("") {
        return Err(End::usage(
            "api.tokens_file is not set: it names a file of lines `TENANT TOKEN`; see `assay api --help`",
        ));
    }
    let tokens = Tokens::read(file).map_err(End::usage)?;
    let submissions = Submissions::on(&Database::connect(&config.database).await?);
    let api = Api { submissions, tokens, openapi: schema::openapi() };
    let shutdown = Shutdown::on_signals(config.worker.grace()).map_err(End::work)?;
    let listen = args.listen.as_deref().unwrap_or(&config.api.listen);
    let (address, served) = api::bind(listen, api, shutdown.stop.clone()).await.map_err(End::usage)?;
    tracing::info!(%address, "api: /v1/submissions/{{tenant}}/{{id}}");
    tokio::select! {
        ended = served => ended.map_err(End::work),
        // A connection that is kept open does not keep the process.
        () = shutdown.abandon.cancelled() => Ok(()),
    }
}
