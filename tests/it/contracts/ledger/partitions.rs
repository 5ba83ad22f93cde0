//! Partitions: made when they are missing, let go when they are old, and looked into no more than need be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use database::{Settings, migrate};
use ledger::maintenance::{Kind, Partition, outlived};
use ledger::postgres::Postgres;
use ledger::retention;
use ledger::{Gone, Ledger, Recorded};
use sqlx::{AssertSqlSafe, Executor, Row};
use time::OffsetDateTime;
use tokio::task::JoinSet;

use super::postgres::{at, raw, until_true};
use crate::support::outcomes::{failure, key, verdict};
use crate::support::servers::{in_own_schema, unique};
use crate::support::within;

async fn opened(settings: &Settings) -> Arc<Postgres> {
    migrate(settings).await.unwrap();
    Arc::new(Postgres::connect(settings).await.unwrap())
}

async fn drop_all(settings: &Settings, ledger: &Postgres) {
    for partition in ledger.partitions().await.unwrap() {
        let sql = format!("DROP TABLE {}", partition.name);
        raw(settings).await.execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_missing_is_made_by_whoever_writes_first() {
    in_own_schema(|settings| async move {
        let ledger = opened(&settings).await;
        drop_all(&settings, &ledger).await;
        let mut tasks = JoinSet::new();
        for number in 0..8 {
            let ledger = ledger.clone();
            tasks.spawn(async move {
                ledger.record(&[verdict(key(&format!("v{number}"), 0)), failure(key(&format!("f{number}"), 0))]).await
            });
        }
        for answer in tasks.join_all().await {
            assert_eq!(answer.unwrap(), [Recorded::New, Recorded::New]);
        }
        let made = ledger.partitions().await.unwrap();
        assert_eq!(made.iter().map(|one| one.kind).collect::<Vec<_>>(), [Kind::Failure, Kind::Verdict]);
        assert_eq!(ledger.partitions_ahead().await.unwrap(), 0);
        ledger.make_partitions(28).await.unwrap();
        ledger.make_partitions(28).await.unwrap();
        assert_eq!(ledger.partitions_ahead().await.unwrap(), 4);
    })
    .await;
}

/// As for a worker whose grants are those of an earlier version.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_may_not_be_made_is_waited_for() {
    in_own_schema(|settings| async move {
        let ledger = opened(&settings).await;
        drop_all(&settings, &ledger).await;
        let mut raw = raw(&settings).await;
        raw.execute("DROP FUNCTION make_current_partitions").await.unwrap();
        let error = ledger.record(&[verdict(key("v", 0))]).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("`assay ledger maintain`"), "{error}");
        ledger.make_partitions(0).await.unwrap();
        assert_eq!(ledger.record(&[verdict(key("v", 0))]).await.unwrap(), [Recorded::New]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_another_length_follow_without_a_gap() {
    in_own_schema(|settings| async move {
        let ledger = opened(&settings).await;
        ledger.set_partition_days(1).await.unwrap();
        ledger.make_partitions(40).await.unwrap();
        ledger.set_partition_days(30).await.unwrap();
        ledger.make_partitions(100).await.unwrap();
        let partitions = ledger.partitions().await.unwrap();
        for kind in Kind::ALL {
            let own: Vec<_> = partitions.iter().filter(|one| one.kind == kind).collect();
            assert!(own.windows(2).all(|pair| pair[0].upper == pair[1].lower), "{own:#?}");
            let days: Vec<i64> = own.iter().map(|one| (one.upper - one.lower).whole_days()).collect();
            assert!(days.contains(&7) && days.contains(&1) && days.contains(&30), "{days:?}");
        }
        // A clock that was ahead and is set back finds nothing, and what is made then fits before what is there.
        let mut raw = raw(&settings).await;
        for days in [3, 100, 10] {
            let sql = format!("SELECT make_partition('verdicts', now() - interval '{days} days')");
            raw.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        let later = ledger.partitions().await.unwrap();
        let own: Vec<_> = later.iter().filter(|one| one.kind == Kind::Verdict).collect();
        assert!(own.windows(2).all(|pair| pair[0].upper <= pair[1].lower), "{own:#?}");
        for days in [3, 10, 100] {
            let at = OffsetDateTime::now_utc() - time::Duration::days(days);
            assert!(own.iter().any(|one| one.lower <= at && at < one.upper), "{days}: {own:#?}");
        }
    })
    .await;
}

/// Puts a partition of the past in, with one verdict.
async fn with_an_old_one(settings: &Settings, ledger: &Postgres) -> Partition {
    let mut raw = raw(settings).await;
    raw.execute(
        "SELECT make_partition(of, now() - interval '60 days') FROM unnest(ARRAY['verdicts', 'failures']) AS of",
    )
    .await
    .unwrap();
    ledger.record(&[verdict(key("old", 0))]).await.unwrap();
    for table in ["outcomes", "verdicts"] {
        let sql = format!("UPDATE {table} SET recorded_at = now() - interval '60 days' WHERE submission_id = 'old'");
        raw.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    let partitions = ledger.partitions().await.unwrap();
    let old = outlived(&partitions, Kind::Verdict, Some(Duration::from_secs(30 * 86_400)), OffsetDateTime::now_utc());
    assert_eq!(old.len(), 1);
    old[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_let_go_while_others_write_and_its_keys_stay_taken() {
    in_own_schema(|settings| async move {
        let ledger = opened(&settings).await;
        let old = with_an_old_one(&settings, &ledger).await;
        // Somebody still reads it: letting it go waits for them, and nobody who writes waits for that.
        let mut reader = raw(&settings).await;
        reader.execute("BEGIN; SELECT count(*) FROM verdicts").await.unwrap();
        let going = tokio::spawn({
            let (ledger, old) = (ledger.clone(), old.clone());
            async move { ledger.let_go(&old).await }
        });
        let mut watcher = raw(&settings).await;
        until_true(&mut watcher, "SELECT EXISTS (SELECT FROM ledger_partitions WHERE detaching)").await;
        let written = within(20, ledger.record(&[verdict(key("new", 0)), failure(key("new", 1))])).await.unwrap();
        assert_eq!(written, [Recorded::New, Recorded::New]);
        assert!(!going.is_finished());
        reader.execute("COMMIT").await.unwrap();
        within(60, going).await.unwrap().unwrap();
        assert!(ledger.partitions().await.unwrap().iter().all(|one| one.name != old.name));
        let again = ledger.record(&[verdict(key("old", 0))]).await.unwrap();
        assert!(matches!(again[0], Recorded::Gone(Gone::Expired(_))), "{again:?}");
    })
    .await;
}

/// Each of the two moments in between at which the process may be killed.
#[tokio::test(flavor = "multi_thread")]
async fn letting_a_partition_go_is_taken_up_wherever_it_was_stopped() {
    in_own_schema(|settings| async move {
        let ledger = opened(&settings).await;
        let old = with_an_old_one(&settings, &ledger).await;
        let mut reader = raw(&settings).await;
        reader.execute("BEGIN; SELECT count(*) FROM verdicts").await.unwrap();
        let name = unique("app");
        let named = at(&settings, |url| {
            url.query_pairs_mut().append_pair("application_name", &name);
        });
        let going = tokio::spawn({
            let old = old.clone();
            async move { Postgres::connect(&Settings { timeout_s: 20, ..named }).await.unwrap().let_go(&old).await }
        });
        let mut watcher = raw(&settings).await;
        until_true(&mut watcher, "SELECT EXISTS (SELECT FROM ledger_partitions WHERE detaching)").await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
        sqlx::query(end).bind(&name).execute(&mut watcher).await.unwrap();
        assert!(within(20, going).await.unwrap().is_err());
        reader.execute("COMMIT").await.unwrap();
        let begun: Vec<_> = ledger.partitions().await.unwrap().into_iter().filter(|one| one.detaching).collect();
        assert_eq!(begun.iter().map(|one| &one.name).collect::<Vec<_>>(), [&old.name]);
        // A second process, which is stopped before it drops the table.
        let sql = format!("ALTER TABLE verdicts DETACH PARTITION {} FINALIZE", old.name);
        raw(&settings).await.execute(AssertSqlSafe(sql)).await.unwrap();
        assert_eq!(ledger.drop_left_over().await.unwrap(), [old.name]);
        assert!(ledger.drop_left_over().await.unwrap().is_empty());
        // What somebody took out on purpose is left alone.
        let kept = ledger.partitions().await.unwrap().remove(0);
        let sql = format!("ALTER TABLE {} DETACH PARTITION {}", kept.kind, kept.name);
        raw(&settings).await.execute(AssertSqlSafe(sql)).await.unwrap();
        assert!(ledger.drop_left_over().await.unwrap().is_empty());
    })
    .await;
}

async fn removed(ledger: &Postgres, keep: &retention::Settings, now: OffsetDateTime) -> u64 {
    let mut removed = 0;
    for removal in keep.removals(&ledger.partitions().await.unwrap(), now) {
        removed += ledger.remove(&removal).await.unwrap();
        assert_eq!(ledger.remove(&removal).await.unwrap(), 0, "again");
    }
    removed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_is_removed_and_the_rest_stays() {
    in_own_schema(|settings| async move {
        let ledger = opened(&settings).await;
        with_an_old_one(&settings, &ledger).await;
        ledger.record(&[verdict(key("new", 0))]).await.unwrap();
        let now = OffsetDateTime::now_utc();
        let mut keep = retention::Settings {
            documents_days: 30,
            verdicts_days: 0,
            failures_days: 0,
            keys_days: 0,
            export: String::new(),
            tenants: BTreeMap::new(),
        };
        assert_eq!(removed(&ledger, &keep, now).await, 1);
        let found = ledger.find(&[key("old", 0), key("new", 0)]).await.unwrap();
        assert!(found[0].gone.is_some() && found[1].standing.is_some(), "{found:?}");
        // Of one tenant everything goes; then its key is free again.
        let own = retention::Tenant {
            verdicts_days: Some(30),
            failures_days: Some(30),
            keys_days: Some(30),
            documents_days: None,
        };
        keep.tenants.insert("acme".into(), own);
        keep.validate().unwrap();
        assert_eq!(removed(&ledger, &keep, now).await, 2, "a row and its key");
        assert_eq!(ledger.record(&[verdict(key("old", 0))]).await.unwrap(), [Recorded::New]);
        assert!(ledger.find(&[key("new", 0)]).await.unwrap()[0].standing.is_some());
    })
    .await;
}

/// Each question of the worker's goes by an index, and to no partition that can't have the answer, without the planner being
/// told how.
#[tokio::test(flavor = "multi_thread")]
async fn questions_go_by_indexes() {
    in_own_schema(|settings| async move {
        let ledger = opened(&settings).await;
        let mut raw = raw(&settings).await;
        // A plan for all parameters, made while there is next to nothing: it must not outlast that.
        let prepare = "PREPARE early (text, text, bigint) AS
            SELECT * FROM outcomes WHERE (tenant, submission_id, generation) = ($1, $2, $3)";
        ledger.record(&[verdict(key("first", 0))]).await.unwrap();
        for statement in
            ["ANALYZE outcomes", "SET plan_cache_mode TO force_generic_plan", prepare, "EXECUTE early('acme', 'first', 0)"]
        {
            raw.execute(statement).await.unwrap();
        }
        let outcomes: Vec<_> = (0..20_000).map(|number| verdict(key(&format!("post-{number}"), 0))).collect();
        for some in outcomes.chunks(2000) {
            ledger.record(some).await.unwrap();
        }
        raw.execute("ANALYZE outcomes, verdicts, failures").await.unwrap();
        let questions = [
            "EXECUTE early('acme', 'post-1', 0)",
            "SELECT o.* FROM unnest(ARRAY['acme'], ARRAY['post-1'], ARRAY[0]) AS a (t, s, g) LEFT JOIN LATERAL (SELECT * FROM \
             outcomes AS o WHERE (o.tenant, o.submission_id, o.generation) = (a.t, a.s, a.g) LIMIT 1) AS o ON true",
            "SELECT * FROM verdicts WHERE recorded_at = ANY(ARRAY[now()]) AND verdict_id = ANY(ARRAY[gen_random_uuid()])",
            "SELECT * FROM outcomes WHERE outcome_id = '0eb6a72c-8aa9-5941-8f74-dcd901039988'",
        ];
        for question in questions {
            let rows = raw.fetch_all(AssertSqlSafe(format!("EXPLAIN {question}"))).await.unwrap();
            let plan = rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n");
            let read_whole = plan.lines().filter(|line| line.contains("Seq Scan on outcomes_h"));
            assert_eq!(read_whole.count(), 0, "{plan}");
        }
        let one: OffsetDateTime =
            sqlx::query_scalar("SELECT min(recorded_at) FROM verdicts").fetch_one(&mut raw).await.unwrap();
        let asked = format!("EXPLAIN SELECT * FROM verdicts WHERE recorded_at = ANY('{{{one}}}'::timestamptz[])");
        let rows = raw.fetch_all(AssertSqlSafe(asked.replace(" +00:00:00", "+00"))).await.unwrap();
        let plan = rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n");
        assert!(plan.contains("recorded_at_idx") && plan.matches("verdicts_p").count() <= 3, "one partition: {plan}");
        let setting: String = sqlx::query_scalar("SHOW enable_seqscan").fetch_one(&mut raw).await.unwrap();
        assert_eq!(setting, "on");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_in_force_is_the_newest_one_whatever_failed_later() {
    in_own_schema(|settings| async move {
        let ledger = opened(&settings).await;
        let outcomes = [
            verdict(key("a", 0)),
            verdict(key("a", 1)),
            failure(key("a", 2)),
            failure(key("b", 0)),
            verdict(key("c", 0)),
        ];
        ledger.record(&outcomes).await.unwrap();
        let rows = "SELECT submission_id || generation AS one FROM verdicts_in_force ORDER BY 1";
        let rows = raw(&settings).await.fetch_all(rows).await.unwrap();
        let in_force: Vec<String> = rows.iter().map(|row| row.get("one")).collect();
        assert_eq!(in_force, ["a1", "c0"]);
    })
    .await;
}
