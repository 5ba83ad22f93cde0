//! What is erased leaves no trace, whoever stops it on the way; and `assay erase` as a process.

use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;

use broker::memory::{Fault, Memory};
use database::{Database, Settings, migrate};
use domain::{Outcome, SubmissionKey, Verdict};
use erasure::{Ended, Files, Job, JobError, Postgres, Receipt, Selection, What};
use labels::{Label, Labels, Source};
use ledger::{Gone, Ledger, Recorded};
use serde_json::{Map, Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use tokio::task::JoinSet;

use crate::support::images;
use crate::support::outcomes::{failure, key, verdict, verdict_of};
use crate::support::rabbit::until;
use crate::support::servers::{in_own_schema, servers};
use crate::support::site::{self, Site};

/// Files of images, and whether they can be deleted.
#[derive(Default)]
struct Cached {
    contents: Mutex<Vec<String>>,
    broken: Mutex<bool>,
}

impl Files for Cached {
    fn delete(&self, contents: &[String]) -> io::Result<u64> {
        if std::mem::take(&mut *self.broken.lock().unwrap()) {
            return Err(io::Error::other("the disk is gone"));
        }
        let mut cached = self.contents.lock().unwrap();
        let before = cached.len();
        cached.retain(|one| !contents.contains(one));
        Ok((before - cached.len()) as u64)
    }
}

struct Stage {
    settings: Settings,
    database: Database,
    ledger: ledger::postgres::Postgres,
    labels: labels::postgres::Postgres,
    broker: Memory,
    cached: Cached,
}

impl Stage {
    async fn set(settings: Settings) -> Stage {
        migrate(&settings).await.unwrap();
        let database = Database::connect(&settings).await.unwrap();
        let (ledger, labels) = (ledger::postgres::Postgres::on(&database), labels::postgres::Postgres::on(&database));
        Stage { settings, database, ledger, labels, broker: Memory::new(1), cached: Cached::default() }
    }

    async fn erase(&self, what: What) -> Result<Ended, JobError> {
        let postgres = Postgres::on(&self.database);
        let events = self.broker.events();
        let job = Job {
            postgres: &postgres,
            events: &events,
            files: &self.cached,
            learnt_by: &|sha256| if sha256.starts_with('a') { vec!["m1".into()] } else { Vec::new() },
            prefix: "assay",
            progress: &|_, _| {},
        };
        job.run(&Selection::new("acme", what).unwrap(), "a test").await
    }

    async fn erased(&self, what: What) -> Receipt {
        match self.erase(what).await.unwrap() {
            Ended::Erased(receipt) => *receipt,
            other => panic!("{other:?}"),
        }
    }

    async fn record(&self, outcomes: &[Outcome]) {
        assert!(self.ledger.record(outcomes).await.unwrap().iter().all(|one| *one == Recorded::New));
    }

    async fn label(&self, content: &str, location: &str) {
        let label = Label {
            sha256: content.into(),
            location: location.into(),
            origin: domain::LabelledOrigin::Real,
            content_type: None,
            generator: None,
            source: Source::Correction,
            actor: "somebody".into(),
            reason: None,
            verdict_id: None,
            drawn_as: None,
            grounds: Vec::new(),
            trains: true,
        };
        self.labels.record(&[label]).await.unwrap();
    }

    /// Every row of every table of the schema, as text.
    async fn everything(&self) -> String {
        let mut connection = raw(&self.settings).await;
        let tables = "SELECT relname::text AS name FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'";
        let mut all = String::new();
        for table in sqlx::query(tables).fetch_all(&mut connection).await.unwrap() {
            let rows = format!("SELECT t::text AS row FROM {} AS t", table.get::<&str, _>("name"));
            for row in sqlx::query(AssertSqlSafe(rows)).fetch_all(&mut connection).await.unwrap() {
                all += row.get::<&str, _>("row");
                all.push('\n');
            }
        }
        all
    }
}

/// Erases with stand-ins for everything but the database.
pub async fn erase(settings: &Settings, what: What) -> Ended {
    Stage::set(settings.clone()).await.erase(what).await.unwrap()
}

/// A connection that looks at the test's schema.
async fn raw(settings: &Settings) -> PgConnection {
    let mut connection = PgConnection::connect(servers().database_url()).await.unwrap();
    connection.execute(AssertSqlSafe(format!("SET search_path = {}", settings.schema))).await.unwrap();
    connection
}

fn submission(id: &str) -> What {
    What::Submission(id.into())
}

fn verdict_on(key: SubmissionKey, digit: &str, metadata: &[(&str, Value)]) -> Outcome {
    let mut verdict: Verdict = verdict_of(key);
    verdict.image.sha256 = digit.repeat(64);
    verdict.image.key = format!("objects/{}-{}", verdict.submission_id, verdict.generation);
    verdict.metadata = metadata.iter().map(|(key, value)| (key.to_string(), value.clone())).collect::<Map<_, _>>();
    Outcome::Verdict(Box::new(verdict))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_holds_a_trace_of_what_was_erased() {
    in_own_schema(|settings| async move {
        let stage = Stage::set(settings).await;
        let other = SubmissionKey { tenant: "globex".into(), ..key("theirs", 0) };
        stage
            .record(&[
                verdict_on(key("traceable", 0), "a", &[("user", json!("ann"))]),
                verdict_on(key("traceable", 1), "b", &[]),
                failure(key("traceable", 2)),
                verdict_on(key("other", 0), "c", &[]),
                verdict_on(other, "b", &[]),
            ])
            .await;
        stage.label(&"a".repeat(64), "s3://uploads/objects/traceable-0").await;
        stage.label(&"b".repeat(64), "s3://uploads/objects/of-globex").await;
        stage.label(&"d".repeat(64), "s3://uploads/objects/traceable-1").await;
        *stage.cached.contents.lock().unwrap() = vec!["a".repeat(64), "b".repeat(64)];
        let mut raw = raw(&stage.settings).await;
        raw.execute(
            "INSERT INTO training_runs (id, epoch, state, report) VALUES ('00000000-0000-0000-0000-000000000001', 1, 'failed',
             '{\"lines\": 1, \"missing\": [[\"s3://uploads/objects/traceable-0\", \"gone\"], [\"s3://uploads/x\", \"gone\"]]}'),
             ('00000000-0000-0000-0000-000000000002', 1, 'failed', 'null')",
        )
        .await
        .unwrap();

        let receipt = stage.erased(submission("traceable")).await;
        let deleted = &receipt.deleted;
        assert_eq!((deleted.submissions, deleted.verdicts, deleted.failures), (1, 2, 1));
        assert_eq!((deleted.labels, deleted.cached_images), (2, 1), "the other image is globex's, too");
        assert_eq!(receipt.models, ["m1"]);
        let kept: Vec<_> = receipt.kept.iter().map(|kept| (kept.what.as_str(), kept.count)).collect();
        assert_eq!(kept, [("marks", 1), ("labels", 1), ("models", 1)]);

        let everything = stage.everything().await;
        let id = domain::OutcomeId::of(&key("traceable", 0)).to_string();
        for trace in ["traceable", "ann", &"a".repeat(64), &id] {
            assert!(!everything.contains(trace), "{trace}: {everything}");
        }
        assert!(everything.contains("other") && everything.contains("theirs") && everything.contains("s3://uploads/x"));
        let (topic, message) = stage.broker.notices().remove(0);
        let told: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!((topic.as_str(), &told["submissions"][0]["submission_id"]), ("erased.acme", &json!("traceable")));
        assert_eq!(told["submissions"][0]["outcome_ids"].as_array().unwrap().len(), 3);
        // The receipt is kept, and the same command again says that it was done.
        assert_eq!(Postgres::on(&stage.database).receipt(receipt.erasure_id).await.unwrap(), Some(receipt));
        assert!(matches!(stage.erase(submission("traceable")).await.unwrap(), Ended::Before { .. }));
        assert!(matches!(stage.erase(submission("nowhere")).await.unwrap(), Ended::Nothing));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_stopped_goes_on_with_the_same_command() {
    in_own_schema(|settings| async move {
        let stage = Stage::set(settings).await;
        stage.record(&[verdict_on(key("one", 0), "a", &[]), failure(key("one", 1))]).await;
        stage.broker.fail_publications([Fault::Lost]);
        assert!(matches!(stage.erase(submission("one")).await, Err(JobError::Broker(_))));
        *stage.cached.broken.lock().unwrap() = true;
        assert!(matches!(stage.erase(submission("one")).await, Err(JobError::Files(_))));
        // Meanwhile it is there, and nothing is recorded any more.
        let recorded = stage.ledger.record(&[verdict(key("one", 2))]).await.unwrap();
        assert!(matches!(recorded[0], Recorded::Gone(Gone::Erased { .. })), "{recorded:?}");
        let receipt = stage.erased(submission("one")).await;
        assert_eq!((receipt.deleted.verdicts, receipt.deleted.failures), (1, 1));
        let mut raw = raw(&stage.settings).await;
        let begun: i64 = sqlx::query_scalar("SELECT count(*) FROM erasures").fetch_one(&mut raw).await.unwrap();
        assert_eq!(begun, 1, "one erasure, begun once");
    })
    .await;
}

/// Not even by somebody who looked the submission up before it was marked.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_records_what_is_being_erased() {
    in_own_schema(|settings| async move {
        let stage = Stage::set(settings).await;
        let ids: Vec<String> = (0..24).map(|number| format!("s{number}")).collect();
        for id in &ids {
            stage.record(&[verdict(key(id, 0))]).await;
        }
        let mut writers = JoinSet::new();
        for id in ids.clone() {
            let ledger = ledger::postgres::Postgres::on(&stage.database);
            writers.spawn(async move {
                for generation in 1..40 {
                    ledger.record(&[verdict(key(&id, generation))]).await.unwrap();
                }
            });
        }
        for id in &ids {
            stage.erased(submission(id)).await;
        }
        writers.join_all().await;
        let mut raw = raw(&stage.settings).await;
        let counts = "SELECT (SELECT count(*) FROM outcomes) + (SELECT count(*) FROM verdicts)";
        let left: i64 = sqlx::query_scalar(counts).fetch_one(&mut raw).await.unwrap();
        assert_eq!(left, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_found_by_what_documents_say() {
    in_own_schema(|settings| async move {
        let stage = Stage::set(settings).await;
        let ann = [("user", json!("ann"))];
        stage
            .record(&[
                verdict_on(key("plain", 0), "a", &ann),
                // PostgreSQL looks into no document with this in it.
                verdict_on(key("nul", 0), "b", &[("user", json!("ann")), ("text", json!("a\u{0}b"))]),
                verdict_on(key("nul of another", 0), "b", &[("user", json!("bob")), ("text", json!("a\u{0}b"))]),
                verdict_on(key("number", 0), "c", &[("user", json!(7))]),
                failure(key("failed", 0)),
            ])
            .await;
        let mut raw = raw(&stage.settings).await;
        let set = "UPDATE failures SET document = replace(document::text, '\"metadata\":{}', '\"metadata\":{\"user\":\"ann\"}')::json";
        raw.execute(set).await.unwrap();
        let metadata = |text: &str| What::metadata(text).unwrap();
        let deleted = stage.erased(metadata("user=ann")).await.deleted;
        assert_eq!((deleted.submissions, deleted.verdicts, deleted.failures), (3, 2, 1));
        assert_eq!(stage.erased(metadata("user=7")).await.deleted.submissions, 1);
        assert!(matches!(stage.erase(metadata("user=ann")).await.unwrap(), Ended::Nothing));
        assert!(!stage.everything().await.contains("ann"));
    })
    .await;
}

/// A failure has its image by what the request said, also in a document that PostgreSQL can't look into; an item of a campaign may be
/// all that is left.
#[tokio::test(flavor = "multi_thread")]
async fn failures_and_items_of_campaigns_go_too() {
    in_own_schema(|settings| async move {
        let stage = Stage::set(settings).await;
        stage.record(&[failure(key("plain", 0)), failure(key("with-nul", 0)), failure(key("other", 0))]).await;
        let mut raw = raw(&stage.settings).await;
        let digest = "e".repeat(64);
        let described = format!(
            "UPDATE failures SET document = replace(replace(document::text, '\"sha256\":null', '\"sha256\":\"{digest}\"'),
             '\"metadata\":{{}}', CASE submission_id WHEN 'with-nul' THEN '\"metadata\":{{\"a\":\"\\u0000\"}}' ELSE '\"metadata\":{{}}' END)::json
             WHERE submission_id <> 'other'"
        );
        raw.execute(AssertSqlSafe(described)).await.unwrap();
        raw.execute(
            "INSERT INTO campaign_items VALUES (1, now(), 0, 1, gen_random_uuid(), gen_random_uuid(), 'acme', 'left', 'real', 'real')",
        )
        .await
        .unwrap();
        stage.label(&digest, "s3://elsewhere/e").await;
        let deleted = stage.erased(What::Sha256(digest)).await.deleted;
        assert_eq!((deleted.submissions, deleted.failures, deleted.labels), (2, 2, 1));
        assert!(matches!(stage.erase(submission("left")).await.unwrap(), Ended::Erased(_)));
        let everything = stage.everything().await;
        assert!(!everything.contains("left") && !everything.contains("with-nul") && everything.contains("other"), "{everything}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_and_a_tenant_are_erased_page_by_page() {
    in_own_schema(|settings| async move {
        let stage = Stage::set(settings).await;
        let same: Vec<Outcome> = (0..700).map(|n| verdict_on(key(&format!("same-{n:04}"), 0), "a", &[])).collect();
        let others: Vec<Outcome> = (0..600).map(|n| verdict_on(key(&format!("other-{n:04}"), 0), "b", &[])).collect();
        let theirs = SubmissionKey { tenant: "globex".into(), ..key("theirs", 0) };
        stage.record(&[same, others, vec![verdict_on(theirs, "a", &[])]].concat()).await;
        let receipt = stage.erased(What::Sha256("A".repeat(64))).await;
        assert_eq!((receipt.deleted.submissions, receipt.deleted.verdicts), (700, 700));
        assert_eq!(stage.erased(What::Everything).await.deleted.submissions, 600);
        let mut raw = raw(&stage.settings).await;
        let left: Vec<String> = sqlx::query_scalar("SELECT tenant FROM verdicts").fetch_all(&mut raw).await.unwrap();
        assert_eq!(left, ["globex"]);
        let told = stage.broker.notices().into_iter().map(|(_, message)| {
            let told: Value = serde_json::from_slice(&message.body).unwrap();
            told["submissions"].as_array().unwrap().len()
        });
        assert_eq!(told.collect::<Vec<_>>(), [500, 200, 500, 100]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_of_what_a_command_has_erased_is_not_judged_again() {
    let site = Site::open().await;
    let _worker = site.worker(&[]).await;
    let image = site.put("a.bmp", images::bmp(256, 80)).await;
    site.submit([site::request("one", &image), site::request("two", &image)]).await;
    site.until_recorded(2).await;
    let run = |arguments: &[&str]| {
        let output = site.command().args([&["erase", "--tenant", "default"], arguments].concat()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    };
    let one = ["--submission", "one"];
    let (code, said) = run(&[&one[..], &["--dry-run"]].concat());
    assert!(code == Some(0) && said.contains("would erase") && said.contains("1 submissions, 1 verdicts"), "{said}");
    assert_eq!(site.recorded().await, 2);
    let (code, said) = run(&one);
    assert!(
        code == Some(0) && said.contains("1 submissions, 1 verdicts; asked again, nothing of it is left"),
        "{said}"
    );
    let (code, said) = run(&one);
    assert!(code == Some(0) && said.contains("was erased before"), "{said}");
    let (code, said) = run(&["--submission", "three"]);
    assert!(code == Some(1) && said.contains("nothing was deleted"), "{said}");
    let (code, said) = run(&["--sha256", "abc"]);
    assert!(code == Some(2) && said.contains("64 hexadecimal digits"), "{said}");

    site.submit([site::request("one", &image)]).await;
    until("the answer", || async { site.depth("results").await == 3 }).await;
    let published = site.published(&BTreeSet::from(["one".to_string()])).await;
    let answers: Vec<&str> = published["one"].iter().map(Outcome::word).collect();
    assert!(answers.len() == 2 && answers[1] == "erased", "{answers:?}");
    assert_eq!(site.recorded().await, 1);
    let output = site.command().args(["erase", "--tenant", "default", "--json"]).output().unwrap();
    let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &receipt["deleted"]["submissions"]), (Some(0), &json!(1)));
    let id = receipt["erasure_id"].as_str().unwrap();
    let again = site.command().args(["erase", "--receipt", id, "--json"]).output().unwrap();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again, receipt);
    site.close().await;
}
