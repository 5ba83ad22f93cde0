//! `assay evaluate` as a person or a script runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::images::{self, Inks};
use labels::{Vocabulary, annotations};

/// Annotated images in a folder of their own, deleted in the end.
struct Set(PathBuf);

impl Set {
    /// Lines are `name,codes`; `draw` gives the bytes of each.
    fn new(lines: &[&str], draw: impl Fn(usize) -> Vec<u8>) -> Set {
        let folder = std::env::temp_dir().join(format!("assay-evaluate-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(folder.join("images")).unwrap();
        for (place, line) in lines.iter().enumerate() {
            let name = line.split(',').next().unwrap();
            std::fs::write(folder.join("images").join(name), draw(place)).unwrap();
        }
        let set = Set(folder);
        set.annotate(&lines.join("\n"));
        set
    }

    fn annotate(&self, text: &str) {
        std::fs::write(self.0.join("annotations.txt"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn evaluate(&self, model: &Path, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.args(["evaluate", "--annotations"]).arg(self.path("annotations.txt"));
        command.arg("--root").arg(self.path("images")).arg("--model").arg(model).args(more);
        command.stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn document(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Real images are dark and synthetic ones bright, as the scripted detector thinks.
const LINES: &[&str] = &[
    "dark1.bmp,0,0,4,8",
    "dark2.bmp,0,1,4,8",
    "dark3.bmp,0,2,4,8",
    "bright1.bmp,1,0,0,0",
    "bright2.bmp,1,1,2,6",
    "bright3.bmp,1,2,0,2",
];

fn shades() -> Set {
    Set::new(LINES, |place| images::bmp(200 + 40 * place as u32, if place < 3 { 20 } else { 200 } + place as u8))
}

#[test]
fn a_detector_that_is_always_right_gets_full_marks_on_every_track() {
    let set = shades();
    let missing = format!("{}\ngone.bmp,0,0,4,8\n../outside.bmp,0,0,4,8", LINES.join("\n"));
    set.annotate(&missing);
    let page = set.path("report.html");
    let arguments = ["--json", "--perturb", "social", "--draws", "2", "--sweep", "jpeg,crop", "--bootstrap", "100"];
    let found =
        document(&set.evaluate(Path::new("scripted"), &[&arguments[..], &["--html", page.to_str().unwrap()]].concat()));

    assert_eq!(found["schema"], "assay.evaluation.v1");
    assert_eq!((&found["images"], &found["real"], &found["synthetic"]), (&6.into(), &3.into(), &3.into()));
    assert_eq!((&found["auc"], &found["balanced_accuracy"]), (&1.0.into(), &1.0.into()));
    assert_eq!(found["auc_interval"], serde_json::json!([1.0, 1.0]));
    assert!(found["ece"].as_f64().unwrap() < 0.2, "{}", found["ece"]);
    assert_eq!((&found["perturbation"], &found["seed"], &found["draws"]), (&"social".into(), &0.into(), &2.into()));
    assert_eq!(
        (&found["model"]["version"], found["model"]["sha256"].as_str().unwrap().len()),
        (&"scripted".into(), 64)
    );
    for content_type in ["photos", "paintings", "faces"] {
        assert_eq!(found["by_content_type"][content_type]["auc"], 1.0, "{content_type}");
    }
    assert_eq!(
        (&found["by_generator"]["progan"]["synthetic"], &found["by_generator"]["progan"]["real"]),
        (&1.into(), &3.into())
    );
    assert_eq!(found["by_family"]["gan"]["synthetic"], 2);
    // The scripted labels are no generators of the vocabulary.
    assert_eq!((&found["generator_top1"], &found["unseen"]["images"]), (&Value::Null, &3.into()));
    assert_eq!((&found["unseen"]["called_synthetic"], &found["unseen"]["not_misnamed"]), (&1.0.into(), &0.0.into()));
    let points: Vec<usize> =
        found["sweeps"].as_array().unwrap().iter().map(|sweep| sweep["points"].as_array().unwrap().len()).collect();
    assert_eq!(points, [13, 7]);
    assert_eq!(found["sweeps"][0]["points"][0]["auc"], 1.0);
    let unreadable: Vec<_> = found["unreadable"].as_array().unwrap().iter().map(|file| &file["path"]).collect();
    assert_eq!(unreadable, ["gone.bmp", "../outside.bmp"]);

    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.matches("<svg").count() >= 7, "{} plots", page.matches("<svg").count());
    for forbidden in ["http", "src=", "<script", "url(", "@import", "<link"] {
        assert!(!page.contains(forbidden), "the page is not self-contained: {forbidden}");
    }
    assert!(page.contains("gone.bmp") && page.contains("untrained"));
}

#[test]
fn the_same_seed_gives_the_same_evaluation_and_a_network_is_asked_for_generators_too() {
    let lines = &["a.jpg,0,0,4,8", "b.jpg,0,1,4,8", "c.jpg,1,0,1,3", "d.jpg,1,3,3,7"];
    let set = Set::new(lines, |place| images::jpeg(300 + 30 * place, 280, Inks::Rgb));
    let model = set.path("model");
    let made = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["model", "init", "--arch", "resnet18-nodown", "--out"])
        .arg(&model)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", words(&made.stderr));
    let evaluated = |seed| document(&set.evaluate(&model, &["--json", "--perturb", "social", "--seed", seed]));
    let (first, other) = (evaluated("3"), evaluated("4"));
    assert_eq!(first, again(&first, || evaluated("3")));
    assert_ne!(first["curves"], other["curves"]);
    for key in ["auc", "balanced_accuracy", "by_content_type", "by_generator", "generator_top1", "ece", "auc_interval"]
    {
        assert!(!first[key].is_null(), "{key} is missing");
    }
    assert_eq!(first["families"]["labels"].as_array().unwrap().len(), 4);
    assert_eq!((&first["model"]["trained"], &first["unseen"]), (&false.into(), &Value::Null));
    assert_eq!(first["adversarial"], serde_json::json!([]));

    let text = set.evaluate(&model, &["--sweep", "blur", "--bootstrap", "50"]);
    let text = words(&text.stdout);
    for word in ["AUC", "photos", "dall-e-3", "top-1", "blur 7", "untrained"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

/// A second evaluation by the same kernels as the first: they are chosen by measurement, on a busy machine not always the same
/// ones, and differ in the last digits.
fn again(first: &Value, evaluated: impl Fn() -> Value) -> Value {
    let mut tries = (0..8).map(|_| evaluated());
    tries
        .find(|again| again["engine"] == first["engine"])
        .expect("the kernels of the first evaluation are chosen again")
}

#[test]
fn an_attack_on_a_trained_network_is_scored_by_the_engine_and_nothing_else_is_attacked() {
    let lines = &["a.jpg,0,0,4,8", "b.jpg,0,1,4,8", "c.jpg,1,0,1,3", "d.jpg,1,3,3,7"];
    let set = Set::new(lines, |place| images::jpeg(300 + 30 * place, 280, Inks::Rgb));
    let model = set.path("model");
    let made = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["model", "init", "--arch", "resnet18-nodown-16", "--out"])
        .arg(&model)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", words(&made.stderr));
    for (untrained, name) in [(model.as_path(), "the model"), (Path::new("scripted"), "scripted")] {
        let refused = set.evaluate(untrained, &["--adversarial"]);
        assert_eq!(refused.status.code(), Some(2));
        let said = words(&refused.stderr);
        assert!(said.contains("gradients of a trained network") && said.contains(name), "{said}");
    }

    let manifest = std::fs::read_to_string(model.join("manifest.json")).unwrap();
    std::fs::write(model.join("manifest.json"), manifest.replace("\"trained\": false", "\"trained\": true")).unwrap();
    let page = set.path("report.html");
    let few = ["--adversarial", "--adversarial-steps", "2", "--adversarial-images", "2", "--bootstrap", "50"];
    let attacked =
        || document(&set.evaluate(&model, &[&few[..], &["--json", "--html", page.to_str().unwrap()]].concat()));
    let found = attacked();
    let points = found["adversarial"].as_array().unwrap();
    let of_each = |key: &str| points.iter().map(|point| point[key].as_f64().unwrap()).collect::<Vec<_>>();
    assert_eq!((of_each("epsilon"), of_each("images")), (vec![0.0, 1.0, 2.0, 4.0], vec![2.0; 4]));
    assert_eq!((of_each("steps"), points[0]["flipped"].as_f64()), (vec![2.0; 4], Some(0.0)));
    assert!(of_each("auc").is_sorted_by(|before, after| before >= after), "{points:#?}");
    assert_eq!(found, again(&found, attacked));
    assert!(std::fs::read_to_string(page).unwrap().contains("Under attack"));
    let text = words(&set.evaluate(&model, &few).stdout);
    assert!(text.contains("PGD of 2 steps") && text.contains("by up to 4 of 255"), "{text}");
}

#[test]
fn what_can_not_be_measured_is_said() {
    let set = Set::new(&["a.bmp,0,0,4,8"], |_| b"no image".to_vec());
    let none = set.evaluate(Path::new("scripted"), &[]);
    assert_eq!(none.status.code(), Some(1));
    assert!(words(&none.stderr).contains("none of the 1 images"), "{}", words(&none.stderr));
    assert!(words(&none.stdout).contains("unreadable: a.bmp"), "{}", words(&none.stdout));

    set.annotate("a.bmp,0,0,4,8\nb.bmp,1,0,77,8\n");
    let wrong = set.evaluate(Path::new("scripted"), &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(words(&wrong.stderr).contains("line 2") && words(&wrong.stderr).contains("77"), "{}", words(&wrong.stderr));
    set.annotate("");
    assert_eq!(set.evaluate(Path::new("scripted"), &[]).status.code(), Some(2));

    // Real images alone: no figure that compares, but false alarms are counted.
    let real = Set::new(&["a.bmp,0,0,4,8", "b.bmp,0,0,4,8"], |place| images::bmp(256, [10, 250][place]));
    let found = document(&real.evaluate(Path::new("scripted"), &["--json"]));
    assert_eq!((&found["auc"], &found["false_alarms"]), (&Value::Null, &0.5.into()));
}

#[test]
fn an_experiment_measures_what_is_trained_already_and_compares() {
    let set = shades();
    let out = set.path("experiment");
    let all = out.join("all");
    std::fs::create_dir_all(&all).unwrap();
    let annotations = annotations::read(&LINES.join("\n"), &Vocabulary::built_in()).unwrap();
    let lines = annotations.iter().map(|annotation| annotations::line(annotation) + "\n");
    std::fs::write(all.join("train.txt"), format!("{}\n{}", annotations::HEADER, lines.collect::<String>())).unwrap();
    let model = all.join("model");
    let init = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["model", "init", "--arch", "resnet18-nodown", "--out"])
        .arg(&model)
        .output()
        .unwrap();
    assert!(init.status.success(), "{}", words(&init.stderr));
    let run = |question: &str, recipe: &str, only: &str| {
        let file = set.path("annotations.txt");
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.args([
            "experiment",
            question,
            "--arch",
            "resnet18-nodown",
            "--recipe",
            recipe,
            "--json",
            "--bootstrap",
            "50",
        ]);
        command.arg("--annotations").arg(&file).arg("--test").arg(&file).arg("--root").arg(set.path("images"));
        command.args(["--only", only, "--out"]).arg(&out).stdin(Stdio::null()).output().unwrap()
    };
    let found = document(&run("unseen-generator", "imaginet", "all"));
    assert_eq!((&found["schema"], &found["experiment"]), (&"assay.experiment.v1".into(), &"unseen-generator".into()));
    let columns: Vec<_> = found["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(columns, ["all", "faces", "paintings", "photos", "midjourney", "progan", "stylegan3"]);
    let variant = &found["variants"][0];
    assert_eq!((&variant["name"], &variant["trained_on"]), (&"all".into(), &6.into()));
    assert_eq!(variant["cells"][0]["value"], variant["evaluation"]["auc"]);
    assert_eq!(variant["cells"].as_array().unwrap().len(), columns.len());
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("http"));
    assert!(all.join("evaluation.html").exists());

    let unknown = run("content-bias", "imaginet", "only-cats");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(words(&unknown.stderr).contains("only-photos"), "{}", words(&unknown.stderr));
    let missing = run("losses", "not-there.toml", "supcon");
    assert_eq!(missing.status.code(), Some(2));
    assert!(words(&missing.stderr).contains("not-there.toml"), "{}", words(&missing.stderr));
    // Nothing is trained where the images hold no answer.
    let open = run("temporal", "imaginet", "all");
    assert_eq!(open.status.code(), Some(2));
    assert!(words(&open.stderr).contains("--before"), "{}", words(&open.stderr));
    std::fs::write(all.join("train.txt"), "others.bmp,0,0,4,8\n").unwrap();
    let other = run("unseen-generator", "imaginet", "all");
    assert_eq!(other.status.code(), Some(2));
    assert!(words(&other.stderr).contains("another experiment"), "{}", words(&other.stderr));
}
