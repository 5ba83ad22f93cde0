//! The sequence of one run: lease → labels → images → training → contest → gate → registry.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::contest;
pub use super::ending::{Ended, Mode, Told};
use super::error::RetrainError;
use super::fetch::{Cache, Fetched};
use super::gate::{self, GateDecision};
use super::making::Making;
use super::report::Report;
use super::snapshot::{Shares, Side, Snapshot};
use super::{Settings, TrainingSettings, gallery::Gallery};
use crate::training::Recipe;
use artefact::Manifest;
use decoder::Pool;
use labels::{Labels, Vocabulary};
use objects::{Allowed, Objects};
use registry::{Acquired, By, Candidate, Change, Kind, Lease, Model, Registry, RegistryError, Run, RunState, Store};

/// Of which there is one for each database.
const LEASE: &str = "retrain";
/// Missing images that a report names.
const NAMED: usize = 10;

/// Everything that a run needs.
pub struct Job {
    pub settings: Settings,
    pub training: TrainingSettings,
    pub recipe: Recipe,
    pub detector: engine::Settings,
    pub decoders: decoder::Settings,
    pub max_object_bytes: u64,
    pub labels: Arc<dyn Labels>,
    pub registry: Arc<dyn Registry>,
    pub store: Store,
    pub objects: Arc<dyn Objects>,
    pub allowed: Allowed,
    pub vocabulary: Vocabulary,
    /// Who runs it: another name for each process.
    pub holder: String,
    /// Whether the model in a folder loads, and says what it said when it was made, in a process of its own.
    pub self_test: fn(&Path) -> Result<String, String>,
}

/// What a run is about.
struct Subject {
    id: Uuid,
    snapshot: Snapshot,
    snapshot_sha256: String,
    incumbent: Model,
    incumbent_folder: PathBuf,
    folder: PathBuf,
}

impl Job {
    /// One run, from the lease to its end. A run that was killed goes on where it was: the same labels and the same active
    /// model make the same run.
    pub async fn run(
        self: Arc<Job>,
        mode: Mode,
        mut told: Box<dyn Told>,
        stop: &CancellationToken,
    ) -> Result<Ended, RetrainError> {
        let ttl = Duration::from_secs(self.settings.lease_s);
        let lease = match self.registry.acquire(LEASE, &self.holder, ttl).await? {
            Acquired::Mine(lease) => lease,
            Acquired::Held { by, until } => return Ok(Ended::Busy { by, until }),
        };
        let until = stop.child_token();
        told.stops_with(until.clone());
        let keep = async {
            loop {
                tokio::time::sleep(ttl / 3).await;
                match self.registry.renew(&lease, ttl).await {
                    Ok(_) => {}
                    Err(error @ RegistryError::Fenced { .. }) => {
                        until.cancel();
                        tracing::error!(%error, "stopping");
                        std::future::pending::<()>().await;
                    }
                    Err(error) => tracing::warn!(%error, "the lease could not be renewed: trying again"),
                }
            }
        };
        let ended = tokio::select! {
            ended = Arc::clone(&self).work(mode, told, &lease, &until) => ended,
            () = keep => unreachable!("the lease is kept for as long as the work lasts"),
        };
        if let Err(error) = self.registry.release(&lease).await {
            tracing::warn!(%error, "the lease could not be given back; it ends by itself");
        }
        ended
    }

    async fn work(
        self: Arc<Job>,
        mode: Mode,
        mut told: Box<dyn Told>,
        lease: &Lease,
        stop: &CancellationToken,
    ) -> Result<Ended, RetrainError> {
        let subject = self.subject().await?;
        if let Some(words) = self.nothing_new(&subject).await? {
            if mode == Mode::Promote {
                let report = json!({"words": words});
                let id = Uuid::new_v5(&subject.id, b"nothing new");
                self.record(id, &subject, RunState::NothingNew, None, report, lease).await?;
            }
            return Ok(Ended::NothingNew { words });
        }
        let (snapshot, all) = (&subject.snapshot, subject.snapshot.images.len());
        told.says(&format!(
            "{all} labelled images, {} of them held out; from model {}",
            snapshot.count(Side::HeldOut),
            subject.incumbent.entry.version
        ));
        if mode == Mode::Promote {
            self.record(subject.id, &subject, RunState::Running, None, Value::Null, lease).await?;
        }
        let decided = Arc::clone(&self).decide(mode, told, &subject, lease, stop).await;
        let state = match &decided {
            Ok(report) => match report.outcome.as_str() {
                "promoted" => RunState::Promoted,
                "registered" | "passed" => RunState::Registered,
                _ => RunState::Refused,
            },
            // It goes on another time.
            Err(error) if error.is_a_stop() => RunState::Running,
            Err(_) => RunState::Failed,
        };
        if mode == Mode::Promote {
            let document = match &decided {
                Ok(report) => serde_json::to_value(report).unwrap_or_default(),
                Err(error) => json!({"words": error.to_string()}),
            };
            let candidate = decided.as_ref().ok().map(|report| report.candidate.clone());
            self.record(subject.id, &subject, state, candidate, document, lease).await?;
        }
        decided.map(|report| Ended::Decided(Box::new(report)))
    }

