//! One submission as the database has it: the outcomes of all its generations, and what people said of its image.

use schemars::JsonSchema;
use serde::Serialize;

use database::{Database, DatabaseError};
use domain::{Outcome, SubmissionKey};
use labels::{Labels, RecordedLabel};
use ledger::{Gone, Ledger};

/// Generations that are looked for at once; the latest is found beyond them too.
const GENERATIONS: u32 = 64;
/// Bytes of an id.
const LONGEST: usize = 512;

/// What is known of a submission.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Submission {
    pub tenant: String,
    pub submission_id: String,
    /// As they were published, in the order of their generations. Empty where nothing was judged yet.
    pub outcomes: Vec<Outcome>,
    /// What anybody said of the bytes that were judged, in the order of recording.
    pub labels: Vec<RecordedLabel>,
}

#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// A tenant or an id that no submission can have.
    #[error("{0}")]
    Impossible(String),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Looks up submissions in the ledger and their images among the labels.
pub struct Submissions {
    ledger: Box<dyn Ledger>,
    labels: Box<dyn Labels>,
}

impl Submissions {
    pub fn on(database: &Database) -> Submissions {
        Submissions {
            ledger: Box::new(ledger::postgres::Postgres::on(database)),
            labels: Box::new(labels::postgres::Postgres::on(database)),
        }
    }

    pub async fn look_up(&self, tenant: &str, submission_id: &str) -> Result<Submission, LookUpError> {
        if submission_id.is_empty() || submission_id.len() > LONGEST || submission_id.chars().any(char::is_control) {
            return Err(LookUpError::Impossible(format!(
                "a submission id has 1 to {LONGEST} bytes and no control characters; this one is {:?}",
                submission_id.chars().take(80).collect::<String>()
            )));
        }
        domain::request::validate_tenant(tenant).map_err(|error| LookUpError::Impossible(error.to_string()))?;
        let outcomes = generations(self.ledger.as_ref(), tenant, submission_id).await?.outcomes;
        let labels = self.labels_of(&outcomes).await?;
        Ok(Submission { tenant: tenant.into(), submission_id: submission_id.into(), outcomes, labels })
    }

    /// What people said of the judged bytes.
    async fn labels_of(&self, outcomes: &[Outcome]) -> Result<Vec<RecordedLabel>, DatabaseError> {
        let digests = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Verdict(verdict) => Some(verdict.image.sha256.as_str()),
            Outcome::Failure(_) => None,
        });
        let mut digests: Vec<&str> = digests.collect();
        digests.sort_unstable();
        digests.dedup();
        let mut all = Vec::new();
        for sha256 in digests {
            all.extend(self.labels.history(sha256).await?);
        }
        Ok(all)
    }
}

/// The outcomes of a submission's generations that are kept, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Generations {
    pub(crate) outcomes: Vec<Outcome>,
    /// Where it has none that is kept: why its first one is not.
    pub(crate) gone: Option<Gone>,
}

pub(crate) async fn generations(
    ledger: &dyn Ledger,
    tenant: &str,
    submission: &str,
) -> Result<Generations, DatabaseError> {
    let key = |generation| SubmissionKey { tenant: tenant.into(), submission_id: submission.into(), generation };
    // What comes before the last of all numbers is the latest.
    let keys: Vec<SubmissionKey> = (0..GENERATIONS).chain([u32::MAX]).map(key).collect();
    let mut found = ledger.find(&keys).await?;
    let latest = found.pop().and_then(|last| last.standing.map(|outcome| outcome.id()).or(last.predecessors.latest));
    let gone = found.first().and_then(|first| first.gone.clone());
    let mut outcomes: Vec<Outcome> = found.into_iter().filter_map(|found| found.standing).collect();
    if let Some(latest) = latest.filter(|id| outcomes.iter().all(|outcome| outcome.id() != *id)) {
        outcomes.extend(ledger.outcome(latest).await?);
    }
    Ok(Generations { outcomes, gone })
}

impl Submission {
    /// Without what people said of the same bytes elsewhere: tenants learn nothing of each other's images.
    #[must_use]
    pub fn of_its_tenant_alone(mut self) -> Submission {
        let objects: Vec<String> = self.outcomes.iter().map(location).collect();
        let ids: Vec<_> = self.outcomes.iter().map(Outcome::id).collect();
        self.labels.retain(|recorded| {
            recorded.label.verdict_id.is_some_and(|id| ids.contains(&id)) || objects.contains(&recorded.label.location)
        });
        self
    }
}

fn location(outcome: &Outcome) -> String {
    let image = outcome.image();
    format!("s3://{}/{}", image.bucket, image.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Context, Failure, FailureCode, ImageRef, Purpose, Request};

    fn failure(generation: u32) -> Outcome {
        let key = SubmissionKey { tenant: "default".into(), submission_id: "a".into(), generation };
        let image = ImageRef { bucket: "b".into(), key: "k".into(), ..ImageRef::default() };
        let request = Request {
            key,
            image,
            deadline: None,
            purpose: Purpose::default(),
            metadata: serde_json::Map::new(),
            context: Context::default(),
        };
        let at = time::OffsetDateTime::UNIX_EPOCH;
        Outcome::Failure(Box::new(Failure::new(&request, FailureCode::ObjectNotFound, "gone", at)))
    }

    async fn submissions(outcomes: &[Outcome]) -> Submissions {
        let ledger = ledger::memory::Memory::default();
        ledger.record(outcomes).await.unwrap();
        Submissions { ledger: Box::new(ledger), labels: Box::new(labels::memory::Memory::default()) }
    }

    #[tokio::test]
    async fn all_generations_are_found_the_latest_beyond_all_numbers_too() {
        let submissions = submissions(&[failure(0), failure(1), failure(900)]).await;
        let found = submissions.look_up("default", "a").await.unwrap();
        let generations: Vec<u32> = found.outcomes.iter().map(|outcome| outcome.key().generation).collect();
        assert_eq!(generations, [0, 1, 900]);
        assert!(submissions.look_up("other", "a").await.unwrap().outcomes.is_empty());
    }

    #[tokio::test]
    async fn what_no_submission_can_be_called_is_refused() {
        let submissions = submissions(&[]).await;
        for (tenant, id, words) in
            [("default", "a\nb", "control characters"), ("a b", "a", "tenant"), ("default", "", "1 to")]
        {
            let error = submissions.look_up(tenant, id).await.unwrap_err();
            assert!(matches!(&error, LookUpError::Impossible(said) if said.contains(words)), "{error}");
        }
    }

    #[test]
    fn labels_of_the_same_bytes_elsewhere_are_left_out() {
        let outcome = failure(0);
        let label = |location: &str, verdict_id| RecordedLabel {
            number: 1,
            said_at: time::OffsetDateTime::UNIX_EPOCH,
            label: labels::Label {
                sha256: "0".repeat(64),
                location: location.into(),
                origin: domain::LabelledOrigin::Real,
                content_type: None,
                generator: None,
                source: labels::Source::Correction,
                actor: "somebody".into(),
                reason: None,
                verdict_id,
                drawn_as: None,
                grounds: Vec::new(),
                trains: true,
            },
        };
        let labels =
            vec![label("s3://b/k", None), label("s3://other/k", None), label("s3://other/k", Some(outcome.id()))];
        let all = Submission { tenant: "default".into(), submission_id: "a".into(), outcomes: vec![outcome], labels };
        let own = all.clone().of_its_tenant_alone();
        assert_eq!(own.labels, [all.labels[0].clone(), all.labels[2].clone()]);
    }
}
