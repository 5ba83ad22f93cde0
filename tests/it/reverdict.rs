//! Judging again: what is selected and in which order, how much is in the queue at a time, and what comes of it.

use std::sync::Mutex;
use std::time::Duration;

use broker::memory::Memory;
use broker::{InputQueue, RequestQueue};
use campaign::{By, Campaign, Created, Job, Limits, Postgres, Selection};
use database::{Database, Settings, migrate};
use domain::{Decision, Outcome, OutcomeId, Purpose, SubmissionKey};
use ledger::workers::{WorkerReport, Workers, memory};
use ledger::{Ledger, Recorded};
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::images;
use crate::support::outcomes::{failure, key, verdict_of};
use crate::support::rabbit::until;
use crate::support::rights::{Rights, all_refused};
use crate::support::servers::{in_own_schema, servers};
use crate::support::site::{self, Site};
use crate::support::within;

struct Stage {
    postgres: Postgres,
    ledger: ledger::postgres::Postgres,
    broker: Memory,
    workers: memory::Memory,
    /// What the job said at each step.
    said: Mutex<Vec<String>>,
}

impl Stage {
    async fn set(settings: &Settings) -> Stage {
        migrate(settings).await.unwrap();
        let database = Database::connect(settings).await.unwrap();
        let stage = Stage {
            postgres: Postgres::on(&database),
            ledger: ledger::postgres::Postgres::on(&database),
            broker: Memory::new(1),
            workers: memory::Memory::default(),
            said: Mutex::default(),
        };
        stage.at_work("new").await;
        stage
    }

    async fn at_work(&self, model: &str) {
        let report = WorkerReport {
            name: "a/1".into(),
            version: "1".into(),
            device: "cpu".into(),
            model_version: model.into(),
            model_sha256: "b".repeat(64),
            follows_registry: None,
            state: "ready".into(),
            in_flight: 0,
            oldest_in_flight_s: 0.0,
            queue_wait_s: None,
            started_at: OffsetDateTime::UNIX_EPOCH,
        };
        self.workers.report(&report).await.unwrap();
    }

    async fn record(&self, outcomes: &[Outcome]) {
        assert!(self.ledger.record(outcomes).await.unwrap().iter().all(|one| *one == Recorded::New));
    }

    async fn created(&self, selection: &Selection) -> Uuid {
        match self.postgres.create(selection, "new", ("ann", "a test"), None).await.unwrap() {
            Created::Campaign(id) => id,
            Created::Nothing => panic!("{selection} matches nothing"),
        }
    }

    async fn run(&self, id: Uuid, window: u32) -> Campaign {
        let submitter = self.broker.submitter();
        let job = Job {
            postgres: &self.postgres,
            workers: &self.workers,
            submitter: &submitter,
            limits: Limits { window, live_wait: Duration::from_secs(2) },
            progress: &|_, why| self.said.lock().unwrap().push(why.unwrap_or("submits").into()),
            trouble: &|error, _| panic!("{error}"),
        };
        job.run(id).await.unwrap()
    }

    fn submitted(&self) -> Vec<Value> {
        let ready = self.broker.ready(InputQueue::Requests(RequestQueue::Bulk));
        ready.iter().map(|message| serde_json::from_slice(&message.body).unwrap()).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.submitted().iter().map(|request| request["submission_id"].as_str().unwrap().to_string()).collect()
    }
}

fn verdict(key: SubmissionKey, decision: Decision, synthetic: f32) -> Outcome {
    let mut verdict = verdict_of(key);
    verdict.decision = decision;
    verdict.score.synthetic = synthetic;
    verdict.image.key = format!("objects/{}", verdict.submission_id);
    Outcome::Verdict(Box::new(verdict))
}

fn again(key: SubmissionKey, decision: Decision) -> Outcome {
    let mut verdict = verdict_of(key);
    verdict.decision = decision;
    verdict.purpose = Purpose::Reverdict;
    verdict.model.version = "new".into();
    Outcome::Verdict(Box::new(verdict))
}

