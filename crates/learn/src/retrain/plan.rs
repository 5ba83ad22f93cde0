//! What a run is to do, if anything. Pure: the labels, the active model and earlier runs in, a plan out.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::snapshot::Snapshot;
use artefact::Manifest;
use registry::{Model, RecordedRun, RunState};

/// What is known before a run.
pub struct Situation<'a> {
    pub snapshot: &'a Snapshot,
    /// The active model.
    pub incumbent: &'a Model,
    /// The last ones.
    pub earlier: &'a [RecordedRun],
    /// `retrain.min_images`.
    pub min_images: usize,
}

/// The name of a run. The same labels, active model and recipe are the same run, so that one that was killed goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: Uuid,
    pub snapshot_sha256: String,
    /// Of the run's own folder.
    pub folder: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    NothingNew(NothingNew),
    /// Train a candidate and compare it with the active model.
    Train,
}

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NothingNew {
    TooFew {
        images: usize,
        min_images: usize,
    },
    /// The active model has learnt from the same labels.
    Learnt,
    /// The same run was made before, and ended so.
    Tried(RunState),
}

impl fmt::Display for NothingNew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NothingNew::TooFew { images, min_images } => write!(
                f,
                "nothing to learn from: {images} images are labelled, retrain.min_images asks for {min_images}"
            ),
            NothingNew::Learnt => {
                write!(f, "nothing new to learn from: the active model has learnt from these very labels")
            }
            NothingNew::Tried(state) => write!(
                f,
                "nothing new to learn from: these labels, this model and this recipe were tried before ({})",
                state.as_str()
            ),
        }
    }
}

impl Identity {
    /// The error says that the recipe can't be written as JSON.
    pub fn new(snapshot: &Snapshot, incumbent: &Model, recipe: &impl Serialize) -> Result<Identity, serde_json::Error> {
        let snapshot_sha256 = snapshot.sha256();
        let recipe = serde_json::to_string(recipe)?;
        let name = [snapshot_sha256.as_str(), &incumbent.entry.version, &incumbent.entry.sha256, &recipe].join("\n");
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let folder = hex::encode(&Sha256::digest(name)[..6]);
        Ok(Identity { id, snapshot_sha256, folder })
    }

    /// Under which it is recorded that there was nothing to do: an entry beside that of the run itself.
    pub fn nothing_new(&self) -> Uuid {
        Uuid::new_v5(&self.id, b"nothing new")
    }
}

