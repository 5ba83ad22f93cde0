//! How a training went, as files that plotting tools read: a JSON object a line, and the curves for TensorBoard.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::events_file::EventsFile;
use artefact::Manifest;
use learn::retrain::observer::StepDone;

const NAME: &str = "metrics.jsonl";
/// TensorBoard reads what has `tfevents` in its name.
const EVENTS: &str = "events.out.tfevents.assay";

/// Written as the training goes, and moved into the model's folder at its end. After an interruption the steps since the last
/// checkpoint are done, and stand there, again: the later line of a step counts.
pub(super) struct MetricsFile {
    folder: PathBuf,
    /// `None` where nothing is written, and after trouble: a training does not end for want of a curve.
    file: Option<File>,
    events: Option<EventsFile>,
    /// From 1 on while a fold is left out.
    fold: Option<usize>,
}

impl MetricsFile {
    /// Of a training whose steps are not written.
    pub(super) fn nowhere() -> MetricsFile {
        MetricsFile { folder: PathBuf::new(), file: None, events: None, fold: None }
    }

    pub(super) fn append_in(folder: &Path) -> MetricsFile {
        let path = folder.join(NAME);
        let opened =
            std::fs::create_dir_all(folder).and_then(|()| OpenOptions::new().create(true).append(true).open(&path));
        let file = opened.inspect_err(|error| trouble(&path, error)).ok();
        let path = folder.join(EVENTS);
        let events = EventsFile::append_to(&path).inspect_err(|error| trouble(&path, error)).ok();
        MetricsFile { folder: folder.into(), file, events, fold: None }
    }

    /// The steps that follow are of this fold; `None` for the model itself.
    pub(super) fn fold(&mut self, fold: Option<usize>) {
        self.fold = fold;
    }

    pub(super) fn step(&mut self, done: &StepDone) {
        let StepDone { epoch, step, images, loss, rate, .. } = *done;
        self.line(&json!({
            "at": now(), "fold": self.fold, "epoch": epoch + 1, "step": step, "images": images, "loss": loss, "learning_rate": rate,
        }));
        let Some(events) = &mut self.events else { return };
        let curves = self.fold.map_or_else(String::new, |fold| format!("fold {fold}/"));
        let points = [(format!("{curves}loss"), loss), (format!("{curves}learning_rate"), rate)];
        if let Err(error) = events.scalars(step, &points) {
            trouble(&self.folder.join(EVENTS), &error);
            self.events = None;
        }
    }

    /// The figures of the finished model as the last line, and the files into its folder.
    pub(super) fn finish(&mut self, out: &Path, manifest: &Manifest) {
        self.line(&json!({"at": now(), "version": manifest.version, "metrics": manifest.metrics}));
        let written = [(NAME, self.file.take().is_some()), (EVENTS, self.events.take().is_some())];
        for (name, _) in written.into_iter().filter(|(_, is_written)| *is_written) {
            let kept = out.join(name);
            if let Err(error) = std::fs::copy(self.folder.join(name), &kept) {
                trouble(&kept, &error);
            }
        }
    }

    fn line(&mut self, line: &Value) {
        let Some(file) = &mut self.file else { return };
        // In one piece: what is killed in between leaves whole lines.
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            trouble(&self.folder.join(NAME), &error);
            self.file = None;
        }
    }
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

fn trouble(path: &Path, error: &std::io::Error) {
    tracing::warn!(path = %path.display(), %error, "the training's metrics can't be written; it goes on without them");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_a_line_and_an_interrupted_file_is_gone_on_with() {
        let folder = std::env::temp_dir().join(format!("assay-metrics-{}", uuid::Uuid::new_v4()));
        let done = |step| StepDone { epoch: 0, epochs: 2, step, steps: 9, images: 48, loss: 0.5, rate: 1e-4 };
        let mut file = MetricsFile::append_in(&folder);
        file.fold(Some(1));
        file.step(&done(1));
        let mut file = MetricsFile::append_in(&folder);
        file.step(&done(2));
        let text = std::fs::read_to_string(folder.join(NAME)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found: Vec<_> = lines.iter().map(|line| (line["fold"].clone(), line["step"].clone())).collect();
        assert_eq!(found, [(json!(1), json!(1)), (Value::Null, json!(2))]);
        assert!(lines[0]["learning_rate"].is_number() && lines[0]["epoch"] == 1 && lines[0]["at"].is_string());
        assert!(folder.join(EVENTS).metadata().unwrap().len() > 0);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_ends_no_training() {
        let mut file = MetricsFile::append_in(Path::new("/proc/nowhere"));
        file.step(&StepDone { epoch: 0, epochs: 1, step: 1, steps: 1, images: 1, loss: 0.5, rate: 1e-4 });
        assert!(file.file.is_none());
    }
}