    /// The labels in force and the active model, as they are now.
    async fn subject(&self) -> Result<Subject, RetrainError> {
        let (incumbent, incumbent_folder) = registry::fetch_active(self.registry.as_ref(), &self.store).await?;
        let snapshot = Snapshot::take(self.labels.as_ref(), &self.vocabulary, self.shares()).await?;
        let snapshot_sha256 = snapshot.sha256();
        let recipe = serde_json::to_string(&self.recipe).unwrap_or_default();
        let name = [snapshot_sha256.as_str(), &incumbent.entry.version, &incumbent.entry.sha256, &recipe].join("\n");
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let digest = hex::encode(&Sha256::digest(name)[..6]);
        let folder = PathBuf::from(&self.settings.folder).join("runs").join(digest);
        Ok(Subject { id, snapshot, snapshot_sha256, incumbent, incumbent_folder, folder })
    }

    fn shares(&self) -> Shares {
        Shares { held_out: self.settings.held_out, reading: self.recipe.calibration.held_out }
    }

    async fn nothing_new(&self, subject: &Subject) -> Result<Option<String>, RetrainError> {
        let (images, least) = (subject.snapshot.images.len(), self.settings.min_images);
        if images < least {
            return Ok(Some(format!(
                "nothing to learn from: {images} images are labelled, retrain.min_images asks for {least}"
            )));
        }
        let manifest = Manifest::of_bytes(subject.incumbent.entry.manifest.as_bytes());
        let learnt = manifest.ok().and_then(|manifest| manifest.lineage.snapshot_sha256);
        if learnt.as_deref() == Some(subject.snapshot_sha256.as_str()) {
            return Ok(Some("nothing new to learn from: the active model has learnt from these very labels".into()));
        }
        let decided = [RunState::Refused, RunState::Registered, RunState::Promoted];
        let runs = self.registry.runs(100).await?;
        let before = runs.into_iter().find(|run| run.run.id == subject.id && decided.contains(&run.run.state));
        Ok(before.map(|run| {
            format!(
                "nothing new to learn from: these labels, this model and this recipe were tried before ({})",
                run.run.state.as_str()
            )
        }))
    }

    async fn decide(
        self: Arc<Job>,
        mode: Mode,
        mut told: Box<dyn Told>,
        subject: &Subject,
        lease: &Lease,
        stop: &CancellationToken,
    ) -> Result<Report, RetrainError> {
        let began = Instant::now();
        let cache_folder = PathBuf::from(&self.settings.folder).join("cache");
        for folder in [&subject.folder, &cache_folder] {
            std::fs::create_dir_all(folder).map_err(|error| RetrainError::unwritable(folder, &error))?;
        }
        let path = subject.folder.join("snapshot.json");
        subject.snapshot.write(&path).map_err(|error| RetrainError::unwritable(&path, &error))?;
        told.says("fetching images");
        let cache = Cache {
            folder: &cache_folder,
            objects: self.objects.as_ref(),
            allowed: &self.allowed,
            max_bytes: self.max_object_bytes,
        };
        cache.keep_only(&subject.snapshot);
        let fetched = tokio::select! {
            fetched = cache.fill(&subject.snapshot) => fetched?,
            () = stop.cancelled() => return Err(RetrainError::Stopped),
        };
        let making =
            Making::new(&self, subject.incumbent_folder.clone(), &subject.folder, &subject.snapshot_sha256, &fetched);
        let job = Arc::clone(&self);
        let work = move || -> Result<_, RetrainError> {
            let (manifest, counts) = making.run(&job, told.as_mut())?;
            told.says(&format!("candidate {}: self-test in a process of its own", manifest.version));
            let self_test = (job.self_test)(&making.candidate);
            told.says("candidate and incumbent before the held-out images");
            let trials = job.contest(&making, told.as_mut())?;
            let gate = gate::decide(&trials, self_test, &job.settings.bounds());
            Ok(((manifest, counts, gate), trials, told))
        };
        let ((manifest, counts, gate), trials, mut told) =
            tokio::task::spawn_blocking(work).await.map_err(|panic| RetrainError::Broken(panic.to_string()))??;
        let (outcome, words) = self.act(mode, subject, &manifest, &gate, lease).await?;
        let report = self.report(subject, &fetched, (mode, began), (manifest, counts, gate), (outcome, words));
        report.write(&trials)?;
        told.says(&report.words);
        Ok(report)
    }

