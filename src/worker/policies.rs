//! Following the policy in force: what follows from verdicts is said by the one that holds when they are made.
//!
//! A policy that can't be read (a later release wrote it) leaves the one before in force here, and is tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use moderation::{Policy, Postgres};
use registry::Registry;

/// What verdicts are held against; `None`: no policy is in force.
pub type PolicyInForce = watch::Receiver<Option<Arc<Policy>>>;

#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error(transparent)]
    Database(#[from] database::DatabaseError),
    #[error(
        "the policy in force, {version}, can't be read by this version of Assay: {reason}; update the worker, or activate another policy"
    )]
    Unreadable { version: String, reason: String },
}

/// Where policies are kept, and how changes are heard of.
pub struct PolicySource {
    pub policies: Postgres,
    /// Announces them with its promotions.
    pub announcements: Arc<dyn Registry>,
    /// Between two looks; an announcement comes at once.
    pub poll: Duration,
}

/// The policy in force, from now until `stop`.
pub async fn follow(source: PolicySource, stop: CancellationToken) -> Result<PolicyInForce, PolicyError> {
    let first = source.look(None).await?;
    if let Some(policy) = &first {
        tracing::info!(policy = policy.version(), rules = policy.rules().len(), "a policy is in force");
    }
    let (sender, in_force) = watch::channel(first);
    tokio::spawn(async move {
        let following = Box::pin(source.keep_looking(sender));
        let _ = stop.run_until_cancelled(following).await;
    });
    Ok(in_force)
}

impl PolicySource {
    async fn keep_looking(&self, sender: watch::Sender<Option<Arc<Policy>>>) {
        let mut told = None;
        loop {
            self.announcements.wait_for_promotion(self.poll).await;
            let before = sender.borrow().clone();
            match self.look(before.as_ref()).await {
                Ok(now) => {
                    told = None;
                    let versions = [&before, &now].map(|one| one.as_ref().map(|policy| policy.version().to_string()));
                    if versions[0] != versions[1] {
                        let [before, policy] = versions.map(|version| version.unwrap_or_else(|| "none".into()));
                        tracing::info!(policy, before, "another policy is in force");
                        sender.send_replace(now);
                    }
                }
                Err(PolicyError::Database(error)) if error.is_transient() => {
                    tracing::debug!(%error, "the policy in force can't be asked for");
                }
                Err(error) => {
                    // Once for each reason: it is tried again every few seconds.
                    let reason = error.to_string();
                    if told.as_ref() != Some(&reason) {
                        tracing::error!(reason, "the policy before stays in force here");
                    }
                    told = Some(reason);
                }
            }
        }
    }

    /// What is in force; the one that is known where it is the same.
    async fn look(&self, known: Option<&Arc<Policy>>) -> Result<Option<Arc<Policy>>, PolicyError> {
        let Some(stored) = self.policies.in_force().await? else { return Ok(None) };
        if let Some(known) = known.filter(|known| known.digest() == stored.digest) {
            return Ok(Some(known.clone()));
        }
        let unreadable = |reason: String| PolicyError::Unreadable { version: stored.version().into(), reason };
        let policy = Policy::read(&stored.text).map_err(|errors| unreadable(errors.to_string()))?;
        if policy.digest() != stored.digest {
            return Err(unreadable("it says something else here than where it was put".into()));
        }
        Ok(Some(Arc::new(policy)))
    }
}
