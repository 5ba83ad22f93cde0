//! A ledger in memory, for tests. It keeps the promises of the port and can fail in the ways of a database.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Content, Expired, Found, Gone, Ledger, LedgerError, Recorded};
use crate::gone::binding;
use crate::maintenance::FEWEST_AHEAD;
use domain::{ImageRef, ModelRef, Outcome, OutcomeId, Predecessors, Previous, SubmissionKey, Verdict};

/// What the ledger was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    Find,
    Record,
    Scored,
    Outcome,
    Latest,
    Prove,
    Check,
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The database is away: nothing was read or written.
    Unreachable,
    /// The tables are not there.
    NotMigrated,
    /// A right is missing: nothing was read or written.
    Forbidden,
    /// The disk is full: nothing was written.
    DiskFull,
    /// All was written, but the connection broke before the answer came.
    ReplyLost,
}

/// Called before each call; by it tests make the call fail.
pub type Script = Box<dyn FnMut(Call) -> Option<Fault> + Send>;

/// Whether the database refuses a value of an outcome.
pub type Refusal = Box<dyn Fn(&Outcome) -> bool + Send>;

/// What is kept under a key.
struct Kept {
    outcome: Outcome,
    recorded_at: OffsetDateTime,
    /// Nothing but the key is left.
    expired: bool,
}

impl Kept {
    fn gone(&self) -> Option<Gone> {
        let image = self.outcome.image();
        let (id, image_binding) = (self.outcome.id(), binding(&image.bucket, &image.key));
        self.expired.then_some(Gone::Expired(Expired { id, recorded_at: self.recorded_at, image_binding }))
    }

    fn outcome(&self) -> Option<&Outcome> {
        (!self.expired).then_some(&self.outcome)
    }
}

#[derive(Default)]
struct Store {
    kept: BTreeMap<SubmissionKey, Kept>,
    /// Tenant and submission, and when.
    erased: BTreeMap<(String, String), OffsetDateTime>,
}

impl Store {
    fn gone(&self, key: &SubmissionKey) -> Option<Gone> {
        let erased = self.erased.get(&(key.tenant.clone(), key.submission_id.clone()));
        erased.map(|at| Gone::Erased { at: *at }).or_else(|| self.kept.get(key).and_then(Kept::gone))
    }
}

pub struct Memory {
    store: Mutex<Store>,
    script: Mutex<Script>,
    refusal: Mutex<Refusal>,
}

impl Memory {
    pub fn new() -> Memory {
        Self::with_script(Box::new(|_| None))
    }

    pub fn with_script(script: Script) -> Memory {
        Memory { store: Mutex::default(), script: Mutex::new(script), refusal: Mutex::new(Box::new(has_nul)) }
    }

    /// Replaces the script.
    pub fn set_script(&self, script: Script) {
        *lock(&self.script) = script;
    }

    /// Replaces what is refused: text with NUL, unless told otherwise.
    pub fn set_refusal(&self, refusal: Refusal) {
        *lock(&self.refusal) = refusal;
    }

    /// Lets the next `times` calls of one kind fail; a script set before ends.
    pub fn fail_next(&self, call: Call, fault: Fault, times: usize) {
        let mut left = times;
        self.set_script(Box::new(move |made| {
            let hit = made == call && left > 0;
            left -= usize::from(hit);
            hit.then_some(fault)
        }));
    }

    /// Everything recorded, in the order of the keys.
    pub fn outcomes(&self) -> Vec<Outcome> {
        lock(&self.store).kept.values().filter_map(Kept::outcome).cloned().collect()
    }

    /// Keeps nothing but the key, as `[retention]` does.
    pub fn expire(&self, key: &SubmissionKey) {
        if let Some(kept) = lock(&self.store).kept.get_mut(key) {
            kept.expired = true;
        }
    }

    /// Keeps nothing of a submission but that it was erased, as `assay erase` does.
    pub fn erase(&self, tenant: &str, submission_id: &str) {
        let mut store = lock(&self.store);
        store.kept.retain(|key, _| (key.tenant.as_str(), key.submission_id.as_str()) != (tenant, submission_id));
        store.erased.insert((tenant.into(), submission_id.into()), OffsetDateTime::now_utc());
    }

