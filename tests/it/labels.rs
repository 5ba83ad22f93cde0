//! Labels from files and from the queue, by the commands, on real servers.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use assay::corrections::CorrectionHandler;
use assay::inbox::{Drained, InboxError, drain};
use broker::rabbit::RabbitInbox;
use broker::{Inbox, InboxQueue};
use database::Database;
use domain::{LabelledOrigin, Outcome};
use labels::postgres::Postgres;
use labels::{Label, Labels, Recorded, Source, Vocabulary, memory};
use ledger::Ledger;
use objects::Allowed;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::outcomes::{key, verdict_of};
use crate::support::rabbit::until;
use crate::support::servers::servers;
use crate::support::site::{BUCKET, Site};
use crate::support::within;

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Exit code, what was printed, and what was said beside it.
fn run(site: &Site, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = site.command().args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

async fn labels_of(site: &Site) -> Postgres {
    Postgres::on(&Database::connect(&servers().database_settings(&site.name)).await.unwrap())
}

async fn publish(site: &Site, bodies: &[Value]) {
    let url = site.broker.url.expose_secret();
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    for body in bodies {
        let (queue, body) = (format!("{}.labels", site.name), body.to_string());
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let sent = channel.basic_publish("".into(), queue.as_str().into(), options, body.as_bytes(), properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    }
    connection.close(200, "done".into()).await.unwrap();
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn importing_twice_adds_nothing_and_missing_images_are_listed() {
    let site = Site::open().await;
    let folder = site.folder();
    for (name, bytes) in [("images/a.jpg", "a"), ("images/b.png", "b"), ("images/b again.png", "b")] {
        write(folder, name, bytes.as_bytes());
    }
    write(folder, "train.txt", b"a.jpg,0,0,4,8\nb.png,1,2,0,9\nnowhere.jpg,0,0,4,8\nb again.png,1,2,0,9\n");
    let import = ["labels", "import", "--annotations", "train.txt", "--root", "images", "--actor", "ann", "--json"];
    let (code, out, said) = run(&site, &[&import[..], &["--dry-run"]].concat());
    assert_eq!((code, &parsed(&out)["new"], &parsed(&out)["missing"]), (Some(1), &json!(3), &json!(1)), "{said}");
    assert_eq!(labels_of(&site).await.counts().await.unwrap(), []);

    let (code, out, said) = run(&site, &import);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nowhere.jpg: ") && !said.contains("a.jpg: "), "{said}");
    // The same bytes twice are one content.
    assert_eq!((&parsed(&out)["new"], &parsed(&out)["known"]), (&json!(2), &json!(1)));
    write(folder, "train.txt", b"a.jpg,0,0,4,8\nb.png,1,2,0,9\n");
    let (code, out, said) = run(&site, &import);
    assert_eq!((code, &parsed(&out)["new"], &parsed(&out)["known"]), (Some(0), &json!(0), &json!(2)), "{said}");

    let (_, out, _) = run(&site, &["labels", "list", "--json"]);
    assert_eq!(parsed(&out)["images"], 2);
    let (_, out, _) = run(&site, &["labels", "list"]);
    assert!(out.contains("stylegan2") && out.contains("faces"), "{out}");
    let (_, out, _) = run(&site, &["labels", "list", "--json", "--history", &sha256(b"b")]);
    let word = &parsed(&out)["history"][0];
    assert_eq!(
        (&word["actor"], &word["source"], &word["generator"]),
        (&json!("ann"), &json!("import"), &json!("stylegan2"))
    );
    let place = folder.canonicalize().unwrap().join("images/b.png");
    assert_eq!(word["location"], place.to_str().unwrap());
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_a_bucket_are_imported_with_a_custom_vocabulary() {
    let site = Site::open().await;
    let key = site.put("set/a.jpg", b"from a bucket".to_vec()).await;
    write(site.folder(), "train.txt", b"a.jpg,1,0,5,40\n");
    let root = format!("s3://{BUCKET}/{}/set/", site.name);
    let import = ["labels", "import", "--annotations", "train.txt", "--root", &root];
    let (code, _, said) = run(&site, &import);
    assert_eq!(code, Some(2), "{said}");
    for word in ["train.txt: line 1", "specific_model 40", "[[generators]]", "labels.file"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let more = "[[generators]]\ncode = 40\nlabel = \"flux-9\"\nfamily = \"other\"\n[real]";
    let built_in = include_str!("../../configs/labels.toml");
    write(site.folder(), "mine.toml", built_in.replace("[real]", more).as_bytes());
    let output = site.command().args(import).env("ASSAY__LABELS__FILE", "mine.toml").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let words = labels_of(&site).await.in_force("", 10).await.unwrap();
    assert_eq!(words.len(), 1);
    assert_eq!(words[0].label.generator.as_deref(), Some("flux-9"));
    assert_eq!(words[0].label.sha256, sha256(b"from a bucket"));
    assert_eq!(words[0].label.object(), Some((BUCKET, key.as_str())));
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_become_labels_or_dead_letters_with_the_reason() {
    let site = Site::open().await;
    let settings = servers().database_settings(&site.name);
    let ledger = ledger::postgres::Postgres::connect(&settings).await.unwrap();
    let mut judged = verdict_of(key("judged", 0));
    judged.image.bucket = BUCKET.into();
    judged.image.key = "gone.jpg".into();
    judged.image.version_id = None;
    judged.image.sha256 = sha256(b"judged");
    let (id, tenant) = (judged.verdict_id.to_string(), judged.tenant.clone());
    ledger.record(&[Outcome::Verdict(Box::new(judged))]).await.unwrap();
    let stored = site.put("stored.jpg", b"stored".to_vec()).await;
    let image = |key: &str| json!({"bucket": BUCKET, "key": key});
    let real = |subject: &str, value: Value| json!({subject: value, "origin": "real", "actor": "moderator"});
    let with = |mut correction: Value, field: &str, value: Value| {
        correction[field] = value;
        correction
    };
    let by_id = real("verdict_id", json!(id));
    let digested = json!({"bucket": BUCKET, "key": "x.jpg", "sha256": sha256(b"digested").to_uppercase()});
    let good = [
        by_id.clone(),
        // The image is no longer there; what was judged says what it was.
        with(with(real("image", image("gone.jpg")), "tenant", json!(tenant)), "actor", json!("second")),
        real("image", digested),
        json!({"image": image(&stored), "origin": "synthetic", "generator": "gan", "content_type": "faces",
               "actor": "moderator", "reason": "six fingers"}),
        // Delivered twice.
        by_id.clone(),
    ];
    let bad = [
        (json!("no object"), "no JSON object"),
        (with(by_id.clone(), "origin", json!("fake")), "`origin`"),
        (with(by_id.clone(), "tenant", json!("another")), "no outcome has the id"),
        (real("verdict_id", json!("6f2c1c0e-8a53-5b57-9f5c-0b1d0a1c2d3e")), "no outcome has the id"),
        (real("image", image("never-there.jpg")), "does not exist"),
        (real("image", json!({"bucket": "elsewhere", "key": "a"})), "objects.allowed_buckets"),
        (with(with(by_id, "origin", json!("synthetic")), "generator", json!("flux-9")), "\"flux-9\" is no generator"),
    ];
    publish(&site, &good).await;
    publish(&site, &bad.clone().map(|(body, _)| body)).await;

    let (code, out, said) = run(&site, &["labels", "drain", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(parsed(&out), json!({"new": 4, "known": 1, "dead": 7}), "{said}");
    assert_eq!((site.depth("labels").await, site.depth("dead").await), (0, 7));
    let (_, dead, _) = run(&site, &["dead", "list", "--json"]);
    for (body, reason) in &bad {
        assert!(dead.contains(&reason.replace('"', "\\\"")), "{body}: {reason} in {dead}");
    }
    assert!(dead.contains(&format!("{}.labels", site.name)));
    // Replayed, they are corrections again, and are dead-lettered for the same reasons.
    let (code, _, said) = run(&site, &["dead", "replay", "--all"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((site.depth("labels").await, site.depth("images").await, site.depth("dead").await), (7, 0, 0));
    let (_, out, said) = run(&site, &["labels", "drain", "--json"]);
    assert_eq!(parsed(&out), json!({"new": 0, "known": 0, "dead": 7}), "{said}");
    let (_, out, said) = run(&site, &["dead", "replay", "--reason", "no generator", "--json"]);
    assert_eq!(parsed(&out), json!({"replayed": 1, "of_unknown_origin": 0, "dry_run": false}), "{said}");
    assert_eq!((site.depth("labels").await, site.depth("dead").await), (1, 6));

    let labels = labels_of(&site).await;
    let word = |history: Vec<labels::RecordedLabel>| history.last().unwrap().label.clone();
    let judged = labels.history(&sha256(b"judged")).await.unwrap();
    assert_eq!(judged.len(), 2);
    assert!(judged.iter().all(|word| word.label.verdict_id.unwrap().to_string() == id));
    assert_eq!(judged[1].label.location, format!("s3://{BUCKET}/gone.jpg"));
    assert_eq!(word(labels.history(&sha256(b"digested")).await.unwrap()).origin, LabelledOrigin::Real);
    assert_eq!(word(labels.history(&sha256(b"stored")).await.unwrap()), six_fingers(&stored));
    site.close().await;
}

/// The label that a moderator gave the bytes `stored`.
fn six_fingers(key: &str) -> Label {
    Label {
        sha256: sha256(b"stored"),
        location: format!("s3://{BUCKET}/{key}"),
        origin: LabelledOrigin::Synthetic,
        content_type: Some("faces".into()),
        generator: Some("gan".into()),
        source: Source::Correction,
        actor: "moderator".into(),
        reason: Some("six fingers".into()),
        verdict_id: None,
        drawn_as: None,
        grounds: Vec::new(),
        trains: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_stays_in_its_queue_until_its_label_is_committed() {
    let site = Site::open().await;
    let store = Arc::new(memory::Memory::new());
    let handler = CorrectionHandler {
        labels: store.clone(),
        ledger: Arc::new(ledger::memory::Memory::new()),
        objects: Arc::new(objects::memory::Memory::new()),
        vocabulary: Vocabulary::built_in(),
        allowed: Allowed { buckets: vec![BUCKET.into()], ..Allowed::default() },
        tenants: [].into(),
        max_object_bytes: 1 << 20,
    };
    let image = json!({"bucket": BUCKET, "key": "a.jpg", "sha256": sha256(b"a")});
    publish(&site, &[json!({"image": image, "origin": "real", "actor": "a"})]).await;
    store.set_away(true);
    let mut queue = Box::new(RabbitInbox::open(&site.broker, InboxQueue::Corrections).await.unwrap());
    let error = within(60, drain(queue.as_mut(), &handler)).await.unwrap_err();
    assert!(matches!(error, InboxError::Database(_)), "{error}");
    queue.close().await;
    until("the correction is back", || async { site.depth("labels").await == 1 }).await;

    store.set_away(false);
    let mut queue = Box::new(RabbitInbox::open(&site.broker, InboxQueue::Corrections).await.unwrap());
    let drained = within(60, drain(queue.as_mut(), &handler)).await.unwrap();
    assert_eq!(drained, Drained { new: 1, known: 0, dead: 0 });
    queue.close().await;
    assert_eq!(site.depth("labels").await, 0);
    let again = store.history(&sha256(b"a")).await.unwrap().remove(0).label;
    assert_eq!(store.record(&[again]).await.unwrap(), [Recorded::Duplicate]);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_are_taken_as_they_come_until_the_listener_is_stopped() {
    let site = Site::open().await;
    let mut listening = site.command().args(["labels", "listen"]).stdin(Stdio::null()).spawn().unwrap();
    let labels = labels_of(&site).await;
    for content in ["one", "two"] {
        let image = json!({"bucket": BUCKET, "key": content, "sha256": sha256(content.as_bytes())});
        publish(&site, &[json!({"image": image, "origin": "real", "actor": "a"})]).await;
        until("the label is recorded", || async {
            !labels.history(&sha256(content.as_bytes())).await.unwrap().is_empty()
        })
        .await;
    }
    // SAFETY: the process is a child that nobody has waited for, so the number is still its own.
    assert_eq!(unsafe { libc::kill(i32::try_from(listening.id()).unwrap(), libc::SIGTERM) }, 0);
    let ended = async {
        loop {
            match listening.try_wait().unwrap() {
                Some(status) => break status,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    assert!(within(30, ended).await.success());
    assert_eq!(site.depth("labels").await, 0);
    site.close().await;
}
