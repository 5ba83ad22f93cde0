//! What only a real database shows: migrations, constraints, wrong addresses, broken connections.

use std::path::Path;
use std::sync::Arc;

use database::{Settings, address, migrate};
use domain::{Outcome, SubmissionKey};
use erasure::{Ended, What};
use futures_util::FutureExt;
use ledger::postgres::Postgres;
use ledger::{Ledger, LedgerError, Recorded};
use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use crate::support::outcomes::{failure, key, verdict, verdict_of};
use crate::support::proxy::{Flow, Proxy};
use crate::support::servers::{in_own_schema, servers, unique};
use crate::support::within;

/// The names of the files in `migrations/`, in order.
fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut names: Vec<_> = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_string()).collect();
    names.sort();
    names
}

/// A connection that looks at the test's schema.
pub(super) async fn raw(settings: &Settings) -> PgConnection {
    let mut connection = PgConnection::connect(servers().database_url()).await.unwrap();
    connection.execute(AssertSqlSafe(format!("SET search_path = {}", settings.schema))).await.unwrap();
    connection
}

/// The settings, with another address of the same server.
pub(super) fn at(settings: &Settings, change: impl FnOnce(&mut Url)) -> Settings {
    let mut url = Url::parse(servers().database_url()).unwrap();
    change(&mut url);
    Settings { url: SecretString::from(url.to_string()), timeout_s: 1, ..settings.clone() }
}

