//! When panics are no longer those of single images. Pure: it is told how each job ended.

use std::collections::{BTreeSet, VecDeque};

use domain::SubmissionKey;

/// The last jobs that count.
const LAST: usize = 32;
/// Submissions that they must belong to: fewer than these meet their own trouble, each as often as the retry schedule has it.
const SUBMISSIONS: usize = 6;

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// In any other way than by a panic.
    Without,
    Panic {
        submission: SubmissionKey,
        /// The same words are the same panic.
        words: String,
    },
}

/// Trips when the last jobs, of several submissions, all ended by the same panic: then it is the worker's or its settings', and
/// whatever else it takes ends so too.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    last: VecDeque<(SubmissionKey, String)>,
}

impl Breaker {
    /// Whether no more work should be taken after this job.
    pub(crate) fn record(&mut self, ended: Ended) -> bool {
        let Ended::Panic { submission, words } = ended else {
            self.last.clear();
            return false;
        };
        if self.last.back().is_some_and(|(_, before)| *before != words) {
            self.last.clear();
        }
        self.last.push_back((submission, words));
        if self.last.len() > LAST {
            self.last.pop_front();
        }
        let submissions: BTreeSet<_> = self.last.iter().map(|(submission, _)| submission).collect();
        self.last.len() == LAST && submissions.len() >= SUBMISSIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panic(submission: usize, words: &str) -> Ended {
        let submission = SubmissionKey { tenant: "acme".into(), submission_id: submission.to_string(), generation: 0 };
        Ended::Panic { submission, words: words.into() }
    }

    /// After how many jobs it trips.
    fn trips(jobs: impl IntoIterator<Item = Ended>) -> Option<usize> {
        let mut breaker = Breaker::default();
        jobs.into_iter().position(|job| breaker.record(job)).map(|index| index + 1)
    }

    #[test]
    fn the_same_panic_of_every_job_trips_it() {
        assert_eq!(trips((0..1000).map(|number| panic(number, "key"))), Some(LAST));
    }

    #[test]
    fn a_few_bad_submissions_that_come_again_and_again_do_not() {
        assert_eq!(trips((0..1000).map(|number| panic(number % (SUBMISSIONS - 1), "key"))), None);
    }

    #[test]
    fn one_job_that_ends_otherwise_begins_the_count_anew() {
        let mixed = (0..1000).map(|number| if number % LAST == 0 { Ended::Without } else { panic(number, "key") });
        assert_eq!(trips(mixed), None);
    }

    #[test]
    fn different_panics_are_not_one() {
        assert_eq!(trips((0..1000).map(|number| panic(number, if number % 2 == 0 { "one" } else { "other" }))), None);
    }
}
