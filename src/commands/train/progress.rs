//! How a training goes, for the person who watches: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::estimate::Estimate;
use super::metrics_file::MetricsFile;
use super::unseen;
use crate::commands::print::say;
use artefact::Manifest;
use learn::retrain::observer::{Observer, Stage, StepDone, TrainingObserver};
use learn::retrain::training_run::TrainingRun;

/// Between two lines where there is no terminal.
const TELL_EVERY: Duration = Duration::from_secs(10);

pub(in crate::commands) struct Progress {
    bar: ProgressBar,
    told: Instant,
    /// Of the present stage.
    estimate: Estimate,
    metrics: MetricsFile,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len}  {msg}");
        bar.set_style(style.expect("the template is well formed"));
        let now = Instant::now();
        Progress { bar, told: now, estimate: Estimate::begin(0, now), metrics: MetricsFile::nowhere() }
    }

    /// Each step is written into the metrics file of this folder, too.
    pub(super) fn also_into(&mut self, folder: &Path) {
        self.metrics = MetricsFile::append_in(folder);
    }

    pub(crate) fn begin_reading(&mut self, file: &Path) {
        self.bar.set_prefix("reading");
        self.bar.set_message(file.display().to_string());
    }

    pub(crate) fn read_one(&mut self) {
        self.bar.inc_length(1);
        self.bar.inc(1);
    }

    /// What follows is the model itself.
    pub(super) fn folds_ended(&mut self) {
        self.metrics.fold(None);
    }

    #[allow(clippy::print_stderr, reason = "for the person who watches")]
    pub(crate) fn begin(&mut self, run: &TrainingRun<'_>) {
        let classes: Vec<&str> = run.labels.generators.iter().map(|generator| generator.label.as_str()).collect();
        let (train, held_out) = (run.train.items().len(), run.held_out.items().len());
        self.bar.suspend(|| {
            eprintln!(
                "{} on {train} images, {held_out} held out; generators: {}",
                run.architecture,
                if classes.is_empty() { "none".into() } else { classes.join(", ") }
            );
        });
    }

    pub(crate) fn end(&mut self, out: &Path, manifest: &Manifest, run: &TrainingRun<'_>) {
        self.bar.finish_and_clear();
        self.metrics.finish(out, manifest);
        let lost = run.train.lost().len() + run.held_out.lost().len();
        if lost > 0 {
            say!("{lost} images could not be decoded; the log names them");
        }
        let metrics = manifest.metrics.clone().unwrap_or_default();
        say!("model {} in {}\n{}", manifest.version, out.display(), unseen::figures(&metrics));
        say!("thresholds real below {:.3}, synthetic from {:.3}", manifest.thresholds.low, manifest.thresholds.high);
    }

    fn tell(&mut self, stage: &'static str, done: u64, all: u64, words: String) {
        self.bar.set_prefix(stage);
        self.bar.set_length(all);
        self.bar.set_position(done);
        if self.bar.is_hidden() && (self.told.elapsed() >= TELL_EVERY || done == all) {
            self.told = Instant::now();
            tracing::info!("{stage} {done}/{all}  {words}");
        }
        self.bar.set_message(words);
    }

    /// Images a second, and how long the rest of the stage will take.
    fn pace(&self, done: u64, all: u64) -> String {
        let now = Instant::now();
        let (rate, rest) = (self.estimate.images_per_second(now), self.estimate.rest(done, all, now));
        format!("{rate:.1} images/s, {} left", HumanDuration(rest))
    }

    fn images_done(&mut self, stage: &'static str, done: u64, all: u64) {
        self.estimate.add_images(1);
        let pace = self.pace(done, all);
        self.tell(stage, done, all, pace);
    }
}

impl TrainingObserver for Progress {
    fn stage_begun(&mut self, stage: Stage) {
        let done = match stage {
            Stage::Training { done, .. } => done,
            Stage::Embedding { .. } | Stage::Comparing { .. } => 0,
        };
        self.bar.reset();
        self.estimate = Estimate::begin(done, Instant::now());
    }

    fn step_done(&mut self, done: &StepDone) {
        let StepDone { epoch, epochs, step, steps, images, loss, rate } = *done;
        self.estimate.add_images(images as u64);
        self.metrics.step(done);
        let pace = self.pace(step, steps);
        let epoch = epoch + 1;
        self.tell("training", step, steps, format!("epoch {epoch}/{epochs}  loss {loss:.4}  rate {rate:.1e}  {pace}"));
    }

    fn images_embedded(&mut self, done: u64, all: u64) {
        self.images_done("embedding", done, all);
    }

    fn fold_begun(&mut self, fold: usize, folds: usize) {
        self.metrics.fold(Some(fold + 1));
        self.bar.suspend(|| tracing::info!("fold {} of {folds}: its sources and generators are left out", fold + 1));
    }

    fn checkpoint_written(&mut self, steps: u64) {
        tracing::debug!(steps, "a checkpoint is written");
    }
}

impl Observer for Progress {
    fn reported(&mut self, words: &str) {
        self.bar.suspend(|| tracing::info!("{words}"));
    }

    fn images_compared(&mut self, done: u64, all: u64) {
        self.images_done("comparing", done, all);
    }
}