impl Situation<'_> {
    pub fn plan(&self, identity: &Identity) -> Plan {
        self.nothing_new(identity).map_or(Plan::Train, Plan::NothingNew)
    }

    fn nothing_new(&self, identity: &Identity) -> Option<NothingNew> {
        let (images, min_images) = (self.snapshot.images.len(), self.min_images);
        if images < min_images {
            return Some(NothingNew::TooFew { images, min_images });
        }
        let manifest = Manifest::of_bytes(self.incumbent.entry.manifest.as_bytes());
        let learnt = manifest.ok().and_then(|manifest| manifest.lineage.snapshot_sha256);
        if learnt.as_deref() == Some(identity.snapshot_sha256.as_str()) {
            return Some(NothingNew::Learnt);
        }
        let decided = [RunState::Refused, RunState::Registered, RunState::Promoted];
        let is_the_same = |run: &&RecordedRun| run.run.id == identity.id && decided.contains(&run.run.state);
        self.earlier.iter().find(is_the_same).map(|run| NothingNew::Tried(run.run.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retrain::dataset::LabelledImage;
    use crate::retrain::snapshot::{Shares, Side, SnapshotImage};
    use crate::training::Recipe;
    use artefact::LabelSet;
    use domain::{LabelledOrigin, Thresholds};
    use registry::{NewModel, Run};
    use serde_json::{Value, json};
    use time::OffsetDateTime;

    fn snapshot(images: usize) -> Snapshot {
        let image = |number: usize| SnapshotImage {
            image: LabelledImage {
                sha256: format!("{number:064x}"),
                location: format!("s3://uploads/{number}.png"),
                origin: LabelledOrigin::Real,
                content_type: None,
                generator: None,
                source: None,
            },
            side: Side::Train,
        };
        let shares = Shares { held_out: 0.2, reading: 0.1 };
        Snapshot { schema: Snapshot::SCHEMA.into(), shares, images: (0..images).map(image).collect() }
    }

    fn model(manifest: &Value) -> Model {
        let entry = NewModel {
            version: "1".into(),
            sha256: "ab".into(),
            location: "store/1".into(),
            manifest: manifest.to_string(),
            metrics: Value::Null,
            parent: None,
            actor: "test".into(),
        };
        Model { entry, registered_at: OffsetDateTime::UNIX_EPOCH }
    }

    fn recorded(id: Uuid, state: RunState) -> RecordedRun {
        let run = Run { id, state, snapshot: None, candidate: None, report: Value::Null };
        RecordedRun { run, epoch: 1, started_at: OffsetDateTime::UNIX_EPOCH, finished_at: None }
    }

    fn recipe() -> Recipe {
        Recipe::named("retrain").unwrap()
    }

    fn plan(snapshot: &Snapshot, earlier: &[RecordedRun]) -> Plan {
        let incumbent = model(&Value::Null);
        let identity = Identity::new(snapshot, &incumbent, &recipe()).unwrap();
        Situation { snapshot, incumbent: &incumbent, earlier, min_images: 10 }.plan(&identity)
    }

    #[test]
    fn enough_new_labels_are_trained_on() {
        assert_eq!(plan(&snapshot(10), &[]), Plan::Train);
    }

    #[test]
    fn too_few_images_are_nothing_to_learn_from() {
        let Plan::NothingNew(reason) = plan(&snapshot(9), &[]) else { panic!("it would train") };
        assert_eq!(reason, NothingNew::TooFew { images: 9, min_images: 10 });
        assert!(reason.to_string().contains("9 images are labelled, retrain.min_images asks for 10"), "{reason}");
    }

    #[test]
    fn a_run_that_was_decided_is_not_made_again_and_one_that_was_not_goes_on() {
        let snapshot = snapshot(20);
        let identity = Identity::new(&snapshot, &model(&Value::Null), &recipe()).unwrap();
        for (state, decided) in [
            (RunState::Refused, true),
            (RunState::Registered, true),
            (RunState::Promoted, true),
            (RunState::Running, false),
            (RunState::Failed, false),
            (RunState::NothingNew, false),
        ] {
            let expected = if decided { Plan::NothingNew(NothingNew::Tried(state)) } else { Plan::Train };
            assert_eq!(plan(&snapshot, &[recorded(identity.id, state)]), expected, "{state:?}");
        }
        assert_eq!(plan(&snapshot, &[recorded(Uuid::nil(), RunState::Refused)]), Plan::Train, "that was another run");
    }

    #[test]
    fn labels_that_the_active_model_has_learnt_are_nothing_new() {
        let snapshot = snapshot(20);
        let manifest = json!({
            "schema": "assay.model.v1", "version": "1", "trained": true, "architecture": "resnet18-nodown-16",
            "preprocessing": "imaginet-centre-256@1", "labels": LabelSet::none(), "calibration": null,
            "thresholds": Thresholds::default(), "weights": {"file": "weights.safetensors", "sha256": "ab".repeat(32)},
            "lineage": {"source": "test", "source_sha256": null, "snapshot_sha256": snapshot.sha256(),
                        "made_at": "2026-01-01T00:00:00Z"},
        });
        Manifest::of_bytes(manifest.to_string().as_bytes()).unwrap();
        let incumbent = model(&manifest);
        let identity = Identity::new(&snapshot, &incumbent, &recipe()).unwrap();
        let situation = Situation { snapshot: &snapshot, incumbent: &incumbent, earlier: &[], min_images: 10 };
        assert_eq!(situation.plan(&identity), Plan::NothingNew(NothingNew::Learnt));
    }

    #[test]
    fn a_run_is_named_by_labels_model_and_recipe() {
        let (first, incumbent) = (snapshot(3), model(&Value::Null));
        let identity = |snapshot: &Snapshot, recipe: &Recipe| Identity::new(snapshot, &incumbent, recipe).unwrap();
        let one = identity(&first, &recipe());
        assert_eq!(one, identity(&first, &recipe()));
        let other_recipe = Recipe { seed: 5, ..recipe() };
        for other in [identity(&first, &other_recipe), identity(&snapshot(4), &recipe())] {
            assert!(one.id != other.id && one.folder != other.folder);
        }
        assert_ne!(one.id, one.nothing_new());
    }

    #[test]
    fn a_recipe_that_cannot_be_written_as_json_names_no_run() {
        // JSON has no keys but strings.
        let recipe = std::collections::BTreeMap::from([(vec![1], 1)]);
        assert!(Identity::new(&snapshot(3), &model(&json!({})), &recipe).is_err());
    }
}