/// The thresholds of these verdicts are 0.35 and 0.65.
#[tokio::test(flavor = "multi_thread")]
async fn what_accuses_comes_first_and_then_what_lies_nearest_a_threshold() {
    in_own_schema(|settings| async move {
        let stage = Stage::set(&settings).await;
        stage
            .record(&[
                verdict(key("surely real", 0), Decision::Real, 0.01),
                verdict(key("nearly real", 0), Decision::Uncertain, 0.36),
                verdict(key("surely synthetic", 0), Decision::Synthetic, 0.99),
                verdict(key("just synthetic", 0), Decision::Synthetic, 0.66),
                // A later failure takes the verdict not out of force, and its generation is taken.
                verdict(key("failed since", 0), Decision::Real, 0.3),
                failure(key("failed since", 1)),
                verdict(key("judged since", 0), Decision::Synthetic, 0.7),
                again(key("judged since", 1), Decision::Real),
                failure(key("never judged", 0)),
            ])
            .await;
        let id = stage.created(&Selection::default()).await;
        let running = async { stage.run(id, 100).await };
        tokio::pin!(running);
        tokio::select! {
            ended = &mut running => panic!("{ended:?}"),
            () = until("all are submitted", || async { stage.submitted().len() == 5 }) => {}
        }
        let expected = ["just synthetic", "surely synthetic", "nearly real", "failed since", "surely real"];
        assert_eq!(stage.ids(), expected);
        let request = &stage.submitted()[3];
        assert_eq!((&request["generation"], &request["purpose"]), (&json!(2), &json!("reverdict")));
        assert_eq!(request["image"]["sha256"], json!("a".repeat(64)));
        let results = [
            again(key("just synthetic", 1), Decision::Real),
            again(key("surely synthetic", 1), Decision::Synthetic),
            failure(key("nearly real", 1)),
            again(key("failed since", 2), Decision::Real),
            again(key("surely real", 1), Decision::Uncertain),
        ];
        stage.record(&results).await;
        let ended = within(20, running).await;
        assert_eq!((ended.state.as_str(), ended.flips, ended.items), ("finished", 2, 5));
        let changes = stage.postgres.changes(id, By::All).await.unwrap();
        let of = |before: &str, after: &str| {
            let of = changes.0.iter().find(|group| group.before == before && group.after.as_deref() == Some(after));
            of.map_or(0, |group| group.items)
        };
        assert_eq!((of("synthetic", "real"), of("synthetic", "synthetic"), of("uncertain", "failed")), (1, 1, 1));
        for by in [By::Tenant, By::Generator, By::Format, By::Label] {
            let items: u64 = stage.postgres.changes(id, by).await.unwrap().0.iter().map(|group| group.items).sum();
            assert_eq!(items, 5, "{by:?}");
        }
        // Only the one that failed is still by another model.
        let other = stage.created(&Selection::default()).await;
        assert_eq!(stage.postgres.campaign(other).await.unwrap().unwrap().items, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_holds_no_more_than_the_window_and_a_pause_is_heard() {
    in_own_schema(|settings| async move {
        let stage = Stage::set(&settings).await;
        let all: Vec<Outcome> = (0..200).map(|n| verdict(key(&format!("s{n}"), 0), Decision::Real, 0.1)).collect();
        stage.record(&all).await;
        let id = stage.created(&Selection { max_score: Some(0.5), ..Selection::default() }).await;
        // Nobody else gets them meanwhile.
        assert_eq!(
            stage.postgres.create(&Selection::default(), "new", ("a", "b"), None).await.unwrap(),
            Created::Nothing
        );
        let running = async { stage.run(id, 10).await };
        tokio::pin!(running);
        let full = || async { stage.said.lock().unwrap().iter().any(|why| why.contains("full")) };
        tokio::select! {
            ended = &mut running => panic!("{ended:?}"),
            () = until("it waits", full) => {}
        }
        assert_eq!(stage.submitted().len(), 10);
        assert!(stage.postgres.set_state(id, "paused", None).await.unwrap());
        let ended = within(20, running).await;
        assert_eq!((ended.state.as_str(), ended.left(), ended.awaited), ("paused", 190, 10));
        // With another model at work it does not go on.
        stage.at_work("newer").await;
        let ended = within(20, Box::pin(stage.run(id, 100))).await;
        assert!(ended.state == "paused" && ended.why.as_ref().unwrap().contains("newer is at work"), "{ended:?}");
        assert!(stage.postgres.end(id, "enough").await.unwrap() && !stage.postgres.end(id, "enough").await.unwrap());
        // What has no result is free again.
        let other = stage.created(&Selection::default()).await;
        assert_eq!(stage.postgres.campaign(other).await.unwrap().unwrap().items, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_judged_by_workers_and_told_by_what_changed() {
    let site = Site::open().await;
    let _worker = site.worker(&[]).await;
    let image = site.put("a.bmp", images::bmp(256, 80)).await;
    site.submit((0..6).map(|number| site::request(&format!("s{number}"), &image))).await;
    site.until_recorded(6).await;
    until("all are told", || async { site.depth("results").await == 6 }).await;
    let run = |arguments: &[&str]| {
        let output = site.command().arg("reverdict").args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    };
    let nothing = run(&["plan"]);
    assert!(nothing.0 == Some(1) && nothing.1.contains("nothing is to be judged again by scripted"), "{nothing:?}");
    // As if another model had judged, and otherwise.
    let schema = &site.name;
    site.query(&format!("UPDATE {schema}.verdicts SET model_version = 'older'")).await;
    let other = "CASE decision WHEN 'real' THEN 'synthetic' ELSE 'real' END";
    site.query(&format!("UPDATE {schema}.verdicts SET decision = {other} WHERE submission_id IN ('s0', 's1')")).await;
    let (code, said) = run(&["plan", "--model", "older"]);
    assert!(code == Some(0) && said.contains("judged by older, to be judged by scripted"), "{said}");
    let (code, said) = run(&["run", "--model", "older", "--reason", "a test"]);
    assert!(code == Some(0) && said.contains("finished, 2 of 6 decisions changed"), "{said}");
    assert_eq!(site.recorded().await, 12);
    // Those that changed are among the results.
    assert_eq!(site.depth("results").await, 8);
    let output = site.command().args(["reverdict", "show", "--json"]).output().unwrap();
    let campaigns: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = campaigns[0]["campaign_id"].as_str().unwrap();
    assert_eq!((&campaigns[0]["flips"], &campaigns[0]["state"]), (&json!(2), &json!("finished")));
    let (code, said) = run(&["show", id, "--by", "tenant"]);
    assert!(code == Some(0) && said.contains("default\n  before \\ after"), "{said}");
    let (code, said) = run(&["end", id]);
    assert!(code == Some(1) && said.contains("has ended already"), "{said}");
    let (code, said) = run(&["pause", &OutcomeId::of(&key("a", 0)).to_string()]);
    assert!(code == Some(1) && said.contains("there is no campaign"), "{said}");
    let (code, said) = run(&["plan", "--since", "yesterday"]);
    assert!(code == Some(2) && said.contains("2026-11-02T03:12:45Z"), "{said}");
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_thresholds_judge_what_is_kept_again_without_its_images() {
    let site = Site::open().await;
    let mut worker = site.worker(&[]).await;
    // 0.18, 0.60 and 0.91 to be synthetic.
    let mut keys = Vec::new();
    for (id, shade) in [("real", 80), ("uncertain", 140), ("synthetic", 200)] {
        keys.push(site.put(id, images::bmp(256, shade)).await);
        site.submit([site::request(id, keys.last().unwrap())]).await;
    }
    site.until_recorded(3).await;
    worker.terminate();
    assert!(worker.ended(Duration::from_secs(60)).await.success(), "{}", worker.log());
    for key in &keys {
        site.remove(key).await;
    }
    let run = |arguments: &[&str]| {
        let output = site.command().arg("reverdict").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = run(&["plan", "--thresholds", "0.15,0.95", "--json"]);
    let document: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    let before: Vec<_> =
        document["changes"].as_array().unwrap().iter().map(|group| group["before"].as_str().unwrap()).collect();
    assert_eq!((code, before), (Some(0), vec!["real", "synthetic", "uncertain"]), "{said}");
    assert!(document["changes"].as_array().unwrap().iter().all(|group| group["after"] == "uncertain"), "{said}");

    let _worker = site.worker(&[("ASSAY__THRESHOLDS__LOW", "0.15"), ("ASSAY__THRESHOLDS__HIGH", "0.95")]).await;
    let (code, said) = run(&["run", "--reason", "other thresholds"]);
    assert!(code == Some(1) && said.contains("nothing is to be judged again"), "{said}");
    let (code, said) = run(&["run", "--same-model", "--reason", "other thresholds"]);
    assert!(code == Some(0) && said.contains("finished, 2 of 3 decisions changed"), "{said}");
    let again = format!("SELECT FROM {}.verdicts WHERE generation = 1 AND decision = 'uncertain'", site.name);
    assert_eq!(site.query(&again).await.len(), 3, "and no failure: nothing was fetched");
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaigner_with_nothing_but_its_rights_has_images_judged_again() {
    let rights = Rights::grant().await;
    let site = &rights.site;
    let settings = rights.settings("worker");
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let _worker = site.worker(&settings).await;
    let image = site.put("a.bmp", images::bmp(256, 80)).await;
    site.submit([site::request("one", &image)]).await;
    site.until_recorded(1).await;
    site.query(&format!("UPDATE {}.verdicts SET model_version = 'older'", site.name)).await;
    let (said, _) = rights.run("campaigner", ["reverdict", "run", "--reason", "a test"]);
    assert!(said.contains("finished, 0 of 1 decisions changed"), "{said}");
    let mut campaigner = PgConnection::connect(&rights.login(servers().database_url(), "campaigner")).await.unwrap();
    let forbidden = [
        "UPDATE #verdicts SET decision = 'real'",
        "DELETE FROM #outcomes",
        "INSERT INTO #erased VALUES (now(), '', NULL)",
    ];
    all_refused(&mut campaigner, &site.name, &forbidden.map(String::from)).await;
    rights.revoke().await;
}
