//! `assay retrain` on real servers: labels in, a better model out, and nothing worse.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::Row;

use crate::support::site::{BUCKET, Site, request};
use crate::support::textures;

const DEADLINE: Duration = Duration::from_secs(240);

/// A site with labelled textures, and an untrained model that is active.
struct LabelledSite {
    site: Site,
}

impl LabelledSite {
    async fn open(images: usize) -> LabelledSite {
        let labelled = LabelledSite { site: Site::open().await };
        labelled.succeeds(&["model", "init", "--arch", "resnet18-nodown-16", "--out", "first"]);
        labelled.succeeds(&["model", "register", "first"]);
        let first = labelled.json("first/manifest.json")["version"].as_str().unwrap().to_string();
        labelled.succeeds(&["model", "promote", &first]);
        std::fs::write(labelled.site.folder().join("good.toml"), textures::recipe(2, 2e-3)).unwrap();
        // Classifiers that learn nothing.
        std::fs::write(labelled.site.folder().join("useless.toml"), textures::recipe(1, 0.0)).unwrap();
        labelled.label(0..images).await;
        labelled
    }

    /// Stores textures and imports what they are.
    async fn label(&self, numbers: std::ops::Range<usize>) {
        for number in numbers.clone() {
            self.site.put(&format!("{number}.png"), textures::png(number)).await;
        }
        let file = self.site.folder().join("labels.txt");
        std::fs::write(&file, numbers.map(textures::annotation).collect::<String>()).unwrap();
        let root = format!("s3://{BUCKET}/{}", self.site.name);
        self.succeeds(&["labels", "import", "--annotations", "labels.txt", "--root", &root]);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.site.command();
        command
            .args(args)
            .env("ASSAY__DETECTOR__MODEL", "registry")
            .env("ASSAY__DETECTOR__PRECISION", "fp32")
            .env("ASSAY__REGISTRY__STORE", self.site.folder().join("store"))
            .env("ASSAY__RETRAIN__RECIPE", "good.toml")
            .env("ASSAY__RETRAIN__MIN_IMAGES", "10")
            .env("ASSAY__RETRAIN__HELD_OUT", "0.4")
            .env("ASSAY__RETRAIN__MAX_ECE", "0.25")
            .env("ASSAY__RETRAIN__LEASE_S", "3")
            .env("ASSAY__TRAINING__CHECKPOINT_S", "0")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.site.folder().join(path)).unwrap()).unwrap()
    }

    /// The page of a run.
    fn page(&self, report: &Value) -> String {
        let folder = self.site.folder().join(report["folder"].as_str().unwrap());
        let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
        page.replace("&#x2f;", "/").replace("&#x27;", "'").replace("&quot;", "\"")
    }

    async fn active(&self) -> String {
        let rows = self
            .site
            .query(&format!("SELECT version FROM {}.promotions ORDER BY id DESC LIMIT 1", self.site.name))
            .await;
        rows[0].get("version")
    }

    /// Submits a texture, waits for that many verdicts in all, and gives the version of the model that judged it.
    async fn judged(&self, id: &str, verdicts: usize) -> String {
        self.site.submit([request(id, &format!("{}/1.png", self.site.name))]).await;
        self.site.until_recorded(verdicts).await;
        let sql = format!("SELECT model_version FROM {}.verdicts WHERE submission_id = '{id}'", self.site.name);
        self.site.query(&sql).await[0].get("model_version")
    }

    /// A run in the background, once it has left a checkpoint.
    fn in_training(&self) -> Child {
        let mut child = self.command(&["retrain"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        let runs = self.site.folder().join("retrain/runs");
        let checkpoint = || {
            let folders = std::fs::read_dir(&runs).into_iter().flatten().filter_map(Result::ok);
            folders.into_iter().any(|run| run.path().join("candidate.partial/progress.json").exists())
        };
        while !checkpoint() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before its first checkpoint");
            assert!(began.elapsed() < DEADLINE, "no checkpoint");
            std::thread::yield_now();
        }
        child
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_become_a_better_model_and_a_worse_candidate_is_refused() {
    let labelled = LabelledSite::open(80).await;
    let first = labelled.active().await;

    let dry = labelled.succeeds(&["retrain", "--dry-run"]);
    assert!(dry.contains("would be promoted"), "{dry}");
    assert_eq!(labelled.active().await, first, "a dry run changes nothing");

    // A worker that runs throughout.
    let store = labelled.site.folder().join("store").display().to_string();
    let settings = [
        ("ASSAY__DETECTOR__MODEL", "registry"),
        ("ASSAY__REGISTRY__STORE", store.as_str()),
        ("ASSAY__REGISTRY__POLL_S", "1"),
    ];
    let worker = labelled.site.worker(&settings).await;
    assert_eq!(labelled.judged("before", 1).await, first);

    let report: Value = serde_json::from_str(&labelled.succeeds(&["retrain", "--json"])).unwrap();
    assert_eq!(report["outcome"], "promoted", "{report:#}");
    let second = labelled.active().await;
    assert_eq!(report["candidate"], second.as_str());
    assert_ne!(first, second);
    let page = labelled.page(&report);
    assert!(page.contains("is promoted in place of") && page.matches("<svg").count() == 2, "{page}");
    for reason in report["gate"]["reasons"].as_array().unwrap() {
        assert!(page.contains(reason["words"].as_str().unwrap()), "{reason} is not on the page");
    }
    for forbidden in ["http", "src=", "<script", "url(", "@import", "<link"] {
        assert!(!page.contains(forbidden), "the page is not self-contained: {forbidden}");
    }

    let again = labelled.succeeds(&["retrain"]);
    assert!(again.contains("nothing new to learn from"), "{again}");
    let likenesses = std::fs::read_to_string(labelled.site.folder().join("retrain/cache/likenesses-1.txt")).unwrap();
    assert_eq!(likenesses.lines().count(), 80, "each image's likeness is kept for the next run");

    labelled.label(80..84).await;
    let refused = labelled.succeeds(&["retrain", "--recipe", "useless.toml"]);
    assert!(refused.contains("is refused") && refused.contains("✘ overall AUC"), "{refused}");
    let path = refused.lines().find_map(|line| line.trim().strip_prefix("page ")).unwrap();
    let page = std::fs::read_to_string(labelled.site.folder().join(path)).unwrap();
    assert!(page.contains("is refused") && page.contains("✘ overall AUC"), "{page}");
    assert_eq!(labelled.active().await, second);
    let again = labelled.succeeds(&["retrain", "--recipe", "useless.toml"]);
    assert!(again.contains("tried before (refused)"), "{again}");

    // It changed its model between two verdicts, at some moment after the promotion.
    let began = Instant::now();
    let mut verdicts = 1;
    while labelled.judged(&format!("after-{verdicts}"), verdicts + 1).await != second {
        assert!(began.elapsed() < DEADLINE, "still the first model: {}", worker.log());
        verdicts += 1;
    }
    worker.kill();
    labelled.site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jobs_at_once_are_one_and_a_killed_one_goes_on() {
    let labelled = LabelledSite::open(80).await;
    std::fs::write(labelled.site.folder().join("good.toml"), textures::recipe(150, 2e-3)).unwrap();
    let first = labelled.active().await;
    let mut child = labelled.in_training();
    let second = labelled.succeeds(&["retrain"]);
    assert!(second.contains("another retrain is at work"), "{second}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(labelled.active().await, first);

    // The dead job's lease has to end first.
    let began = Instant::now();
    let report = loop {
        let said = labelled.succeeds(&["retrain", "--json"]);
        if !said.contains("another retrain is at work") {
            break serde_json::from_str::<Value>(&said).unwrap();
        }
        assert!(began.elapsed() < DEADLINE, "{said}");
    };
    assert_eq!(report["outcome"], "promoted", "{report:#}");
    let rows = labelled.site.query(&format!("SELECT count(*) AS runs FROM {}.training_runs", labelled.site.name)).await;
    assert_eq!(rows[0].get::<i64, _>("runs"), 1, "it went on as the same run");
    labelled.site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_incumbent_is_named_and_nothing_is_made_of_it() {
    let labelled = LabelledSite::open(20).await;
    let first = labelled.active().await;
    let weights = labelled.site.folder().join("store").join(&first).join("weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let failed = labelled.run(&["retrain"]);
    assert!(!failed.status.success());
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains("weights.safetensors") && said.contains("sha256"), "{said}");
    labelled.site.close().await;
}
