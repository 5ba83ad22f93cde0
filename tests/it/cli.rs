//! The commands as a person or a script runs them: what they print, and how they end.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::images::{self, Inks};
use crate::support::servers::servers;
use crate::support::site::{BUCKET, Site};

fn assay() -> Command {
    Command::new(env!("CARGO_BIN_EXE_assay"))
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json_lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn scan_judges_folders_and_files_and_ends_with_1_if_one_failed() {
    let folder = std::env::temp_dir().join(format!("assay-scan-{}", uuid::Uuid::new_v4()));
    let pictures = folder.join("pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    std::fs::write(pictures.join("a.jpg"), images::jpeg(300, 280, Inks::Rgb)).unwrap();
    std::fs::write(pictures.join("b.bmp"), images::bmp(256, 90)).unwrap();
    std::fs::write(pictures.join("notes.txt"), "no image, and not looked at").unwrap();
    let model = folder.join("model");
    let made = run(assay().args(["model", "init", "--arch", "resnet18-nodown", "--out"]).arg(&model));
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(stdout(&made).contains("trained") && stdout(&made).contains("resnet18-nodown"), "{}", stdout(&made));

    let scanned = run(assay().args(["scan", "--json", "--model"]).args([&model, &pictures]));
    assert_eq!(scanned.status.code(), Some(0), "{}", stderr(&scanned));
    let lines = json_lines(&scanned);
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    assert_eq!(paths, ["a.jpg", "b.bmp"]);
    for line in &lines {
        assert_eq!(line["schema"], "assay.verdict.v1");
        assert_eq!(line["model"]["trained"], false);
        assert_eq!(line["image"]["sha256"].as_str().unwrap().len(), 64);
    }
    let again = json_lines(&run(assay().args(["scan", "--json", "--model"]).args([&model, &pictures])));
    let logits = |lines: &[Value]| lines.iter().map(|line| line["score"]["logit"].clone()).collect::<Vec<_>>();
    assert_eq!(logits(&again), logits(&lines), "the same image gets the same score");

    std::fs::write(pictures.join("c.png"), "no image at all").unwrap();
    let scanned = run(assay().args(["scan", "--model"]).args([&model, &pictures]));
    assert_eq!(scanned.status.code(), Some(1));
    let table = stdout(&scanned);
    assert!(table.contains("unsupported_format") && table.contains("untrained"), "{table}");

    let missing = run(assay().args(["scan", "no-such-file.jpg", "--model"]).arg(&model));
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("no-such-file.jpg"), "{}", stderr(&missing));
    let modelless = run(assay().args(["scan", "--model", "nowhere"]).arg(&pictures));
    assert_eq!(modelless.status.code(), Some(2));
    assert!(stderr(&modelless).contains("models/small"), "it says how to fix it: {}", stderr(&modelless));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_model_is_never_overwritten_and_a_damaged_one_never_loaded() {
    let folder = std::env::temp_dir().join(format!("assay-model-{}", uuid::Uuid::new_v4()));
    let init = || run(assay().args(["model", "init", "--arch", "resnet18-nodown", "--out"]).arg(&folder));
    assert!(init().status.success());
    let second = init();
    assert_eq!(second.status.code(), Some(2));
    assert!(stderr(&second).contains("another folder"), "{}", stderr(&second));
    let weights = folder.join("weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    let scanned = run(assay().args(["scan", "--model"]).arg(&folder).arg(folder.join("manifest.json")));
    assert_eq!(scanned.status.code(), Some(2));
    assert!(stderr(&scanned).contains("sha256"), "{}", stderr(&scanned));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_wrong_configuration_ends_with_2_and_names_the_key() {
    let ended = run(assay().args(["doctor"]).env("ASSAY__BROKER__PREFECH", "1"));
    assert_eq!(ended.status.code(), Some(2));
    assert!(stderr(&ended).contains("prefech"), "{}", stderr(&ended));
    let defaults = run(assay().args(["doctor", "--defaults"]).env("ASSAY__BROKER__PREFECH", "1"));
    assert!(defaults.status.success() && stdout(&defaults).contains("[broker]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_enqueued_twice_gets_one_outcome() {
    let site = Site::open().await;
    let mut keys = BTreeSet::new();
    for number in 0..30_u8 {
        keys.insert(site.put(&format!("photos/{number}.bmp"), images::bmp(256, number * 8)).await);
    }
    let _worker = site.worker(&[]).await;
    let prefix = format!("s3://{BUCKET}/{}/photos/", site.name);
    for _ in 0..2 {
        let enqueued = run(site.command().args(["enqueue", "--prefix", &prefix]));
        assert!(enqueued.status.success(), "{}", stderr(&enqueued));
    }
    let results = run(site.command().args(["results", "--json", "--count", "60", "--timeout", "60"]));
    assert!(results.status.success(), "{}", stderr(&results));
    let lines = json_lines(&results);
    let ids: BTreeSet<_> = lines.iter().map(|line| line["verdict_id"].as_str().unwrap()).collect();
    assert_eq!((lines.len(), ids.len()), (60, 30), "each twice, under one id");
    let judged: BTreeSet<_> = lines.iter().map(|line| line["image"]["key"].as_str().unwrap().to_string()).collect();
    assert_eq!(judged, keys);
    assert_eq!(site.recorded().await, 30);

    // The same by a list of keys, which knows no etags and so asks anew, and by a manifest.
    let mut child =
        site.command().args(["enqueue", "--keys", "-", "--bucket", BUCKET]).stdin(Stdio::piped()).spawn().unwrap();
    let list = keys.iter().map(|key| format!("{key}\n")).collect::<String>();
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let manifest = site.folder().join("manifest.jsonl");
    let request = |id: &str, key: &str| {
        format!("{{\"submission_id\": \"{id}\", \"image\": {{\"bucket\": \"{BUCKET}\", \"key\": \"{key}\"}}}}\n")
    };
    std::fs::write(&manifest, request("named", keys.first().unwrap()) + "{\"bucket\": 7}\n").unwrap();
    let enqueued = run(site.command().args(["enqueue", "--manifest"]).arg(&manifest));
    assert_eq!(enqueued.status.code(), Some(1), "a line was refused: {}", stderr(&enqueued));
    let results = run(site.command().args(["results", "--count", "31", "--timeout", "60"]));
    assert!(results.status.success(), "{}", stderr(&results));
    assert!(stdout(&results).lines().count() >= 31, "{}", stdout(&results));
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_what_is_wrong_and_ends_with_its_code() {
    let site = Site::open().await;
    let well = run(site.command().args(["doctor", "--json"]));
    assert!(well.status.success(), "{}{}", stdout(&well), stderr(&well));
    let checks = json_lines(&well).remove(0);
    assert!(checks["checks"].as_array().unwrap().iter().all(|check| check["ok"] == true), "{checks}");

    let away = run(site.command().arg("doctor").env("ASSAY__BROKER__URL", "amqp://a:b@127.0.0.1:1/%2f"));
    assert_eq!(away.status.code(), Some(3));
    assert!(stdout(&away).contains("WRONG  broker") && stdout(&away).contains("127.0.0.1:1"), "{}", stdout(&away));

    let elsewhere = format!("{}_unmigrated", site.name);
    let unmigrated = run(site.command().arg("doctor").env("ASSAY__DATABASE__SCHEMA", &elsewhere));
    assert_eq!(unmigrated.status.code(), Some(2));
    assert!(stdout(&unmigrated).contains("assay migrate"), "{}", stdout(&unmigrated));
    let worker = run(site.command().arg("worker").env("ASSAY__DATABASE__SCHEMA", &elsewhere));
    assert_eq!(worker.status.code(), Some(2), "a worker does not start without its tables");
    let migrate = || run(site.command().arg("migrate").env("ASSAY__DATABASE__SCHEMA", &elsewhere));
    assert!(stdout(&migrate()).contains("applied"));
    assert!(stdout(&migrate()).contains("up to date"));
    site.query(&format!("DROP SCHEMA {elsewhere} CASCADE")).await;
    site.close().await;
}

/// Each with one thing that is wrong: the line that says so, and the exit code.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_what_to_correct_from_what_is_away() {
    let site = Site::open().await;
    let database = |change: fn(&mut url::Url)| {
        let mut url = url::Url::parse(servers().database_url()).unwrap();
        change(&mut url);
        url.to_string()
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let held = taken.local_addr().unwrap().to_string();
    // Of this run alone: an S3 server may make the bucket that somebody writes to.
    let nowhere = format!("nowhere-{}", uuid::Uuid::new_v4().simple());
    let cases = [
        ("ASSAY__DATABASE__URL", database(|url| url.set_password(Some("wrong")).unwrap()), "WRONG  database", 2),
        ("ASSAY__DATABASE__URL", database(|url| url.set_path("/nowhere")), "\"nowhere\" does not exist", 2),
        ("ASSAY__DATABASE__URL", database(|url| url.set_port(Some(1)).unwrap()), "WRONG  database", 3),
        ("AWS_SECRET_ACCESS_KEY", "wrong".into(), "refuses the credentials", 2),
        ("AWS_ACCESS_KEY_ID", "nobody".into(), "refuses the credentials", 2),
        ("ASSAY__OBJECTS__ALLOWED_BUCKETS", nowhere, "create it, or correct its name", 2),
        ("ASSAY__OBJECTS__ENDPOINT", "http://127.0.0.1:1".into(), "can't be reached", 3),
        ("ASSAY__ADMIN__LISTEN", held.clone(), held.as_str(), 2),
        ("ASSAY__DETECTOR__MODEL", "registry".into(), "WRONG  registry", 2),
    ];
    for (key, value, said, code) in cases {
        let ended = run(site.command().arg("doctor").env(key, &value));
        assert_eq!(ended.status.code(), Some(code), "{key}={value}: {}{}", stdout(&ended), stderr(&ended));
        assert!(stdout(&ended).contains(said), "{key}={value}: {}", stdout(&ended));
        assert_eq!(stderr(&ended), "", "{key}={value}: its answer is on standard output, and nothing else is said");
    }
    let misnamed = run(site.command().arg("doctor").env("ASSAY_BROKER_URL", "amqp://a:b@host/v"));
    assert!(
        misnamed.status.success() && stdout(&misnamed).contains("write ASSAY__BROKER__URL"),
        "{}",
        stdout(&misnamed)
    );
    let worker = site.worker(&[]).await;
    let log = worker.log();
    let address = log.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let beside = run(site.command().arg("doctor").env("ASSAY__ADMIN__LISTEN", address));
    assert!(beside.status.success() && stdout(&beside).contains("a worker serves"), "{}", stdout(&beside));
    drop(worker);
    site.close().await;
}
