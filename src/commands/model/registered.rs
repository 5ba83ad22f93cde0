//! The commands of `assay model` that look at the registry, or change it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{describe, table};
use crate::commands::End;
use crate::commands::actor::actor;
use crate::commands::followers::{self, FORGOTTEN};
use crate::commands::print::say;
use crate::commands::table::{fit, harmless};
use crate::config::Config;
use crate::moment::moment;
use artefact::Manifest;
use database::Database;
use ledger::workers::Workers;
use objects::StoreError;
use objects::s3::S3;
use registry::postgres::Postgres;
use registry::{ArtefactError, By, Candidate, Change, Kind, LeaseError, Promotion, Registry, RegistryError, Store};

#[derive(Debug, Args)]
pub(super) struct Register {
    dir: PathBuf,
    /// What was measured of it: a JSON file.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// The version that it was trained from.
    #[arg(long, value_name = "VERSION")]
    parent: Option<String>,
    /// Who registers it; user@host unless given.
    #[arg(long)]
    actor: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Promote {
    version: String,
    /// Only if this version is active (`none`: if none is); unless given, whatever is.
    #[arg(long, value_name = "VERSION")]
    expect: Option<String>,
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who decides; user@host unless given.
    #[arg(long)]
    actor: Option<String>,
}

async fn open(config: &Config) -> Result<(Postgres, Store), End> {
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    let objects = Arc::new(S3::connect(&config.objects).await);
    Ok((Postgres::on(&database), Store::new(&config.registry, objects)))
}

/// The detector's settings with a folder for a model, which is that of the active version where the registry is asked for.
pub(in crate::commands) async fn resolved(asked: engine::Settings, config: &Config) -> Result<engine::Settings, End> {
    if !asked.is_registry() {
        return Ok(asked);
    }
    let (registry, store) = open(config).await?;
    let (_, folder) = registry::fetch_active(&registry, &store).await?;
    Ok(asked.in_folder(&folder))
}

/// What lies in the registry and where, for `assay doctor`: an error where a worker that follows it could not start.
pub(in crate::commands) async fn survey(config: &Config) -> Result<String, End> {
    let place = &config.registry.store;
    let (registry, store) = open(config).await?;
    store.check().await.map_err(|error| match error {
        ArtefactError::Fetch(_) | ArtefactError::Upload(StoreError::Unreachable { .. }) => End::from(error),
        error => End::usage(format!("registry.store = {place:?}: {error}")),
    })?;
    let models = registry.models().await?.len();
    let active = registry.active().await?.ok_or(RegistryError::NothingActive)?.version;
    Ok(format!("registry.store = {place:?} can be read; {models} versions, {active} is active"))
}

pub(super) async fn register(args: &Register, config: &Config) -> Result<(), End> {
    let metrics = match &args.metrics {
        None => Value::Null,
        Some(file) => {
            let wrong = |error: &dyn std::fmt::Display| End::usage(format!("{}: {error}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
            serde_json::from_str(&text).map_err(|error| wrong(&error))?
        }
    };
    let (registry, store) = open(config).await?;
    let candidate = Candidate {
        folder: &args.dir,
        metrics,
        parent: args.parent.clone(),
        actor: args.actor.clone().unwrap_or_else(actor),
        public_key: &config.detector.public_key,
    };
    let model = registry::register(&registry, &store, candidate, By::Person).await?;
    say!("registered {} in {}", model.entry.version, model.entry.location);
    Ok(())
}

pub(super) async fn list(as_json: bool, config: &Config) -> Result<(), End> {
    let (registry, _) = open(config).await?;
    let active = registry.active().await?.map(|promotion| promotion.version);
    let models = registry.models().await?;
    if as_json {
        let document = models.iter().map(|model| {
            let entry = &model.entry;
            json!({
                "version": entry.version, "active": active.as_ref() == Some(&entry.version), "sha256": entry.sha256,
                "location": entry.location, "parent": entry.parent, "actor": entry.actor, "metrics": entry.metrics,
                "registered_at": model.registered_at.format(&Rfc3339).unwrap_or_default(),
            })
        });
        say!("{}", json!({"active": active, "models": document.collect::<Vec<_>>()}));
        return Ok(());
    }
    if models.is_empty() {
        say!("no models; `assay model register DIR` takes one in");
        return Ok(());
    }
    say!("  {:<24} {:<20} {:<24} {:<24} location", "version", "registered", "by", "trained from");
    for model in &models {
        let entry = &model.entry;
        let mark = if active.as_ref() == Some(&entry.version) { '*' } else { ' ' };
        say!(
            "{mark} {:<24} {:<20} {:<24} {:<24} {}",
            fit(&entry.version, 24),
            moment(model.registered_at),
            fit(&entry.actor, 24),
            fit(entry.parent.as_deref().unwrap_or("–"), 24),
            harmless(&entry.location)
        );
    }
    match active {
        Some(_) => say!("* is active: workers with detector.model = \"registry\" serve it"),
        None => say!("none is active: `assay model promote VERSION`"),
    }
    Ok(())
}

pub(super) async fn show(version: &str, config: &Config) -> Result<(), End> {
    let (registry, _) = open(config).await?;
    let model = registry.model(version).await?.ok_or(RegistryError::Unknown { version: version.into() })?;
    let promotions = registry.promotions().await?;
    let entry = model.entry;
    let active = promotions.last().is_some_and(|last| last.version == entry.version);
    let mut lines = vec![("model", entry.location.clone()), ("active", if active { "yes" } else { "no" }.into())];
    match Manifest::of_bytes(entry.manifest.as_bytes()) {
        Ok(manifest) => lines.extend(describe(&manifest)),
        Err(problem) => lines.push(("manifest", format!("can't be read by this version of assay: {problem}"))),
    }
    lines.push(("parent", entry.parent.unwrap_or("–".into())));
    lines.push(("registered", format!("{} by {}", moment(model.registered_at), harmless(&entry.actor))));
    if !entry.metrics.is_null() {
        lines.push(("metrics", entry.metrics.to_string()));
    }
    let of_it = |promotion: &&Promotion| promotion.version == version || promotion.replaces.as_deref() == Some(version);
    lines.extend(promotions.iter().filter(of_it).map(|promotion| (promotion.kind.as_str(), in_words(promotion))));
    say!("{}", table(&lines));
    Ok(())
}

pub(super) async fn history(as_json: bool, config: &Config) -> Result<(), End> {
    let (registry, _) = open(config).await?;
    let mut promotions = registry.promotions().await?;
    promotions.reverse();
    if as_json {
        say!("{}", json!({ "promotions": promotions }));
        return Ok(());
    }
    if promotions.is_empty() {
        say!("nothing was promoted yet; `assay model promote VERSION` makes a version active");
        return Ok(());
    }
    say!("{:>4}  {:<20}  {:<9}  {:<24}  {:<24}  {:<24}  why", "", "when", "what", "active", "in place of", "by");
    for promotion in &promotions {
        say!(
            "{:>4}  {:<20}  {:<9}  {:<24}  {:<24}  {:<24}  {}",
            promotion.number,
            moment(promotion.promoted_at),
            promotion.kind.as_str(),
            fit(&promotion.version, 24),
            fit(promotion.replaces.as_deref().unwrap_or("–"), 24),
            fit(&promotion.actor, 24),
            harmless(promotion.reason.as_deref().unwrap_or("–"))
        );
    }
    Ok(())
}

/// Who serves what now. The promotion stands, whatever becomes of this.
async fn tell_followers(config: &Config) {
    let reports = async {
        let database = Database::connect(&config.database).await?;
        ledger::workers::postgres::Postgres::on(&database).last_reports(FORGOTTEN).await
    };
    match reports.await {
        Ok(workers) => {
            followers::in_words(&workers).iter().for_each(|line| say!("{line}"));
            say!(
                "those that follow take it over within {} s, or say in their log why not: `assay status`",
                config.registry.poll_s
            );
        }
        Err(error) => say!("which workers follow the registry can't be told: {error}"),
    }
}

pub(super) async fn promote(args: &Promote, config: &Config) -> Result<(), End> {
    let (registry, store) = open(config).await?;
    let replaces = match args.expect.as_deref() {
        Some("none") => None,
        Some(version) => Some(version.to_string()),
        // If it changes after this, the promotion fails, since it compares.
        None => registry.active().await?.map(|active| active.version),
    };
    let change = Change {
        version: args.version.clone(),
        replaces,
        kind: Kind::Promotion,
        actor: args.actor.clone().unwrap_or_else(actor),
        reason: args.reason.clone(),
    };
    let public_key = &config.detector.public_key;
    let promotion = registry::promote(&registry, &store, public_key, &change, By::Person).await?;
    say!("{}", in_words(&promotion));
    tell_followers(config).await;
    Ok(())
}

pub(super) async fn roll_back(by: Option<String>, reason: Option<String>, config: &Config) -> Result<(), End> {
    let (registry, store) = open(config).await?;
    let by = by.unwrap_or_else(actor);
    let promotion = registry::roll_back(&registry, &store, &config.detector.public_key, by, reason).await?;
    say!("{}", in_words(&promotion));
    tell_followers(config).await;
    Ok(())
}

fn in_words(promotion: &Promotion) -> String {
    let Promotion { version, replaces, actor, reason, promoted_at, .. } = promotion;
    let replaces = replaces.as_ref().map_or(String::new(), |replaced| format!(" in place of {replaced}"));
    let reason = reason.as_ref().map_or(String::new(), |reason| format!(": {}", harmless(reason)));
    format!("{version} active{replaces} since {}, by {}{reason}", moment(*promoted_at), harmless(actor))
}

impl From<RegistryError> for End {
    fn from(error: RegistryError) -> End {
        match error {
            RegistryError::Database(error) => error.into(),
            RegistryError::Artefact(error) => error.into(),
            RegistryError::Unknown { .. } | RegistryError::NothingActive => End::usage(error),
            _ => End::work(error),
        }
    }
}

impl From<LeaseError> for End {
    fn from(error: LeaseError) -> End {
        match error {
            LeaseError::Database(error) => error.into(),
            LeaseError::Fenced(error) => End::work(error),
        }
    }
}

impl From<ArtefactError> for End {
    fn from(error: ArtefactError) -> End {
        match error {
            ArtefactError::Load(error) => error.into(),
            ArtefactError::Upload(error) => error.into(),
            ArtefactError::Fetch(error) if error.is_transient() => End::unreachable(error),
            error => End::work(error),
        }
    }
}
