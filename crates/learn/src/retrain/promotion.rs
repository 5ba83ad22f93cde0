//! What becomes of a candidate that the gate has judged.

use std::path::Path;

use serde_json::json;
use uuid::Uuid;

use super::candidate::Candidate;
use super::error::RetrainError;
use super::gate::GateDecision;
use super::outcome::{Mode, Outcome};
use registry::{By, Change, Kind, Lease, Registry, RegistryError, Store};

/// What is to be done with a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Refuse,
    /// It was a dry run.
    LeaveIt,
    /// Workers ask for a signature, which only a person can give.
    AwaitSignature,
    Promote,
}

impl Action {
    /// `public_key`: `detector.public_key`, "" where none is asked for.
    fn choose(passed: bool, mode: Mode, public_key: &str) -> Action {
        match (passed, mode) {
            (false, _) => Action::Refuse,
            (true, Mode::DryRun) => Action::LeaveIt,
            (true, Mode::Promote) if !public_key.is_empty() => Action::AwaitSignature,
            (true, Mode::Promote) => Action::Promote,
        }
    }
}

/// How a candidate ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub outcome: Outcome,
    /// For a person: what became of it, and what is to be done.
    pub words: String,
}

/// The registry, and what a candidate is registered with.
pub(super) struct Promotion<'a> {
    pub registry: &'a dyn Registry,
    pub store: &'a Store,
    pub lease: &'a Lease,
    pub holder: &'a str,
    pub run: Uuid,
    pub mode: Mode,
    pub public_key: &'a str,
    /// The version that the candidate was compared with.
    pub incumbent: &'a str,
}

impl Promotion<'_> {
    /// Refuses, registers or promotes the candidate, as the gate and the configuration have it.
    pub(super) async fn settle(&self, candidate: &Candidate, gate: &GateDecision) -> Result<Settled, RetrainError> {
        let (version, before) = (&candidate.manifest.version, self.incumbent);
        let (outcome, words) = match Action::choose(gate.passed, self.mode, self.public_key) {
            Action::Refuse => (Outcome::Refused, format!("candidate {version} is refused; {before} stays active")),
            Action::LeaveIt => (
                Outcome::WouldPromote,
                format!("candidate {version} would be promoted; it was a dry run, {before} stays active"),
            ),
            Action::AwaitSignature => (Outcome::WouldPromote, awaits_signature(version, &candidate.folder)),
            Action::Promote => {
                self.register(candidate, gate).await?;
                return self.promote(version).await;
            }
        };
        Ok(Settled { outcome, words })
    }

    async fn register(&self, candidate: &Candidate, gate: &GateDecision) -> Result<(), RetrainError> {
        let candidate = registry::Candidate {
            folder: &candidate.folder,
            metrics: json!({"held_out": candidate.manifest.metrics, "gate": gate}),
            parent: Some(self.incumbent.into()),
            actor: self.holder.into(),
            public_key: "",
        };
        registry::register(self.registry, self.store, candidate, By::Job(self.lease)).await?;
        Ok(())
    }

    async fn promote(&self, version: &str) -> Result<Settled, RetrainError> {
        let before = self.incumbent;
        let change = Change {
            version: version.into(),
            replaces: Some(before.into()),
            kind: Kind::Promotion,
            actor: self.holder.into(),
            reason: Some(format!("retrain {}", self.run)),
        };
        match registry::promote(self.registry, self.store, "", &change, By::Job(self.lease)).await {
            Ok(_) => Ok(Settled {
                outcome: Outcome::Promoted,
                words: format!("candidate {version} is promoted in place of {before}"),
            }),
            Err(RegistryError::Moved { active, .. }) => Ok(Settled {
                outcome: Outcome::Registered,
                words: format!(
                    "candidate {version} is registered but not promoted: it was compared with {before}, and {} is active now",
                    active.as_deref().unwrap_or("none")
                ),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

fn awaits_signature(version: &str, folder: &Path) -> String {
    format!(
        "candidate {version} passed, and waits for a signature, as detector.public_key asks: sign {} and register it",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_candidate_that_passed_is_promoted_and_only_where_the_run_may() {
        for (passed, mode, public_key, expected) in [
            (false, Mode::Promote, "", Action::Refuse),
            (false, Mode::DryRun, "key", Action::Refuse),
            (true, Mode::DryRun, "", Action::LeaveIt),
            (true, Mode::DryRun, "key", Action::LeaveIt),
            (true, Mode::Promote, "key", Action::AwaitSignature),
            (true, Mode::Promote, "", Action::Promote),
        ] {
            assert_eq!(Action::choose(passed, mode, public_key), expected, "{passed} {mode:?} {public_key:?}");
        }
    }
}
