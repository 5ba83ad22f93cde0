//! `assay train` as a person runs it: from a file of annotations to a model, killed or not.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::textures;

/// A folder with textures, annotations and a recipe.
struct TrainingFolder {
    folder: PathBuf,
}

impl TrainingFolder {
    fn open(images: usize, recipe: &str) -> TrainingFolder {
        let folder = std::env::temp_dir().join(format!("assay-train-{}", uuid::Uuid::new_v4()));
        textures::write(&folder, 0..images, "train.txt");
        std::fs::write(folder.join("recipe.toml"), recipe).unwrap();
        TrainingFolder { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn train(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command
            .args(["train", "--arch", "resnet18-nodown-16", "--threads", "1", "--annotations"])
            .arg(self.path("train.txt"))
            .arg("--root")
            .arg(&self.folder)
            .arg("--recipe")
            .arg(self.path("recipe.toml"))
            .arg("--out")
            .arg(self.path(out))
            .args(more)
            .env("ASSAY__DETECTOR__PRECISION", "fp32")
            .env("ASSAY__TRAINING__CHECKPOINT_S", "0")
            .stdin(Stdio::null());
        command
    }

    fn manifest(&self, out: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(out).join("manifest.json")).unwrap()).unwrap()
    }
}

impl Drop for TrainingFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Steps of the checkpoint, if there is one.
fn steps(checkpoint: &Path) -> u64 {
    let record: Option<Value> =
        std::fs::read(checkpoint.join("progress.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
    record.map_or(0, |record| record["steps"].as_u64().unwrap())
}

#[test]
fn a_training_that_was_killed_goes_on_and_makes_the_same_model() {
    let folder = TrainingFolder::open(48, &textures::recipe(12, 2e-3));
    let said = succeeded(&folder.train("straight", &[]).output().unwrap());
    assert!(said.contains("AUC"), "{said}");
    let straight = folder.manifest("straight");
    assert!(straight["metrics"]["auc"].as_f64().unwrap() > 0.8, "{straight:#}");
    assert_eq!(straight["labels"]["generators"].as_array().unwrap().len(), 2);
    assert!(straight["novelty"]["limit"].is_number() && straight["calibration"]["scale"].is_number(), "{straight:#}");
    assert!(!folder.path("straight.partial").exists());

    let mut child = folder.train("killed", &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = folder.path("killed.partial");
    let began = Instant::now();
    while steps(&checkpoint) < 5 {
        assert!(child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(120), "no checkpoint");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path("killed").exists(), "it was finished before it was killed");

    let refused = folder.train("killed", &[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--resume"));
    let other = folder.train("killed", &["--resume", "--epochs", "13"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another training"));
    succeeded(&folder.train("killed", &["--resume"]).output().unwrap());
    assert_eq!(folder.manifest("killed")["weights"]["sha256"], straight["weights"]["sha256"]);

    // What was made serves: by the worker's own engine, and as it did when it was made.
    let check = |folder: PathBuf| {
        Command::new(env!("CARGO_BIN_EXE_assay")).args(["model", "check"]).arg(folder).output().unwrap()
    };
    assert!(succeeded(&check(folder.path("killed"))).contains("6 self-test images"));
    let mut changed = folder.manifest("killed");
    changed["golden"]["logits"][3] = 77.0.into();
    std::fs::write(folder.path("killed").join("manifest.json"), changed.to_string()).unwrap();
    let failed = check(folder.path("killed"));
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("self-test image 3"));
}

#[test]
fn an_interrupt_leaves_a_checkpoint_and_says_how_to_go_on() {
    let folder = TrainingFolder::open(24, &textures::recipe(200, 2e-3));
    let mut child = folder.train("model", &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while steps(&folder.path("model.partial")) < 2 {
        assert!(child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(120), "no checkpoint");
        std::thread::yield_now();
    }
    // SAFETY: the process is a child that nobody has waited for, so the number is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("--resume") && said.contains("model.partial"), "{said}");
    assert!(steps(&folder.path("model.partial")) >= 2);
}

#[test]
fn held_out_images_among_those_to_learn_from_are_refused() {
    let folder = TrainingFolder::open(12, &textures::recipe(1, 2e-3));
    let held_out = folder.path("train.txt").display().to_string();
    let refused = folder.train("model", &["--held-out", &held_out]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("held-out images must be others"));
}

#[test]
fn a_model_is_calibrated_by_images_that_it_has_not_learnt_and_by_no_others() {
    let folder = TrainingFolder::open(24, &textures::recipe(2, 2e-3));
    succeeded(&folder.train("model", &[]).output().unwrap());
    let model = folder.manifest("model");
    let learnt = model["lineage"]["learnt"].as_str().unwrap();
    assert_eq!(learnt.len() as u64, 10 * model["metrics"]["train_images"].as_u64().unwrap());

    textures::write(&folder.folder, 24..48, "others.txt");
    let calibrate = |annotations: &str, out: &str| {
        Command::new(env!("CARGO_BIN_EXE_assay"))
            .args(["model", "calibrate"])
            .arg(folder.path("model"))
            .arg("--annotations")
            .arg(folder.path(annotations))
            .arg("--root")
            .arg(&folder.folder)
            .arg("--out")
            .arg(folder.path(out))
            .env("ASSAY__DETECTOR__PRECISION", "fp32")
            .output()
            .unwrap()
    };
    let refused = calibrate("train.txt", "again");
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("that the model has learnt from") && !folder.path("again").exists(), "{words}");

    let said = succeeded(&calibrate("others.txt", "calibrated"));
    assert!(said.contains("thresholds real below"), "{said}");
    let calibrated = folder.manifest("calibrated");
    assert_eq!(calibrated["weights"]["sha256"], model["weights"]["sha256"]);
    assert_eq!(calibrated["lineage"]["parent"], model["version"]);
    assert_eq!(calibrated["lineage"]["learnt"], model["lineage"]["learnt"]);
    assert_ne!(calibrated["version"], model["version"]);
    assert_eq!(calibrated["metrics"]["unseen"]["images"], 24);
}
