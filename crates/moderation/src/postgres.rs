//! Policies, trials and activations in PostgreSQL; and the verdicts that a policy is tried on.

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row};
use time::{Duration, OffsetDateTime};
use tokio::sync::mpsc;

use crate::store::{Activation, ActivationError, NewActivation, Put, Stored, Wanted};
use crate::{Policy, TrialReport};
use database::{Database, DatabaseError, is_taken, query};
use domain::{Action, LabelledOrigin, Verdict};
use ledger::postgres::{VERDICT_COLUMNS, verdict_of};

/// A trial that is older says little of what comes now.
const TRIAL_DAYS: i64 = 7;
/// Of a statement's slice of time: no transaction is to last long.
const SLICE: Duration = Duration::hours(1);
/// Where promotions are announced: workers look for policies then, too.
const CHANNEL: &str = "assay_promotions";

const STORED: &str = "SELECT digest, text, actor, put_at FROM policies";
const ACTIVATIONS: &str =
    "SELECT id, policy, replaces, trial, actor, reason, activated_at FROM policy_activations ORDER BY id DESC";

pub struct Postgres {
    database: Database,
}

/// A verdict that is in force, and what people say of its image.
#[derive(Clone, Debug)]
pub struct InForce {
    pub verdict: Verdict,
    pub label: Option<LabelledOrigin>,
}

impl InForce {
    /// What followed from it.
    pub fn before(&self) -> Option<Action> {
        self.verdict.policy.as_ref().map(|applied| applied.action)
    }
}

/// Asks over a connection of the pool, which is given back with the answer.
macro_rules! ask {
    ($self:ident, $connection:ident => $work:expr) => {{
        let mut $connection = $self.database.connection().await?;
        let answer = $self.database.in_time($work).await;
        $self.database.conclude($connection, answer).await
    }};
}

impl Postgres {
    /// By a pool that others use too.
    pub fn on(database: &Database) -> Postgres {
        Postgres { database: database.clone() }
    }

