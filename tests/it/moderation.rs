//! Policies: kept, tried, put in force, followed by workers.

use std::collections::BTreeMap;
use std::time::Duration;

use database::{Database, migrate};
use domain::{Action, Decision, Outcome, Verdict};
use ledger::Ledger;
use moderation::{ActivationError, InForce, NewActivation, Policy, Postgres, Put, Trial, Tried, Wanted};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::support::images;
use crate::support::outcomes::{key, verdict_of};
use crate::support::rabbit::until;
use crate::support::rights::{Rights, all_refused};
use crate::support::servers::{in_own_schema, servers};
use crate::support::site::{self, Site};

const SYNTHETIC: &str = r#"
[[rules]]
name = "certain"
decision = "synthetic"
score = { at_least = 0.9 }
action = "block"
because = "Almost certainly generated."

[[rules]]
name = "open"
decision = ["synthetic", "uncertain"]
metadata.channel = "ads"
action = "review"
because = "An advertisement that may be generated."
"#;

const LABEL: &str = r#"
[[rules]]
name = "label"
decision = "synthetic"
action = "label"
because = "Probably generated."
"#;

fn policy(text: &str) -> Policy {
    Policy::read(text).unwrap()
}

async fn opened(settings: &database::Settings) -> (Postgres, ledger::postgres::Postgres) {
    migrate(settings).await.unwrap();
    let database = Database::connect(settings).await.unwrap();
    (Postgres::on(&database), ledger::postgres::Postgres::on(&database))
}

/// All that is in force.
async fn in_force(policies: &Postgres) -> Vec<InForce> {
    let (sender, mut verdicts) = mpsc::channel(1000);
    let now = OffsetDateTime::now_utc();
    policies.verdicts((now - time::Duration::hours(2), now + time::Duration::hours(1)), None, &sender).await.unwrap();
    drop(sender);
    let mut all = Vec::new();
    while let Some(one) = verdicts.recv().await {
        all.push(one);
    }
    all
}

/// A connection that looks at the test's schema.
async fn raw(settings: &database::Settings) -> PgConnection {
    let mut connection = PgConnection::connect(servers().database_url()).await.unwrap();
    let sql = format!("SET search_path = {}", settings.schema);
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection
}

async fn tried(policies: &Postgres, policy: &Policy) -> String {
    let mut trial = Trial::of(policy, "all");
    let all = in_force(policies).await;
    all.iter().for_each(|one| trial.count(Tried { verdict: &one.verdict, before: one.before(), label: one.label }));
    policies.keep_trial(&trial.report(), "ann").await.unwrap();
    trial.digest()
}

fn change(to: Wanted, replaces: Option<&Policy>) -> NewActivation {
    let replaces = replaces.map(|policy| policy.digest().to_string());
    NewActivation { to, replaces, actor: "ann".into(), reason: "a test".into() }
}

