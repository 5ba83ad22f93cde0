//! The table of outcomes that `scan`, `results` and the demo show: fixed columns, so that rows can stream.

use std::io::IsTerminal;

use domain::judge::UNKNOWN;
use domain::{Decision, Failure, GeneratorGuess, Outcome, Verdict};

const NAME: usize = 34;
const WORD: usize = 24;

/// Writes rows as outcomes come.
pub(super) struct Table {
    colour: bool,
    untrained: bool,
}

impl Table {
    pub(super) fn new() -> Table {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Table { colour: std::io::stdout().is_terminal() && !plain, untrained: false }
    }

    pub(super) fn header(&self) -> String {
        format!(
            "{:<NAME$}  {:<WORD$} {:>9}  {:<24} {:>8} {:>7} {:>7}",
            "image", "outcome", "synthetic", "generator", "fetch ms", "dec. ms", "inf. ms"
        )
    }

    pub(super) fn row(&mut self, name: &str, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Verdict(verdict) => self.verdict(name, verdict),
            Outcome::Failure(failure) => self.failure(name, failure),
        }
    }

    fn verdict(&mut self, name: &str, verdict: &Verdict) -> String {
        let untrained = !verdict.model.trained;
        self.untrained |= untrained;
        let mark = if untrained { "?" } else { "" };
        let word = format!("{:<WORD$}", format!("{}{mark}", verdict.decision.as_str()));
        let colour = match verdict.decision {
            Decision::Real => "32",
            Decision::Synthetic => "31",
            Decision::Uncertain => "33",
        };
        let generator = verdict.generator.as_ref();
        let generator = generator.map_or("–".into(), in_words);
        let timing = verdict.timing_ms;
        format!(
            "{:<NAME$}  {} {:>7.1} %  {:<24} {:>8} {:>7} {:>7}",
            fit(name, NAME),
            self.paint(&word, colour),
            verdict.score.synthetic * 100.0,
            fit(&generator, 24),
            timing.fetch,
            timing.decode,
            timing.infer,
        )
    }

    fn failure(&self, name: &str, failure: &Failure) -> String {
        let word = format!("{:<WORD$}", failure.code.as_str());
        format!("{:<NAME$}  {} {}", fit(name, NAME), self.paint(&word, "35"), harmless(&failure.detail))
    }

    /// What must be said below the table, if anything.
    pub(super) fn footnote(&self) -> Option<&'static str> {
        self.untrained.then_some("? the model is untrained: its verdicts say nothing about the images")
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// How sure it is, or of what is unknown, how new.
fn in_words(guess: &GeneratorGuess) -> String {
    match (guess.confidence, guess.novelty) {
        (Some(confidence), _) if guess.label != UNKNOWN => format!("{} {:.0} %", guess.label, confidence * 100.0),
        (_, Some(novelty)) => format!("{} (novelty {novelty:.2})", guess.label),
        (_, None) => guess.label.clone(),
    }
}

/// At most `width` characters of a name; the end is what tells names apart.
pub(super) fn fit(name: &str, width: usize) -> String {
    let name = harmless(name);
    let length = name.chars().count();
    if length <= width {
        return name;
    }
    let tail: String = name.chars().skip(length - width + 1).collect();
    format!("…{tail}")
}

/// Names come from submitters: nothing in them may command the terminal.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_generator_is_shown_with_its_novelty_and_no_confidence() {
        let guess = |label: &str, confidence| GeneratorGuess {
            label: label.into(),
            family: label.into(),
            confidence,
            novelty: Some(0.973),
            candidates: Vec::new(),
        };
        assert_eq!(in_words(&guess("sdxl-1.0", Some(0.954))), "sdxl-1.0 95 %");
        assert_eq!(in_words(&guess(UNKNOWN, None)), "unknown (novelty 0.97)");
        // As an earlier version wrote it down.
        assert_eq!(in_words(&guess(UNKNOWN, Some(0.954))), "unknown (novelty 0.97)");
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(fit("short", 8), "short");
        assert_eq!(fit("a/very/long/name.jpg", 9), "…name.jpg");
        assert_eq!(fit("日本語の名前", 4), "…の名前");
        assert_eq!(fit("\x1b[2Jgone\n", 12), "\u{fffd}[2Jgone\u{fffd}");
    }
}