    fn contest(&self, making: &Making, told: &mut dyn Told) -> Result<Vec<gate::Trial>, RetrainError> {
        let decoders = Pool::open(self.decoders.clone())?;
        let gallery = Gallery::new(&making.held_out, &decoders, self.max_object_bytes, 0);
        let trusted = engine::Settings { public_key: String::new(), ..self.detector.clone() };
        let seen = |done, all| {
            told.compared(done, all);
            if told.wants_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let incumbent = (making.incumbent.as_path(), &trusted);
        Ok(contest::hold(&gallery, incumbent, (&making.candidate, &trusted), making.threads, seen)?)
    }

    /// What becomes of the candidate, in a word and in words.
    async fn act(
        &self,
        mode: Mode,
        subject: &Subject,
        manifest: &Manifest,
        gate: &GateDecision,
        lease: &Lease,
    ) -> Result<(&'static str, String), RetrainError> {
        let version = manifest.version.clone();
        let before = &subject.incumbent.entry.version;
        let folder = subject.folder.join("candidate");
        if !gate.passed {
            return Ok(("refused", format!("candidate {version} is refused; {before} stays active")));
        }
        if mode == Mode::DryRun {
            return Ok((
                "passed",
                format!("candidate {version} would be promoted; it was a dry run, {before} stays active"),
            ));
        }
        if !self.detector.public_key.is_empty() {
            return Ok((
                "passed",
                format!(
                    "candidate {version} passed, and waits for a signature, as detector.public_key asks: sign {} and register it",
                    folder.display()
                ),
            ));
        }
        let candidate = Candidate {
            folder: &folder,
            metrics: json!({"held_out": manifest.metrics, "gate": gate}),
            parent: Some(before.clone()),
            actor: self.holder.clone(),
            public_key: "",
        };
        registry::register(self.registry.as_ref(), &self.store, candidate, By::Job(lease)).await?;
        let change = Change {
            version: version.clone(),
            replaces: Some(before.clone()),
            kind: Kind::Promotion,
            actor: self.holder.clone(),
            reason: Some(format!("retrain {}", subject.id)),
        };
        match registry::promote(self.registry.as_ref(), &self.store, "", &change, By::Job(lease)).await {
            Ok(_) => Ok(("promoted", format!("candidate {version} is promoted in place of {before}"))),
            Err(RegistryError::Moved { active, .. }) => Ok((
                "registered",
                format!(
                    "candidate {version} is registered but not promoted: it was compared with {before}, and {} is active now",
                    active.as_deref().unwrap_or("none")
                ),
            )),
            Err(error) => Err(error.into()),
        }
    }

    fn report(
        &self,
        subject: &Subject,
        fetched: &Fetched,
        (mode, began): (Mode, Instant),
        (manifest, counts, gate): (Manifest, [usize; 3], GateDecision),
        (outcome, words): (&str, String),
    ) -> Report {
        Report {
            schema: Report::SCHEMA.into(),
            run: subject.id.to_string(),
            at: OffsetDateTime::now_utc(),
            dry_run: mode == Mode::DryRun,
            snapshot_sha256: subject.snapshot_sha256.clone(),
            incumbent: subject.incumbent.entry.version.clone(),
            candidate: manifest.version,
            train_images: counts[0],
            reading_images: counts[1],
            held_out_images: counts[2],
            missing: fetched.missing.iter().take(NAMED).cloned().collect(),
            missing_images: fetched.missing.len(),
            metrics: manifest.metrics.unwrap_or_default(),
            gate,
            outcome: outcome.into(),
            words,
            folder: subject.folder.display().to_string(),
            seconds: began.elapsed().as_secs_f64(),
        }
    }

    async fn record(
        &self,
        id: Uuid,
        subject: &Subject,
        state: RunState,
        candidate: Option<String>,
        report: Value,
        lease: &Lease,
    ) -> Result<(), RetrainError> {
        let snapshot = Some(subject.snapshot_sha256.clone());
        Ok(self.registry.record_run(&Run { id, state, snapshot, candidate, report }, lease).await?)
    }
}
