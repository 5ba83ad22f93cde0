//! A schema of one's own with people, verdicts and items.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use database::{Database, Pooler};
use domain::{Outcome, OutcomeId, SubmissionKey, Verdict};
use ledger::Ledger;
use review::{Caller, ItemId, ItemKind, Postgres, ReviewSettings, Role};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use uuid::Uuid;

/// For something that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Everything of one test.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) reviews: Postgres,
    ledger: Arc<ledger::postgres::Postgres>,
    url: String,
    /// Of the connections under test, so that they can be found and cut.
    schema: String,
}

/// Runs a test over a schema of its own, and drops it however the test ends.
pub(crate) fn in_world<Test>(test: impl FnOnce(World) -> Test)
where
    Test: Future<Output = ()> + Send + 'static,
{
    let url = std::env::var("ASSAY_TEST_DATABASE_URL")
        .unwrap_or_else(|_| panic!("ASSAY_TEST_DATABASE_URL is not set: `make test` sets it"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let schema = format!("test_{}", Uuid::new_v4().simple());
        // The name of the schema is how a connection is told from those of other tests.
        let separator = if url.contains('?') { '&' } else { '?' };
        let named = format!("{url}{separator}application_name={schema}");
        let settings = database::Settings {
            url: SecretString::from(named),
            schema: schema.clone(),
            connections: 12,
            timeout_s: 20,
            pooler: Pooler::None,
        };
        database::migrate(&settings).await.unwrap();
        let database = Database::connect(&settings).await.unwrap();
        // Nothing is drawn at random.
        let chosen =
            ReviewSettings { audit_share: 0.0, double_share: 0.0, golden_share: 0.0, ..ReviewSettings::default() };
        let world = World {
            reviews: Postgres::on(&database, chosen),
            ledger: Arc::new(ledger::postgres::Postgres::on(&database)),
            url: url.clone(),
            schema: schema.clone(),
        };
        let ended = tokio::spawn(test(world)).await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await.unwrap();
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    });
}

impl World {
    /// Somebody with a role for one tenant.
    pub(crate) async fn person(&self, name: &str, role: Role, tenant: &str) -> Caller {
        let (access, level) = (Uuid::new_v4(), role as i16 + 1);
        self.execute(&format!(
            "INSERT INTO people (person, pseudonym) VALUES ('{name}', 'r-{name}') ON CONFLICT DO NOTHING;
             INSERT INTO accesses (access_id, expires_at, kind, person, secret)
                 VALUES ('{access}', now() + interval '1 day', 'command', '{name}', sha256('{access}'::bytea));
             INSERT INTO access_grants (access_id, role, tenant) VALUES ('{access}', {level}, '{tenant}')"
        ))
        .await;
        Caller { access, person: name.into(), pseudonym: format!("r-{name}") }
    }

    pub(crate) async fn record(&self, verdict: Verdict) -> OutcomeId {
        let id = verdict.verdict_id;
        self.ledger.record(&[Outcome::Verdict(Box::new(verdict))]).await.unwrap();
        id
    }

    /// Uncertain verdicts as items that wait.
    pub(crate) async fn items(&self, tenant: &str, submissions: &[String]) -> Vec<ItemId> {
        let mut items = Vec::new();
        for submission in submissions {
            let outcome = self.record(verdict(tenant, submission, &json!({}))).await;
            items.push(ItemId::of(outcome, ItemKind::Review));
        }
        self.reviews.collect().await.unwrap();
        items
    }

    /// Over a connection that is not one of those under test.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.beside().await;
        connection.execute(AssertSqlSafe(sql.to_string())).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let mut connection = self.beside().await;
        sqlx::query_scalar(AssertSqlSafe(sql.to_string())).fetch_one(&mut connection).await.unwrap()
    }

    async fn beside(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        connection.execute(AssertSqlSafe(format!("SET search_path = {}", self.schema))).await.unwrap();
        connection
    }

    /// As if so many seconds had passed for every claim.
    pub(crate) async fn pass(&self, seconds: i64) {
        self.execute(&format!("UPDATE review_items SET lease_until = lease_until - interval '{seconds} seconds'"))
            .await;
    }

    /// Cuts one of the connections under test every few milliseconds, until it is told to stop.
    pub(crate) fn cut_connections(&self, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<u64> {
        let (world, stop) = (self.clone(), Arc::clone(stop));
        tokio::spawn(async move {
            let mut connection = world.beside().await;
            let cut = format!(
                "SELECT count(pg_terminate_backend(pid)) FROM (
                     SELECT pid FROM pg_stat_activity WHERE application_name = '{}' ORDER BY random() LIMIT 1
                 ) AS one",
                world.schema
            );
            let mut count = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let asked = sqlx::query_scalar::<_, i64>(AssertSqlSafe(cut.clone()));
                count += asked.fetch_one(&mut connection).await.unwrap().unsigned_abs();
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
            count
        })
    }
}

/// On an image that nobody fetches.
pub(crate) fn verdict(tenant: &str, submission: &str, more: &Value) -> Verdict {
    let at = time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap();
    let key = SubmissionKey { tenant: tenant.into(), submission_id: submission.into(), generation: 0 };
    let mut document = json!({
        "schema": "assay.verdict.v1", "verdict_id": OutcomeId::of(&key), "submission_id": submission, "tenant": tenant,
        "image": {
            "bucket": "uploads", "key": format!("{tenant}/{submission}"), "version_id": null, "etag": null,
            "sha256": format!("{:064x}", Uuid::new_v5(&Uuid::NAMESPACE_OID, submission.as_bytes()).as_u128()),
            "bytes": 1000, "format": "png", "width": 320, "height": 280,
        },
        "decision": "uncertain",
        "score": {"synthetic": 0.59375, "logit": 0.5, "calibrated": true, "threshold_low": 0.25, "threshold_high": 0.75},
        "generator": null,
        "model": {"version": "2026.11.77", "sha256": "0".repeat(64), "labels": "generators-1", "trained": true},
        "quality": [], "frames": null, "provenance": null, "purpose": "live", "generation": 0,
        "reused_from": null, "supersedes": null, "previous": null, "policy": null, "attempt": 1,
        "timing_ms": {"queue": null, "fetch": 1, "decode": 1, "batch": 1, "infer": 1, "record": 1},
        "batch_size": 1, "decided_at": at, "worker": {"version": "0.1.0", "device": "cpu"}, "metadata": {},
    });
    for (name, value) in more.as_object().unwrap() {
        document[name] = value.clone();
    }
    serde_json::from_value(document).unwrap()
}

pub(crate) fn named(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}
