//! How a training goes, for the person who watches: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use artefact::Manifest;
use learn::retrain::course::{Course, Standing, Watch};
use learn::retrain::job::Told;

/// Between two lines where there is no terminal.
const TELL_EVERY: Duration = Duration::from_secs(10);

pub(in crate::commands) struct Progress {
    stop: Box<dyn Fn() -> bool + Send>,
    /// Asked for by others.
    token: CancellationToken,
    bar: ProgressBar,
    began: Instant,
    told: Instant,
    /// Since the beginning of the stage.
    images: u64,
    /// Steps that an earlier run did.
    first: Option<u64>,
}

impl Progress {
    pub fn new(stop: Box<dyn Fn() -> bool + Send>) -> Progress {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len}  {msg}");
        bar.set_style(style.expect("the template is well formed"));
        let now = Instant::now();
        Progress { stop, token: CancellationToken::new(), bar, began: now, told: now, images: 0, first: None }
    }

    pub fn begin_reading(&mut self, file: &Path) {
        self.bar.set_prefix("reading");
        self.bar.set_message(file.display().to_string());
    }

    pub fn read_one(&mut self) {
        self.bar.inc_length(1);
        self.bar.inc(1);
    }

    #[allow(clippy::print_stderr, reason = "for the person who watches")]
    pub fn begin(&mut self, course: &Course<'_>) {
        let classes: Vec<&str> = course.labels.generators.iter().map(|generator| generator.label.as_str()).collect();
        let (train, held_out) = (course.train.items().len(), course.held_out.items().len());
        self.bar.suspend(|| {
            eprintln!(
                "{} on {train} images, {held_out} held out; generators: {}",
                course.architecture,
                if classes.is_empty() { "none".into() } else { classes.join(", ") }
            );
        });
        self.restart();
    }

    #[allow(clippy::print_stdout, reason = "it is the command's answer")]
    pub fn end(&self, out: &Path, manifest: &Manifest, course: &Course<'_>) {
        self.bar.finish_and_clear();
        let lost = course.train.lost().len() + course.held_out.lost().len();
        if lost > 0 {
            println!("{lost} images could not be decoded; the log names them");
        }
        let metrics = manifest.metrics.clone().unwrap_or_default();
        let figure = |name: &str| metrics[name].as_f64().map_or("–".into(), |value| format!("{value:.3}"));
        println!(
            "model {} in {}\nheld out   AUC {}, balanced accuracy {}, generator {}, ECE {} (uncalibrated {})",
            manifest.version,
            out.display(),
            figure("auc"),
            figure("balanced_accuracy"),
            figure("generator_top1"),
            figure("ece"),
            figure("ece_uncalibrated"),
        );
        println!(
            "thresholds real below {:.3}, synthetic from {:.3}",
            manifest.thresholds.low, manifest.thresholds.high
        );
    }

    fn restart(&mut self) {
        self.bar.reset();
        (self.began, self.images) = (Instant::now(), 0);
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

    /// Images a second, and how long the rest will take.
    fn pace(&self, done_now: u64, left: u64) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        let rest = Duration::from_secs_f64(seconds / done_now.max(1) as f64 * left as f64);
        format!("{:.1} images/s, {} left", self.images as f64 / seconds.max(1e-9), HumanDuration(rest))
    }
}

impl Watch for Progress {
    fn stepped(&mut self, standing: &Standing) {
        let Standing { epoch, epochs, step, steps, images, loss, rate } = *standing;
        let first = *self.first.get_or_insert(step - 1);
        self.images += images as u64;
        let pace = self.pace(step - first, steps - step);
        self.tell(
            "training",
            step,
            steps,
            format!("epoch {}/{epochs}  loss {loss:.4}  rate {rate:.1e}  {pace}", epoch + 1),
        );
        if step == steps {
            self.restart();
        }
    }

    fn embedded(&mut self, done: u64, all: u64) {
        if done == 1 {
            self.restart();
        }
        self.images += 1;
        let pace = self.pace(done, all - done);
        self.tell("embedding", done, all, pace);
    }

    fn saved(&mut self, steps: u64) {
        tracing::debug!(steps, "a checkpoint is written");
    }

    fn wants_stop(&self) -> bool {
        (self.stop)() || self.token.is_cancelled()
    }
}

impl Told for Progress {
    fn says(&mut self, words: &str) {
        self.restart();
        self.bar.suspend(|| tracing::info!("{words}"));
    }

    fn compared(&mut self, done: u64, all: u64) {
        self.images += 1;
        let pace = self.pace(done, all - done);
        self.tell("comparing", done, all, pace);
    }

    fn stops_with(&mut self, token: CancellationToken) {
        self.token = token;
    }
}
