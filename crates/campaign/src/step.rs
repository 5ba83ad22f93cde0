//! What a campaign does next. Pure.

use std::time::Duration;

/// What is known when the question comes up.
#[derive(Clone, Debug, PartialEq)]
pub struct Situation<'a> {
    /// Of the model that is to judge.
    pub model: &'a str,
    /// The versions that workers serve now.
    pub at_work: &'a [String],
    /// Somebody has paused it.
    pub is_paused: bool,
    /// Messages that wait in the queues.
    pub live_waiting: u32,
    pub bulk_waiting: u32,
    /// How long the live upload that was taken last had waited.
    pub live_wait: Option<Duration>,
    /// Items that are not submitted yet, and those that are and have no result.
    pub left: u64,
    pub awaited: u64,
    /// Decisions that have changed so far.
    pub flips: u64,
    pub stop_after_flips: Option<u64>,
    /// Most messages in the bulk queue, and the longest time that a live upload may wait.
    pub window: u32,
    pub most_live_wait: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// At most so many more.
    Submit(u32),
    /// For a moment; why, in words.
    Wait(&'static str),
    /// It goes on when somebody says so.
    Pause(String),
    /// It has done what it was stopped for, or all.
    Stop(String),
    Finish,
}

/// The next step.
pub fn step(situation: &Situation<'_>) -> Step {
    let Situation { model, at_work, flips, .. } = situation;
    if situation.left == 0 && situation.awaited == 0 {
        return Step::Finish;
    }
    if situation.is_paused {
        return Step::Pause("somebody has paused it".into());
    }
    if let Some(most) = situation.stop_after_flips.filter(|most| flips >= most) {
        return Step::Stop(format!("{flips} decisions have changed, and it was to stop after {most}: look at them"));
    }
    if situation.left == 0 {
        return Step::Wait(
            "the last results are awaited; `assay status` and `assay dead list` show what is in the way, `assay reverdict end` gives \
             them up",
        );
    }
    if at_work.is_empty() {
        return Step::Wait("no worker is at work");
    }
    if let Some(other) = at_work.iter().find(|version| version.as_str() != *model) {
        return Step::Pause(format!("{other} is at work, and the campaign is for {model}"));
    }
    if situation.live_waiting > 0 && situation.live_wait.is_some_and(|wait| wait > situation.most_live_wait) {
        return Step::Wait("live uploads wait");
    }
    match situation.window.saturating_sub(situation.bulk_waiting) {
        0 => Step::Wait("the bulk queue is as full as it may be"),
        room => Step::Submit(room),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation(at_work: &[String]) -> Situation<'_> {
        Situation {
            model: "2",
            at_work,
            is_paused: false,
            live_waiting: 0,
            bulk_waiting: 60,
            live_wait: Some(Duration::from_secs(9)),
            left: 1000,
            awaited: 64,
            flips: 3,
            stop_after_flips: None,
            window: 100,
            most_live_wait: Duration::from_secs(2),
        }
    }

    #[test]
    fn no_more_is_submitted_than_there_is_room_for() {
        let at_work = ["2".to_string()];
        assert_eq!(step(&situation(&at_work)), Step::Submit(40));
        let full = Situation { bulk_waiting: 130, ..situation(&at_work) };
        assert!(matches!(step(&full), Step::Wait(why) if why.contains("full")));
    }

    #[test]
    fn live_uploads_that_wait_go_first() {
        let at_work = ["2".to_string()];
        let busy = Situation { live_waiting: 1, ..situation(&at_work) };
        assert_eq!(step(&busy), Step::Wait("live uploads wait"));
        let quick = Situation { live_wait: Some(Duration::from_secs(1)), ..busy };
        assert_eq!(step(&quick), Step::Submit(40));
    }

    #[test]
    fn with_another_model_at_work_it_pauses_and_with_none_it_waits() {
        assert!(matches!(step(&situation(&[])), Step::Wait(_)));
        let two = ["2".to_string(), "3".to_string()];
        assert!(matches!(step(&situation(&two)), Step::Pause(why) if why.contains("3 is at work")));
    }

    #[test]
    fn it_stops_after_as_many_changes_as_it_may_make_and_ends_when_all_results_are_there() {
        let at_work = ["2".to_string()];
        let flipping = Situation { stop_after_flips: Some(3), ..situation(&at_work) };
        assert!(matches!(step(&flipping), Step::Stop(_)));
        let last = Situation { left: 0, ..situation(&at_work) };
        assert!(matches!(step(&last), Step::Wait(_)));
        let done = Situation { left: 0, awaited: 0, is_paused: true, ..situation(&at_work) };
        assert_eq!(step(&done), Step::Finish);
        let paused = Situation { is_paused: true, ..situation(&at_work) };
        assert!(matches!(step(&paused), Step::Pause(_)));
    }
}