    /// Does the work of a call, unless the script has it fail.
    fn answer<T>(&self, call: Call, work: impl FnOnce(&mut Store) -> T) -> Result<T, LedgerError> {
        let fault = (lock(&self.script))(call);
        match fault {
            None => Ok(work(&mut lock(&self.store))),
            Some(Fault::ReplyLost) => {
                work(&mut lock(&self.store));
                Err(unreachable("the connection broke before the answer came"))
            }
            Some(Fault::Unreachable) => Err(unreachable("connection refused")),
            Some(Fault::NotMigrated) => {
                let detail = "relation \"outcomes\" does not exist".into();
                Err(LedgerError::NotMigrated { detail, cause: None })
            }
            Some(Fault::Forbidden) => {
                let detail = "permission denied for table outcomes".into();
                Err(LedgerError::Forbidden { detail, cause: None })
            }
            Some(Fault::DiskFull) => {
                let detail = "could not extend file: no space left on device".into();
                Err(LedgerError::Hindered { detail, cause: None })
            }
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new()
    }
}

#[async_trait]
impl Ledger for Memory {
    async fn find(&self, keys: &[SubmissionKey]) -> Result<Vec<Found>, LedgerError> {
        self.answer(Call::Find, |store| {
            let found = keys.iter().map(|key| {
                let oldest = SubmissionKey { generation: 0, ..key.clone() };
                let mut earlier = store.kept.range(&oldest..key).rev().map(|(_, kept)| kept).peekable();
                let latest = earlier.peek().map(|kept| kept.outcome.id());
                let verdict = earlier.find_map(|kept| match &kept.outcome {
                    Outcome::Verdict(verdict) => Some(Previous::of(verdict)),
                    Outcome::Failure(_) => None,
                });
                let standing = store.kept.get(key).and_then(Kept::outcome).cloned();
                Found { standing, gone: store.gone(key), predecessors: Predecessors { latest, verdict } }
            });
            found.collect()
        })
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<Recorded>, LedgerError> {
        let refusal = lock(&self.refusal);
        self.answer(Call::Record, |store| {
            let answers = outcomes.iter().map(|outcome| {
                if refusal(outcome) {
                    return Recorded::Refused("invalid byte sequence for encoding \"UTF8\": 0x00".into());
                }
                if let Some(gone) = store.gone(&outcome.key()) {
                    return Recorded::Gone(gone);
                }
                match store.kept.entry(outcome.key()) {
                    Entry::Vacant(vacant) => {
                        let recorded_at = OffsetDateTime::now_utc();
                        vacant.insert(Kept { outcome: outcome.clone(), recorded_at, expired: false });
                        Recorded::New
                    }
                    Entry::Occupied(kept) => Recorded::Standing(Box::new(kept.get().outcome.clone())),
                }
            });
            answers.collect()
        })
    }

    async fn scored(
        &self,
        contents: &[Content],
        model: &ModelRef,
        within: Duration,
    ) -> Result<Vec<Option<Verdict>>, LedgerError> {
        let since = super::since(within);
        self.answer(Call::Scored, |store| {
            let first = |content: &Content| {
                let recent = store.kept.values().filter(|kept| kept.recorded_at >= since);
                recent.filter_map(Kept::outcome).find_map(|outcome| match outcome {
                    Outcome::Verdict(verdict) if is_scored(verdict, content, model) => Some((**verdict).clone()),
                    _ => None,
                })
            };
            contents.iter().map(first).collect()
        })
    }

    async fn outcome(&self, id: OutcomeId) -> Result<Option<Outcome>, LedgerError> {
        self.answer(Call::Outcome, |store| {
            store.kept.values().filter_map(Kept::outcome).find(|outcome| outcome.id() == id).cloned()
        })
    }

    async fn latest(&self, tenant: &str, image: &ImageRef) -> Result<Option<Verdict>, LedgerError> {
        self.answer(Call::Latest, |store| {
            let verdicts = store.kept.values().filter_map(Kept::outcome).filter_map(|outcome| match outcome {
                Outcome::Verdict(verdict) => Some(verdict),
                Outcome::Failure(_) => None,
            });
            let on_it =
                verdicts.filter(|verdict| verdict.tenant == tenant && verdict.image.reference().agrees_with(image));
            on_it.max_by_key(|verdict| verdict.decided_at).map(|verdict| (**verdict).clone())
        })
    }

    async fn prove(&self) -> Result<(), LedgerError> {
        self.answer(Call::Prove, |_| ())
    }

    async fn partitions_ahead(&self) -> Result<usize, LedgerError> {
        Ok(FEWEST_AHEAD)
    }

    async fn check(&self) -> Result<(), LedgerError> {
        self.answer(Call::Check, |_| ())
    }
}

/// What no text of PostgreSQL can hold.
fn has_nul(outcome: &Outcome) -> bool {
    let (key, image) = (outcome.key(), outcome.image());
    [key.tenant, key.submission_id, image.bucket.clone(), image.key.clone()].iter().any(|text| text.contains('\0'))
}

fn is_scored(verdict: &Verdict, content: &Content, model: &ModelRef) -> bool {
    verdict.reused_from.is_none()
        && (&verdict.tenant, &verdict.image.sha256) == (&content.tenant, &content.sha256)
        && (&verdict.model.version, &verdict.model.sha256) == (&model.version, &model.sha256)
}

fn unreachable(detail: &str) -> LedgerError {
    LedgerError::Unreachable { address: "memory".into(), detail: detail.into(), cause: None }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
