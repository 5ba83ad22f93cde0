//! The move of what an earlier version recorded, with the ledger in use.

use std::path::Path;

use database::{Settings, migrate};
use domain::{ImageRef, Outcome, Verdict};
use ledger::postgres::{Moved, Postgres};
use ledger::{Found, Ledger, Recorded};
use sqlx::{AssertSqlSafe, Executor};
use time::OffsetDateTime;

use super::postgres::raw;
use crate::support::outcomes::{failure, key, verdict, verdict_of};
use crate::support::servers::in_own_schema;

/// Outcomes of an earlier version, as many as make several batches.
fn recorded_before() -> Vec<Outcome> {
    let mut odd = verdict_of(key("odd", 3));
    odd.metadata.insert("\u{0}".into(), serde_json::json!(["\0", u64::MAX, 1e-300, null]));
    odd.image.key = "u/odd.jpg".into();
    let mut all = vec![Outcome::Verdict(Box::new(odd)), verdict(key("both", 0)), failure(key("both", 1))];
    all.extend((0..500).map(|number| match number % 3 {
        0 => failure(key(&format!("s-{number}"), 0)),
        _ => verdict(key(&format!("s-{number}"), 0)),
    }));
    all
}

/// The tables of the version before, with these rows.
async fn before(settings: &Settings, outcomes: &[Outcome]) {
    let mut raw = raw(settings).await;
    raw.execute(AssertSqlSafe(format!("CREATE SCHEMA {}", settings.schema))).await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for name in ["0001_outcomes", "0002_reuse", "0003_workers", "0004_labels", "0005_models", "0006_followers"] {
        let sql = std::fs::read_to_string(folder.join(format!("{name}.sql"))).unwrap();
        raw.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    for outcome in outcomes {
        let (key, document) = (outcome.key(), serde_json::to_string(outcome).unwrap());
        let insert = "INSERT INTO outcomes VALUES ($1, $2, $3, $4, $5, now() - interval '40 days')";
        let insert = sqlx::query(insert).bind(&key.tenant).bind(&key.submission_id).bind(i64::from(key.generation));
        insert.bind(outcome.kind()).bind(outcome.id().0).execute(&mut raw).await.unwrap();
        let insert = match outcome {
            Outcome::Verdict(_) => {
                "INSERT INTO verdicts (tenant, submission_id, generation, verdict_id, decision, synthetic, logit, model_version, \
                 model_sha256, bucket, object_key, image_sha256, purpose, decided_at, document) SELECT $1, $2, $3, $4, 'real', \
                 0, 0, '', '', $6, $7, '', '', now(), CAST($5 AS json)"
            }
            Outcome::Failure(_) => {
                "INSERT INTO failures (tenant, submission_id, generation, failure_id, code, stage, retryable, bucket, object_key, \
                 purpose, failed_at, document) SELECT $1, $2, $3, $4, '', '', false, $6, $7, '', now(), CAST($5 AS json)"
            }
        };
        let insert = sqlx::query(insert).bind(&key.tenant).bind(&key.submission_id).bind(i64::from(key.generation));
        let image = outcome.image();
        let insert = insert.bind(outcome.id().0).bind(document).bind(image.bucket).bind(image.key);
        insert.execute(&mut raw).await.unwrap();
    }
    // As sqlx has it, with the checksums of the files.
    migrate_table(settings).await;
}

/// What says that six migrations are applied: made by a schema of its own that has them all.
async fn migrate_table(settings: &Settings) {
    let other = Settings { schema: format!("{}_x", settings.schema), ..settings.clone() };
    migrate(&other).await.unwrap();
    let mut raw = raw(settings).await;
    let (here, there) = (&settings.schema, &other.schema);
    let copy = format!(
        "CREATE TABLE {here}._sqlx_migrations (LIKE {there}._sqlx_migrations INCLUDING ALL);
         INSERT INTO {here}._sqlx_migrations SELECT * FROM {there}._sqlx_migrations WHERE version < 7;
         DROP SCHEMA {there} CASCADE"
    );
    raw.execute(AssertSqlSafe(copy)).await.unwrap();
}

/// What is asked of a ledger, whatever is moved of it.
async fn is_whole(ledger: &Postgres, outcomes: &[Outcome]) {
    let keys: Vec<_> = outcomes.iter().map(Outcome::key).collect();
    for (outcome, found) in outcomes.iter().zip(ledger.find(&keys).await.unwrap()) {
        assert_eq!(found.standing.as_ref(), Some(outcome));
    }
    let again = ledger.record(outcomes).await.unwrap();
    for (outcome, answer) in outcomes.iter().zip(again) {
        assert_eq!(answer, Recorded::Standing(Box::new(outcome.clone())), "never a second one");
    }
    let next = ledger.find(&[key("both", 2), key("both", 1)]).await.unwrap();
    let wanted = [failure(key("both", 1)).id(), verdict(key("both", 0)).id()].map(Some);
    assert_eq!(next.iter().map(|found| found.predecessors.latest).collect::<Vec<_>>(), wanted);
    let judged = Some(verdict(key("both", 0)).id());
    for found in next {
        assert_eq!(found.predecessors.verdict.map(|previous| previous.outcome_id), judged);
    }
    assert_eq!(ledger.outcome(outcomes[0].id()).await.unwrap().as_ref(), Some(&outcomes[0]));
    let image = ImageRef { bucket: "uploads".into(), key: "u/odd.jpg".into(), ..ImageRef::default() };
    let latest: Option<Verdict> = ledger.latest("acme", &image).await.unwrap();
    assert_eq!(latest.map(|verdict| verdict.verdict_id), Some(outcomes[0].id()));
}

/// Stopped after each batch, and with workers at work: by another process for each batch.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_recorded_is_there_before_while_and_after_it_is_moved() {
    in_own_schema(|settings| async move {
        let outcomes = recorded_before();
        before(&settings, &outcomes).await;
        assert_eq!(migrate(&settings).await.unwrap(), ["0007_partitions", "0008_erasure", "0009_campaigns", "0010_policies", "0011_access", "0012_review"]);
        let ledger = Postgres::connect(&settings).await.unwrap();
        ledger.check().await.unwrap();
        is_whole(&ledger, &outcomes).await;
        assert_eq!(ledger.find(&[key("new", 0)]).await.unwrap(), [Found::default()]);
        let mut batches = 0;
        loop {
            let moved = Postgres::connect(&settings).await.unwrap().move_some().await.unwrap();
            is_whole(&ledger, &outcomes).await;
            let new = verdict(key(&format!("while-{batches}"), 0));
            assert_eq!(ledger.record(&[new]).await.unwrap(), [Recorded::New]);
            if moved == Moved::All {
                break;
            }
            batches += 1;
        }
        assert_eq!(batches, 3);
        assert_eq!(ledger.move_some().await.unwrap(), Moved::All);
        let mut raw = raw(&settings).await;
        let (keys, verdicts, failures, oldest): (i64, i64, i64, OffsetDateTime) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM outcomes), (SELECT count(*) FROM verdicts), (SELECT count(*) FROM failures), \
             (SELECT min(recorded_at) FROM verdicts)",
        )
        .fetch_one(&mut raw)
        .await
        .unwrap();
        assert_eq!(keys, outcomes.len() as i64 + 4);
        assert_eq!(keys, verdicts + failures);
        assert!(OffsetDateTime::now_utc() - oldest > time::Duration::days(39), "they keep their time: {oldest}");
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE relname LIKE 'earlier_%' AND relnamespace = current_schema()::regnamespace")
            .fetch_one(&mut raw)
            .await
            .unwrap();
        assert_eq!(left, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_move_at_once_share_the_work() {
    in_own_schema(|settings| async move {
        let outcomes = recorded_before();
        before(&settings, &outcomes).await;
        migrate(&settings).await.unwrap();
        let moving = |settings: Settings| async move {
            let ledger = Postgres::connect(&settings).await.unwrap();
            loop {
                match ledger.move_some().await {
                    Ok(Moved::All) => break,
                    Ok(Moved::SoFar(_)) => {}
                    Err(error) => assert!(error.is_transient(), "{error}"),
                }
            }
        };
        tokio::join!(moving(settings.clone()), moving(settings.clone()), moving(settings.clone()));
        is_whole(&Postgres::connect(&settings).await.unwrap(), &outcomes).await;
    })
    .await;
}

/// Grants of the tables before are those of the tables now.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_might_write_before_may_write_after() {
    in_own_schema(|settings| async move {
        before(&settings, &[]).await;
        let mut raw = raw(&settings).await;
        raw.execute("GRANT SELECT, INSERT ON outcomes, verdicts, failures TO PUBLIC").await.unwrap();
        migrate(&settings).await.unwrap();
        let may: bool = sqlx::query_scalar(
            "SELECT bool_and(has_table_privilege('pg_monitor', name, 'INSERT')) AND has_table_privilege('pg_monitor', 'earlier', 'SELECT') \
             AND has_function_privilege('pg_monitor', 'make_current_partitions()', 'EXECUTE') \
             AND NOT has_function_privilege('pg_monitor', 'make_partitions(timestamptz)', 'EXECUTE') \
             FROM unnest(ARRAY['outcomes', 'verdicts', 'failures']) AS name",
        )
        .fetch_one(&mut raw)
        .await
        .unwrap();
        assert!(may);
    })
    .await;
}