pub(super) async fn until_true(connection: &mut PgConnection, question: &'static str) {
    within(20, async {
        while !sqlx::query_scalar::<_, bool>(question).fetch_one(&mut *connection).await.unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn failed_to_connect(settings: &Settings) -> LedgerError {
    within(20, Postgres::connect(settings)).await.err().expect("it does not connect")
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_at_once_applies_each_migration_once() {
    in_own_schema(|settings| async move {
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let settings = settings.clone();
            tasks.spawn(async move { migrate(&settings).await.unwrap() });
        }
        let applied: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(applied, migrations());
        assert_eq!(migrate(&settings).await.unwrap(), Vec::<String>::new());
        Postgres::connect(&settings).await.unwrap().check().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lacks_tables_is_not_migrated() {
    in_own_schema(|settings| async move {
        let ledger = Postgres::connect(&settings).await.unwrap();
        let not_migrated = |error: LedgerError| {
            assert!(matches!(error, LedgerError::NotMigrated { .. }), "{error}");
            assert!(error.to_string().contains("`assay migrate`"), "{error}");
        };
        not_migrated(ledger.check().await.unwrap_err());
        not_migrated(ledger.record(&[verdict(key("a", 0))]).await.unwrap_err());
        not_migrated(ledger.find(&[key("a", 0)]).await.unwrap_err());
        migrate(&settings).await.unwrap();
        ledger.check().await.unwrap();
        let mut raw = raw(&settings).await;
        raw.execute("INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), true, '', 0)").await.unwrap();
        ledger.check().await.unwrap();
        raw.execute("DROP TABLE failures CASCADE").await.unwrap();
        not_migrated(ledger.check().await.unwrap_err());
        raw.execute("DELETE FROM _sqlx_migrations WHERE version = 1").await.unwrap();
        not_migrated(ledger.check().await.unwrap_err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_migration_is_refused() {
    in_own_schema(|settings| async move {
        migrate(&settings).await.unwrap();
        raw(&settings).await.execute("UPDATE _sqlx_migrations SET checksum = '\\x00'").await.unwrap();
        let error = migrate(&settings).await.unwrap_err();
        assert!(matches!(error, LedgerError::Failed { .. }), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_a_second_outcome() {
    in_own_schema(|settings| async move {
        migrate(&settings).await.unwrap();
        let ledger = Postgres::connect(&settings).await.unwrap();
        ledger.record(&[verdict(key("v", 0)), failure(key("f", 0))]).await.unwrap();
        let mut raw = raw(&settings).await;
        let again = "INSERT INTO outcomes SELECT now(), generation, gen_random_uuid(), image_binding, 1 - kind, tenant, \
                     submission_id FROM outcomes";
        for (statement, reason) in [(again, "duplicate key"), ("UPDATE outcomes SET kind = 2", "check constraint")] {
            let error = raw.execute(statement).await.expect_err(statement).to_string();
            assert!(error.contains(reason), "{statement}: {error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_postgres_a_key_outlives_its_outcome() {
    in_own_schema(|settings| async move {
        migrate(&settings).await.unwrap();
        let ledger = Arc::new(Postgres::connect(&settings).await.unwrap());
        // The row of one is gone, of the other only what no column holds.
        let expire = move |key: SubmissionKey| {
            let settings = settings.clone();
            let expiring = async move {
                let mut raw = raw(&settings).await;
                raw.execute("UPDATE verdicts SET remainder = NULL").await.unwrap();
                if key.submission_id == "f" {
                    raw.execute("DELETE FROM failures").await.unwrap();
                }
            };
            expiring.boxed()
        };
        super::gone::a_key_outlives_its_outcome(ledger, expire).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_postgres_of_what_was_erased_every_key_is_taken() {
    in_own_schema(|settings| async move {
        migrate(&settings).await.unwrap();
        let ledger = Arc::new(Postgres::connect(&settings).await.unwrap());
        let erase = move |submission: &'static str| {
            let settings = settings.clone();
            let erasing = async move {
                let ended = crate::erasing::erase(&settings, What::Submission(submission.into())).await;
                assert!(matches!(ended, Ended::Erased(_)), "{ended:?}");
            };
            erasing.boxed()
        };
        super::gone::of_what_was_erased_every_key_is_taken(ledger, erase).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_in_sql_is_the_one_that_was_published() {
    in_own_schema(|settings| async move {
        migrate(&settings).await.unwrap();
        let ledger = Postgres::connect(&settings).await.unwrap();
        let mut odd = verdict_of(key("it's \u{1} \"odd\"", 3));
        odd.metadata.insert("a \"b\"".into(), serde_json::json!([u64::MAX, 1e-300, null, {"image": {}}]));
        odd.score.threshold_low = 1e-7;
        odd.score.synthetic = f32::MIN_POSITIVE;
        odd.reused_from = Some(odd.verdict_id);
        let outcome = Outcome::Verdict(Box::new(odd));
        ledger.record(std::slice::from_ref(&outcome)).await.unwrap();
        let mut raw = raw(&settings).await;
        let text: String =
            sqlx::query_scalar("SELECT v.document::text FROM verdicts AS v").fetch_one(&mut raw).await.unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
        raw.execute("UPDATE verdicts SET remainder = NULL").await.unwrap();
        let gone: Option<String> =
            sqlx::query_scalar("SELECT v.document::text FROM verdicts AS v").fetch_one(&mut raw).await.unwrap();
        assert_eq!(gone, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_of_one_database_do_not_see_each_other() {
    in_own_schema(|one| async move {
        in_own_schema(|other| async move {
            let mut ledgers = Vec::new();
            for settings in [&one, &other] {
                assert_eq!(migrate(settings).await.unwrap(), migrations());
                ledgers.push(Postgres::connect(settings).await.unwrap());
            }
            for ledger in ledgers {
                assert_eq!(ledger.record(&[verdict(key("a", 0))]).await.unwrap(), [Recorded::New]);
            }
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_or_lets_nobody_in_is_told_apart_and_no_message_holds_the_password() {
    let settings = servers().database_settings("unused");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let closed_port = {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        closed.local_addr().unwrap().port()
    };
    let (away, refused) = (true, false);
    let wrong = [
        (away, at(&settings, |url| url.set_port(Some(silent_port)).unwrap())),
        (away, at(&settings, |url| url.set_port(Some(closed_port)).unwrap())),
        (away, at(&settings, |url| url.set_host(Some("nowhere.invalid")).unwrap())),
        (refused, at(&settings, |url| url.set_password(Some("hush-hush")).unwrap())),
        (refused, at(&settings, |url| url.set_path("nowhere"))),
    ];
    for (away, settings) in wrong {
        for error in [failed_to_connect(&settings).await, migrate(&settings).await.unwrap_err()] {
            assert_eq!(matches!(error, LedgerError::Unreachable { .. }), away, "{error}");
            assert_eq!(matches!(error, LedgerError::LoginRefused { .. }), !away, "{error}");
            assert!(std::error::Error::source(&error).is_some(), "{error:?}");
            let said = format!("{error} {error:?}");
            assert!(said.contains(&address(&settings)), "{said}");
            assert!(!said.contains("hush") && !said.contains("assay:assay"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_are_refused() {
    let settings = servers().database_settings("unused");
    for schema in ["", "a b", "A", "1a", "a;drop", "a\"b", &"a".repeat(64)] {
        let settings = Settings { schema: schema.into(), ..settings.clone() };
        assert!(settings.validate().unwrap_err().contains("database.schema"));
        assert!(matches!(migrate(&settings).await, Err(LedgerError::Failed { .. })));
    }
    let hidden = Settings { url: SecretString::from("postgres://u:hush@h:port/d"), ..settings };
    let error = failed_to_connect(&hidden).await.to_string();
    assert!(error.contains("database.url") && !error.contains("hush"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_the_commit_loses_nothing() {
    in_own_schema(|settings| async move {
        migrate(&settings).await.unwrap();
        let target = Url::parse(servers().database_url()).unwrap().socket_addrs(|| None).unwrap()[0];
        let proxy = Proxy::before(target).await;
        let proxied = at(&settings, |url| url.set_port(Some(proxy.address.port())).unwrap());
        let ledger = Arc::new(Postgres::connect(&Settings { timeout_s: 20, ..proxied }).await.unwrap());
        let outcome = failure(key("a", 0));
        // The first call on a connection asks twice: it has the statement prepared.
        ledger.record(&[verdict(key("first", 0))]).await.unwrap();

        // Held up in the middle of the statement, so that the network can go bad before the answer.
        let mut holder = raw(&settings).await;
        holder.execute("BEGIN; LOCK TABLE outcomes IN EXCLUSIVE MODE").await.unwrap();
        let call = tokio::spawn({
            let (ledger, outcome) = (ledger.clone(), outcome.clone());
            async move { ledger.record(&[outcome]).await }
        });
        let mut watcher = raw(&settings).await;
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'outcomes'::regclass AND NOT granted)";
        until_true(&mut watcher, waits).await;
        proxy.set(Flow::Mute);
        holder.execute("ROLLBACK").await.unwrap();
        until_true(&mut watcher, "SELECT EXISTS (SELECT FROM failures)").await;
        proxy.set(Flow::Cut);
        let answer = within(20, call).await.unwrap();
        assert!(matches!(answer, Err(LedgerError::Unreachable { .. })), "{answer:?}");

        proxy.set(Flow::Open);
        let stands = Recorded::Standing(Box::new(outcome.clone()));
        assert_eq!(within(20, ledger.record(&[outcome])).await.unwrap(), [stands]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_replaced() {
    in_own_schema(|settings| async move {
        migrate(&settings).await.unwrap();
        let name = unique("app");
        let named = at(&settings, |url| {
            url.query_pairs_mut().append_pair("application_name", &name);
        });
        let ledger = Postgres::connect(&Settings { timeout_s: 10, ..named }).await.unwrap();
        ledger.record(&[verdict(key("a", 0))]).await.unwrap();
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1) t",
        )
        .bind(&name)
        .fetch_one(&mut raw(&settings).await)
        .await
        .unwrap();
        assert_eq!(ended, 1);
        assert_eq!(within(20, ledger.record(&[verdict(key("b", 0))])).await.unwrap(), [Recorded::New]);
    })
    .await;
}

/// In a database of its own, which is dropped afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_another_encoding_is_refused() {
    let name = unique("latin");
    let mut admin = Url::parse(servers().database_url()).unwrap();
    admin.set_username("postgres").unwrap();
    let mut admin = PgConnection::connect(admin.as_str()).await.unwrap();
    let create = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0 OWNER assay";
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name} {create}"))).await.unwrap();
    let settings = at(&servers().database_settings("test"), |url| url.set_path(&name));
    let settings = Settings { timeout_s: 10, ..settings };
    let checked = Postgres::connect(&settings).await.unwrap().check().await.unwrap_err();
    for error in [migrate(&settings).await.unwrap_err(), checked] {
        assert!(matches!(&error, LedgerError::Encoding { encoding } if encoding == "LATIN1"), "{error}");
        assert!(error.to_string().contains("UTF8"), "{error}");
    }
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}
