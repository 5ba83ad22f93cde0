//! How far it has come: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// Between two lines where there is no terminal.
const TELL_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    bar: ProgressBar,
    /// What is counted.
    unit: &'static str,
    is_shown: bool,
    told: Instant,
}

impl Progress {
    pub(super) fn new(crops: usize, unit: &'static str) -> Progress {
        let is_shown = std::io::stderr().is_terminal();
        // Hidden, it still counts and reckons the time that is left.
        let bar = ProgressBar::hidden();
        bar.set_length(crops as u64);
        if is_shown {
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}  {per_sec}  {eta} left");
        bar.set_style(style.expect("the template is well formed"));
        bar.set_message(unit);
        Progress { bar, unit, is_shown, told: Instant::now() }
    }

    pub(super) fn add(&mut self, crops: usize) {
        self.bar.inc(crops as u64);
        if !self.is_shown && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            eprintln!("{done} of {all} {}, {} left", self.unit, HumanDuration(self.bar.eta()));
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