    /// Stores a policy, as the file that it was read from.
    pub async fn put(&self, policy: &Policy, text: &str, actor: &str) -> Result<Put, DatabaseError> {
        let put = query("INSERT INTO policies (digest, text, actor) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
        let put = put.persistent(false).bind(policy.digest()).bind(text).bind(actor);
        let done = ask!(self, connection => put.execute(&mut *connection))?;
        Ok(if done.rows_affected() > 0 { Put::New } else { Put::Known })
    }

    /// Every policy, the newest first.
    pub async fn stored(&self) -> Result<Vec<Stored>, DatabaseError> {
        let asked = query(AssertSqlSafe(format!("{STORED} ORDER BY put_at DESC, digest"))).persistent(false);
        let rows = ask!(self, connection => asked.fetch_all(&mut *connection))?;
        rows.iter().map(stored).collect::<Result<_, _>>().map_err(|error| self.database.error(error))
    }

    /// Those whose digest begins so.
    pub async fn named(&self, version: &str) -> Result<Vec<Stored>, DatabaseError> {
        let asked = query(AssertSqlSafe(format!("{STORED} WHERE starts_with(digest, $1) LIMIT 2"))).persistent(false);
        let rows = ask!(self, connection => asked.bind(version).fetch_all(&mut *connection))?;
        rows.iter().map(stored).collect::<Result<_, _>>().map_err(|error| self.database.error(error))
    }

    /// The latest changes, the newest first: what the first one says is in force.
    pub async fn activations(&self, most: u32) -> Result<Vec<Activation>, DatabaseError> {
        let asked = query(AssertSqlSafe(format!("{ACTIVATIONS} LIMIT $1"))).persistent(false).bind(i64::from(most));
        let rows = ask!(self, connection => asked.fetch_all(&mut *connection))?;
        rows.iter().map(activation).collect::<Result<_, _>>().map_err(|error| self.database.error(error))
    }

    /// The policy in force.
    pub async fn in_force(&self) -> Result<Option<Stored>, DatabaseError> {
        let Some(digest) = self.activations(1).await?.pop().and_then(|last| last.policy) else { return Ok(None) };
        Ok(self.named(&digest).await?.pop())
    }

    /// Keeps what a trial has found, so that it can be referred to.
    pub async fn keep_trial(&self, report: &TrialReport, actor: &str) -> Result<(), DatabaseError> {
        let text = serde_json::to_string(report).map_err(|error| DatabaseError::failed(error.to_string()))?;
        let keep = "INSERT INTO policy_trials (digest, policy, report, actor) VALUES ($1, $2, $3::json, $4) ON CONFLICT DO NOTHING";
        let keep = query(keep).persistent(false).bind(&report.digest).bind(&report.policy).bind(text).bind(actor);
        ask!(self, connection => keep.execute(&mut *connection)).map(drop)
    }

    /// Puts a policy in force, or none, if what it replaces still is.
    pub async fn activate(&self, change: &NewActivation) -> Result<Activation, ActivationError> {
        let (policy, trial) = match &change.to {
            Wanted::Nothing => (None, None),
            Wanted::Policy { version, trial } => {
                let found = match self.named(version).await?.as_slice() {
                    [one] => one.digest.clone(),
                    [] => return Err(ActivationError::Unknown(version.clone())),
                    _ => return Err(ActivationError::Ambiguous(version.clone())),
                };
                let trial = self.tried(version, &found, trial).await?;
                (Some(found), Some(trial))
            }
        };
        let made = ask!(self, connection => activate(&mut connection, change, policy.as_deref(), trial.as_deref()))?;
        match made {
            Some(activation) => Ok(activation),
            None => {
                let active = self.activations(1).await?.pop().and_then(|last| last.policy);
                Err(ActivationError::Moved { active, expected: change.replaces.clone() })
            }
        }
    }

    /// The whole digest of a trial of this policy, of which the first digits may be given.
    async fn tried(&self, version: &str, policy: &str, trial: &str) -> Result<String, ActivationError> {
        let asked = "SELECT digest, policy, tried_at FROM policy_trials WHERE starts_with(digest, $1) ORDER BY policy <> $2 LIMIT 1";
        let asked = query(asked).persistent(false).bind(trial).bind(policy);
        let row = ask!(self, connection => asked.fetch_optional(&mut *connection))?;
        let not_tried = |detail: &str| ActivationError::NotTried {
            version: version.into(),
            trial: trial.into(),
            detail: detail.into(),
        };
        let row = row.filter(|_| trial.len() >= 8).ok_or_else(|| not_tried(""))?;
        let read = |error| ActivationError::Database(self.database.error(error));
        let (digest, of): (String, String) =
            (row.try_get("digest").map_err(read)?, row.try_get("policy").map_err(read)?);
        let tried_at: OffsetDateTime = row.try_get("tried_at").map_err(read)?;
        if of != policy {
            return Err(not_tried(&format!(" (it is of the policy {})", crate::store::version(&of))));
        }
        if OffsetDateTime::now_utc() - tried_at > Duration::days(TRIAL_DAYS) {
            return Err(ActivationError::TriedLongAgo { tried_at, days: TRIAL_DAYS });
        }
        Ok(digest)
    }

    /// Sends the verdicts in force that were recorded between two times, in that order, with their documents; of one tenant or of all.
    /// Ends early when nobody receives.
    pub async fn verdicts(
        &self,
        (since, until): (OffsetDateTime, OffsetDateTime),
        tenant: Option<&str>,
        verdicts: &mpsc::Sender<InForce>,
    ) -> Result<(), DatabaseError> {
        let asked = format!(
            "SELECT {VERDICT_COLUMNS}, (SELECT origin FROM labels_in_force WHERE sha256 = encode(image_sha256, 'hex')) AS origin
             FROM verdicts_in_force
             WHERE recorded_at >= $1 AND recorded_at < $2 AND ($3::text IS NULL OR tenant = $3) AND remainder IS NOT NULL
             ORDER BY recorded_at, verdict_id"
        );
        let mut from = since;
        while from < until && !verdicts.is_closed() {
            let to = until.min(from + SLICE);
            let mut connection = self.database.connection().await?;
            let work = async {
                let mut transaction = connection.begin().await?;
                // Whoever receives may be slow.
                query("SET LOCAL statement_timeout TO 0").persistent(false).execute(&mut *transaction).await?;
                let asked = query(AssertSqlSafe(asked.clone())).persistent(false).bind(from).bind(to).bind(tenant);
                let mut rows = asked.fetch(&mut *transaction);
                while let Some(row) = rows.try_next().await? {
                    let Some(one) = in_force(&row)? else { continue };
                    if verdicts.send(one).await.is_err() {
                        break;
                    }
                }
                drop(rows);
                transaction.commit().await
            };
            let answer = work.await;
            self.database.conclude(connection, answer).await?;
            from = to;
        }
        Ok(())
    }

    /// When the first verdict that there is was recorded.
    pub async fn earliest(&self) -> Result<Option<OffsetDateTime>, DatabaseError> {
        let asked = query("SELECT min(recorded_at) AS at FROM verdicts").persistent(false);
        let row = ask!(self, connection => asked.fetch_one(&mut *connection))?;
        row.try_get("at").map_err(|error| self.database.error(error))
    }
}

/// `None`: something else is in force than what was to be replaced.
async fn activate(
    connection: &mut PgConnection,
    change: &NewActivation,
    policy: Option<&str>,
    trial: Option<&str>,
) -> Result<Option<Activation>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let last = query(AssertSqlSafe(format!("{ACTIVATIONS} LIMIT 1"))).persistent(false);
    let last = last.fetch_optional(&mut *transaction).await?.as_ref().map(activation).transpose()?;
    let active = last.as_ref().and_then(|last| last.policy.clone());
    if active != change.replaces {
        return Ok(None);
    }
    // Whoever took the number first was first; the others wait here for their end.
    let insert = query(
        "INSERT INTO policy_activations (id, policy, replaces, trial, actor, reason) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id, policy, replaces, trial, actor, reason, activated_at",
    );
    let insert =
        insert.persistent(false).bind(last.map_or(0, |last| last.number) + 1).bind(policy).bind(&change.replaces);
    let inserted = insert.bind(trial).bind(&change.actor).bind(&change.reason).fetch_one(&mut *transaction).await;
    let row = match inserted {
        Ok(row) => row,
        Err(error) if is_taken(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    query("SELECT pg_notify($1, current_schema())").persistent(false).bind(CHANNEL).execute(&mut *transaction).await?;
    transaction.commit().await?;
    activation(&row).map(Some)
}

fn stored(row: &PgRow) -> Result<Stored, sqlx::Error> {
    Ok(Stored {
        digest: row.try_get("digest")?,
        text: row.try_get("text")?,
        actor: row.try_get("actor")?,
        put_at: row.try_get("put_at")?,
    })
}

fn activation(row: &PgRow) -> Result<Activation, sqlx::Error> {
    Ok(Activation {
        number: row.try_get("id")?,
        policy: row.try_get("policy")?,
        replaces: row.try_get("replaces")?,
        trial: row.try_get("trial")?,
        actor: row.try_get("actor")?,
        reason: row.try_get("reason")?,
        activated_at: row.try_get("activated_at")?,
    })
}

fn in_force(row: &PgRow) -> Result<Option<InForce>, sqlx::Error> {
    let label = match row.try_get::<Option<&str>, _>("origin")? {
        Some("real") => Some(LabelledOrigin::Real),
        Some("synthetic") => Some(LabelledOrigin::Synthetic),
        _ => None,
    };
    Ok(verdict_of(row)?.map(|verdict| InForce { verdict, label }))
}