fn to(policy: &Policy, trial: &str) -> Wanted {
    Wanted::Policy { version: policy.version().into(), trial: trial.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_in_force_only_after_a_trial_and_in_place_of_what_was_seen() {
    in_own_schema(|settings| async move {
        let (policies, _) = opened(&settings).await;
        let (first, second) = (policy(SYNTHETIC), policy(LABEL));
        assert!(policies.in_force().await.unwrap().is_none());
        assert_eq!(policies.put(&first, SYNTHETIC, "ann").await.unwrap(), Put::New);
        // Another text that says the same is the same policy.
        let again = format!("# A remark.\n{SYNTHETIC}");
        assert_eq!(policies.put(&policy(&again), &again, "bob").await.unwrap(), Put::Known);
        let refused = |to: Wanted, replaces: Option<&Policy>| {
            let change = change(to, replaces);
            let policies = &policies;
            async move { policies.activate(&change).await.unwrap_err() }
        };
        assert!(matches!(refused(to(&first, &"0".repeat(64)), None).await, ActivationError::NotTried { .. }));
        let (of_first, of_second) = (tried(&policies, &first).await, tried(&policies, &second).await);
        let error = refused(to(&first, &of_second), None).await.to_string();
        assert!(error.contains(&format!("it is of the policy {}", second.version())), "{error}");
        assert!(matches!(refused(to(&second, &of_second), None).await, ActivationError::Unknown(_)));
        let made = policies.activate(&change(to(&first, &of_first[..12]), None)).await.unwrap();
        assert_eq!((made.number, made.trial.as_deref()), (1, Some(of_first.as_str())));
        assert_eq!(policies.in_force().await.unwrap().unwrap().text, SYNTHETIC);

        // Who has not seen that is told, and of two at once one is.
        policies.put(&second, LABEL, "ann").await.unwrap();
        let moved = refused(to(&second, &of_second), None).await.to_string();
        assert!(moved.contains(first.version()) && moved.contains("not no policy"), "{moved}");
        let (one, other) = (change(to(&second, &of_second), Some(&first)), change(Wanted::Nothing, Some(&first)));
        let (one, other) = tokio::join!(policies.activate(&one), policies.activate(&other));
        assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|ok| **ok).count(), 1, "{one:?} {other:?}");
        let activations = policies.activations(10).await.unwrap();
        assert_eq!(activations.iter().map(|one| one.number).collect::<Vec<_>>(), [2, 1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_trial_is_refused() {
    in_own_schema(|settings| async move {
        let (policies, _) = opened(&settings).await;
        let first = policy(SYNTHETIC);
        policies.put(&first, SYNTHETIC, "ann").await.unwrap();
        let trial = tried(&policies, &first).await;
        let mut raw = raw(&settings).await;
        raw.execute("UPDATE policy_trials SET tried_at = now() - interval '8 days'").await.unwrap();
        let error = policies.activate(&change(to(&first, &trial), None)).await.unwrap_err();
        assert!(matches!(error, ActivationError::TriedLongAgo { .. }), "{error}");
    })
    .await;
}

fn judged(id: &str, generation: u32, decision: Decision, synthetic: f32) -> Verdict {
    let mut verdict = verdict_of(key(id, generation));
    verdict.decision = decision;
    verdict.score.synthetic = synthetic;
    verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_counts_what_is_in_force_with_what_followed_and_what_people_say() {
    in_own_schema(|settings| async move {
        let (policies, ledger) = opened(&settings).await;
        let mut blocked = judged("blocked", 0, Decision::Synthetic, 0.95);
        blocked.policy = Some(policy(SYNTHETIC).apply(&blocked));
        let verdicts = [
            blocked,
            judged("synthetic", 0, Decision::Synthetic, 0.7),
            judged("real", 0, Decision::Real, 0.1),
            // Not in force: a later one is.
            judged("twice", 0, Decision::Synthetic, 0.99),
            judged("twice", 1, Decision::Real, 0.2),
        ];
        let outcomes: Vec<Outcome> = verdicts.map(|verdict| Outcome::Verdict(Box::new(verdict))).into();
        ledger.record(&outcomes).await.unwrap();
        let mut raw = raw(&settings).await;
        let label = "INSERT INTO labels (sha256, location, origin, source, actor)
            SELECT DISTINCT encode(image_sha256, 'hex'), 'x', 'synthetic', 'correction', 'ann' FROM verdicts";
        raw.execute(label).await.unwrap();
        let label = policy(LABEL);
        let mut trial = Trial::of(&label, "all");
        let all = in_force(&policies).await;
        assert_eq!(all.len(), 4);
        all.iter().for_each(|one| trial.count(Tried { verdict: &one.verdict, before: one.before(), label: one.label }));
        let report = trial.report();
        let changes: Vec<_> = report.changes.iter().map(|change| (change.from, change.to, change.verdicts)).collect();
        assert_eq!(changes, [(Action::None, Action::Label, 1), (Action::Block, Action::Label, 1)]);
        let precision = report.precision.iter().find(|one| one.action == Action::Label).unwrap();
        assert_eq!((precision.labelled, precision.synthetic), (2, 2));
    })
    .await;
}

/// The verdicts of a site in force, by submission.
async fn of_site(site: &Site) -> BTreeMap<String, Verdict> {
    let database = Database::connect(&servers().database_settings(&site.name)).await.unwrap();
    let all = in_force(&Postgres::on(&database)).await;
    all.into_iter().map(|one| (one.verdict.submission_id.clone(), one.verdict)).collect()
}

/// Of what was blocked there are statements, and nothing of whose it is in them.
fn check_statements(site: &Site, blocked: u64) {
    let soon = OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap();
    let output =
        site.command().args(["statements", "--since", "1h", "--until", &soon, "--format", "dsa-v2"]).output().unwrap();
    let (lines, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(
        output.status.success() && said.contains("the platform fills in category, content_date, decision_ground"),
        "{said}"
    );
    assert_eq!(lines.lines().count() as u64, blocked);
    for line in lines.lines() {
        let statement: Value = serde_json::from_str(line).unwrap();
        assert_eq!(statement["decision_visibility"], serde_json::json!(["DECISION_VISIBILITY_CONTENT_DISABLED"]));
        assert!(!line.contains("after-") && !line.contains(".bmp") && !line.contains(&site.name), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_follow_the_policy_in_force_and_say_what_a_trial_says() {
    let site = Site::open().await;
    let worker = site.worker(&[("ASSAY__REGISTRY__POLL_S", "1")]).await;
    let mut keys = Vec::new();
    for shade in [10, 80, 130, 160, 200, 250] {
        keys.push(site.put(&format!("{shade}.bmp"), images::bmp(256, shade)).await);
    }
    let requests = |name: &str| {
        let requests = keys.iter().enumerate().flat_map(|(index, key)| {
            ["ads", "feed"].map(|channel| {
                let mut request = site::request(&format!("{name}-{index}-{channel}"), key);
                request["metadata"] = serde_json::json!({"channel": channel});
                request
            })
        });
        requests.collect::<Vec<_>>()
    };
    site.submit(requests("before")).await;
    site.until_recorded(12).await;
    let before = of_site(&site).await;
    assert!(before.values().all(|verdict| verdict.policy.is_none()), "without a policy nothing changes");

    let file = site.folder().join("policy.toml");
    std::fs::write(&file, SYNTHETIC).unwrap();
    let file = file.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = site.command().arg("policy").args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(run(&["check", file]).0, Some(0));
    let (code, out, err) = run(&["try", file, "--since", "1h", "--json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["verdicts"], 12);
    let trial = report["digest"].as_str().unwrap();
    let version = report["version"].as_str().unwrap().to_string();
    let (code, out, err) = run(&["activate", &version, "--trial", trial, "--reason", "a test"]);
    assert!(code == Some(1) && err.contains("there is no policy"), "{out}{err}");
    assert_eq!(run(&["put", file]).0, Some(0));
    let (code, out, err) = run(&["activate", &version, "--reason", "a test"]);
    assert!(code == Some(2) && err.contains("--trial is missing"), "{out}{err}");
    let (code, out, err) = run(&["activate", &version, "--trial", trial, "--reason", "a test"]);
    assert!(code == Some(0) && out.contains(&format!("policy in force: {version} (before: none)")), "{out}{err}");
    let heard = || async { worker.log().contains("another policy is in force") };
    until("the worker follows", heard).await;

    site.submit(requests("after")).await;
    site.until_recorded(24).await;
    let after = of_site(&site).await;
    let policy = policy(SYNTHETIC);
    let mut actions = BTreeMap::<&str, u64>::new();
    for (id, first) in &before {
        let now = &after[&id.replace("before", "after")];
        // Byte for byte what a trial on the stored verdict says.
        let [expected, found] =
            [Some(policy.apply(first)), now.policy.clone()].map(|one| serde_json::to_string(&one).unwrap());
        assert_eq!(found, expected, "{id}");
        assert_eq!((now.decision, &now.score), (first.decision, &first.score), "a policy changes no decision");
        *actions.entry(now.policy.as_ref().unwrap().action.as_str()).or_default() += 1;
    }
    for count in report["actions"].as_array().unwrap() {
        let action = count["action"].as_str().unwrap();
        assert_eq!(count["verdicts"], actions.get(action).copied().unwrap_or(0), "{action}");
    }
    assert!(actions["block"] > 0 && actions["review"] > 0 && actions["none"] > 0, "{actions:?}");

    check_statements(&site, actions["block"]);
    let (_, out, _) = run(&["show"]);
    assert!(out.contains(&version) && out.contains("in force"), "{out}");
    let (_, out, _) = run(&["show", &version]);
    assert_eq!(out.trim(), SYNTHETIC.trim());
    assert_eq!(run(&["activate", "none", "--reason", "a test"]).0, Some(0));
    let (code, out, err) = run(&["try", file, "--tenant", "acme"]);
    assert!(code == Some(0) && out.contains("0 verdicts"), "{out}{err}");
    std::fs::write(file, SYNTHETIC.replace("0.9", "1.5").replace("\"review\"", "\"ban\"")).unwrap();
    let (code, out, err) = run(&["put", file]);
    assert!(code == Some(2) && err.contains("rule 1") && err.contains("rule 2") && out.is_empty(), "{out}{err}");
    drop(worker);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_puts_policies_can_change_nothing_else() {
    let rights = Rights::grant().await;
    let site = &rights.site;
    let file = site.folder().join("policy.toml");
    std::fs::write(&file, LABEL).unwrap();
    let file = file.to_str().unwrap();
    rights.run("policy", ["policy", "put", file]);
    let (out, _) = rights.run("policy", ["policy", "try", file, "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let (version, trial) = (report["version"].as_str().unwrap(), report["digest"].as_str().unwrap());
    rights.run("policy", ["policy", "activate", version, "--trial", trial, "--reason", "a test"]);
    let settings = rights.settings("worker");
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let mut worker = site.worker(&settings).await;
    let image = site.put("a.bmp", images::bmp(256, 250)).await;
    site.submit([site::request("one", &image)]).await;
    site.until_recorded(1).await;
    assert_eq!(of_site(site).await["one"].policy.as_ref().unwrap().action, Action::Label);
    worker.terminate();
    assert!(worker.ended(Duration::from_secs(60)).await.success());
    let mut keeper = PgConnection::connect(&rights.login(servers().database_url(), "policy")).await.unwrap();
    let forbidden = [
        "UPDATE #policies SET text = ''",
        "DELETE FROM #policy_activations",
        "UPDATE #verdicts SET decision = 'real'",
        "INSERT INTO #labels (sha256, location, origin, source, actor) VALUES (repeat('0', 64), 'x', 'real', 'correction', 'a')",
    ];
    all_refused(&mut keeper, &site.name, &forbidden.map(String::from)).await;
    let mut worker = PgConnection::connect(&rights.login(servers().database_url(), "worker")).await.unwrap();
    let forbidden = ["INSERT INTO #policies (digest, text, actor) VALUES (repeat('0', 64), '', 'a')"];
    all_refused(&mut worker, &site.name, &forbidden.map(String::from)).await;
    rights.revoke().await;
}
