//! Appeals from their queue become items that people decide on.

use std::sync::Arc;

use async_trait::async_trait;

use crate::inbox::{Failed, Handled, Handler, InboxError};
use broker::wire::{self, Message};
use ledger::Ledger;
use objects::Allowed;
use review::{AppealRefused, NewAppeal, Postgres, Via};

/// Files appeals.
pub struct AppealHandler {
    pub reviews: Postgres,
    pub ledger: Arc<dyn Ledger>,
    pub allowed: Allowed,
}

#[async_trait]
impl Handler for AppealHandler {
    fn what(&self) -> &'static str {
        "appeals"
    }

    async fn handle(&self, message: &Message) -> Result<Handled, InboxError> {
        match self.file(message).await {
            Ok(is_new) => Ok(Handled::Done { is_new }),
            Err(Failed::Later(error)) => Err(error),
            Err(Failed::Rejected(reason)) => {
                tracing::warn!(reason, "an appeal is dead-lettered");
                Ok(Handled::Rejected { reason })
            }
        }
    }
}

impl AppealHandler {
    /// Gives whether it was not filed before.
    async fn file(&self, message: &Message) -> Result<bool, Failed> {
        let appeal = wire::read_appeal(message).map_err(|error| Failed::Rejected(error.to_string()))?;
        if let Some(evidence) = &appeal.evidence {
            // Whose it is says the verdict; of one that is not there, nothing is asked of the store.
            let outcome = self.ledger.outcome(appeal.verdict_id).await?;
            let tenant = outcome.map(|outcome| outcome.key().tenant).unwrap_or_default();
            let admitted = self.allowed.admits(&tenant, &evidence.bucket, &evidence.key);
            admitted.map_err(|reason| Failed::Rejected(format!("`evidence`: {reason}")))?;
        }
        let new = NewAppeal {
            outcome: appeal.verdict_id,
            tenant: appeal.tenant,
            text: appeal.text,
            evidence: appeal.evidence,
            via: Via::Queue,
            filed_by: appeal.actor,
        };
        match self.reviews.file_appeal(&new).await {
            Ok(filed) => {
                tracing::info!(appeal = %filed.appeal, known = filed.known, "an appeal waits for people");
                Ok(!filed.known)
            }
            Err(AppealRefused::Database(error)) => Err(error.into()),
            Err(refused) => Err(Failed::Rejected(refused.to_string())),
        }
    }
}
