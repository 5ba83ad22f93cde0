//! The queues and exchanges: which there are, and their names.
//!
//! ```text
//! submitters ─▶ <p>.images ──────▶ worker ─▶ (<p>.verdicts) ─ verdict.# failure.# ─▶ <p>.results
//!               <p>.images.bulk ──▶   │ └──▶ <p>.dead
//!                     ▲               ▼
//!                     └── <queue>.retry.<n>s   one delay queue for each retry delay, for each queue
//! reviewers ──▶ <p>.labels ──────▶ assay labels ─▶ <p>.dead
//! ```
//!
//! A delay queue belongs to one queue, because a fixed dead-letter key is the one way back that needs neither a
//! plugin nor another exchange.

use crate::queue::{InputQueue, RequestQueue};
use crate::settings::{Settings, TopologyMode};

/// The names, and how they are declared.
#[derive(Clone, Debug)]
pub struct Topology {
    prefix: String,
    retry_delays_s: Vec<u32>,
    pub(crate) delivery_limit: u32,
    pub(crate) mode: TopologyMode,
    /// What the queue of the outcomes keeps; `None` where there is no such queue.
    kept: Option<Kept>,
}

/// What a queue keeps: whatever is beyond is dropped from its head. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub messages: u64,
    pub age_s: u64,
}

/// What a queue is for, which decides how it is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// People look through it and put back what they read.
    Inspected,
    /// The same, and only what is new is of use.
    Results(Kept),
    /// Others publish to it.
    Input,
    /// Messages of a queue wait here before the next attempt.
    Delay { request_queue: RequestQueue, seconds: u32 },
}

/// A queue's state as a passive declaration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    pub queue: String,
    /// Messages that wait; those that were delivered and not yet acknowledged are not among them.
    pub ready: u32,
    pub consumers: u32,
}

impl Topology {
    pub fn new(settings: &Settings) -> Topology {
        Topology {
            prefix: settings.prefix.clone(),
            retry_delays_s: settings.retry_delays_s.clone(),
            delivery_limit: settings.delivery_limit,
            mode: settings.topology,
            kept: settings
                .results_queue
                .then_some(Kept { messages: settings.results_max_messages, age_s: settings.results_max_age_s }),
        }
    }

    /// Queues of this prefix without retry queues: retried messages go straight back to their queue.
    pub(crate) fn without_retries(prefix: &str) -> Topology {
        Topology {
            prefix: prefix.into(),
            retry_delays_s: Vec::new(),
            delivery_limit: u32::MAX,
            mode: TopologyMode::None,
            kept: None,
        }
    }

    /// The name of an input queue.
    pub fn input(&self, queue: InputQueue) -> String {
        match queue {
            InputQueue::Requests(request_queue) => self.request_queue(request_queue),
            InputQueue::Corrections => self.labels(),
        }
    }

    /// The input queue of this name, or whose retry queue has this name: the broker names the queue that a message was in
    /// when it last moved it.
    pub fn input_named(&self, name: &str) -> Option<InputQueue> {
        let is_retry_of = |request_queue: RequestQueue| {
            let seconds =
                name.strip_prefix(&self.request_queue(request_queue)).and_then(|rest| rest.strip_prefix(".retry."));
            seconds.and_then(|rest| rest.strip_suffix('s')).is_some_and(|seconds| seconds.parse::<u32>().is_ok())
        };
        InputQueue::ALL.into_iter().find(|queue| match queue {
            InputQueue::Requests(request_queue) => {
                name == self.request_queue(*request_queue) || is_retry_of(*request_queue)
            }
            InputQueue::Corrections => name == self.labels(),
        })
    }

    /// The name of a queue of requests.
    pub fn request_queue(&self, request_queue: RequestQueue) -> String {
        match request_queue {
            RequestQueue::Live => format!("{}.images", self.prefix),
            RequestQueue::Bulk => format!("{}.images.bulk", self.prefix),
        }
    }

    /// The exchange of the outcomes.
    pub fn verdicts(&self) -> String {
        format!("{}.verdicts", self.prefix)
    }

    /// What the queue of the outcomes keeps, where there is one.
    pub fn kept(&self) -> Option<Kept> {
        self.kept
    }

    pub fn results(&self) -> String {
        format!("{}.results", self.prefix)
    }

    pub fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The queue of the corrections.
    pub fn labels(&self) -> String {
        format!("{}.labels", self.prefix)
    }

    /// Where a message of a queue waits after its attempt number `attempt`; after the last delay, that one again.
    /// Without delays it goes straight back to its queue.
    pub fn retry(&self, request_queue: RequestQueue, attempt: u32) -> String {
        let step = (attempt.max(1) as usize).min(self.retry_delays_s.len());
        match step.checked_sub(1) {
            Some(index) => self.delay(request_queue, self.retry_delays_s[index]),
            None => self.request_queue(request_queue),
        }
    }

    fn delay(&self, request_queue: RequestQueue, seconds: u32) -> String {
        format!("{}.retry.{seconds}s", self.request_queue(request_queue))
    }

    /// Every queue.
    pub fn queues(&self) -> Vec<String> {
        self.purposes().into_iter().map(|(queue, _)| queue).collect()
    }

    /// Every queue with what it is for.
    pub(crate) fn purposes(&self) -> Vec<(String, Purpose)> {
        let mut queues = vec![(self.dead(), Purpose::Inspected)];
        queues.extend(self.kept.map(|kept| (self.results(), Purpose::Results(kept))));
        queues.push((self.labels(), Purpose::Input));
        for request_queue in [RequestQueue::Live, RequestQueue::Bulk] {
            queues.push((self.request_queue(request_queue), Purpose::Input));
            let delays = self.retry_delays_s.iter();
            queues.extend(
                delays.map(|&seconds| (self.delay(request_queue, seconds), Purpose::Delay { request_queue, seconds })),
            );
        }
        queues
    }

    /// Whether a queue is one of ours, which nobody may name as the place for an answer.
    pub fn owns(&self, queue: &str) -> bool {
        queue.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(retry_delays_s: Vec<u32>) -> Topology {
        let kept = Some(Kept { messages: 10, age_s: 60 });
        Topology { prefix: "assay".into(), retry_delays_s, delivery_limit: 100, mode: TopologyMode::Declare, kept }
    }

    #[test]
    fn every_name_begins_with_the_prefix() {
        let topology = topology(vec![2, 60]);
        let mut queues = topology.queues();
        queues.sort();
        let expected = [
            "assay.dead",
            "assay.images",
            "assay.images.bulk",
            "assay.images.bulk.retry.2s",
            "assay.images.bulk.retry.60s",
            "assay.images.retry.2s",
            "assay.images.retry.60s",
            "assay.labels",
            "assay.results",
        ];
        assert_eq!(queues, expected);
        assert!(queues.iter().all(|queue| topology.owns(queue)));
        assert!(!topology.owns("assayer.answers") && !topology.owns("answers"));
        let without = Topology { kept: None, ..topology };
        assert!(!without.queues().contains(&without.results()) && without.owns(&without.results()));
    }

    #[test]
    fn an_input_queue_is_known_by_its_name_and_by_those_of_its_retry_queues() {
        let topology = topology(vec![2]);
        for queue in InputQueue::ALL {
            assert_eq!(topology.input_named(&topology.input(queue)), Some(queue));
        }
        let of = |name| topology.input_named(name);
        assert_eq!(of("assay.images.retry.2s"), Some(InputQueue::Requests(RequestQueue::Live)));
        // Of an earlier configuration, too.
        assert_eq!(of("assay.images.bulk.retry.900s"), Some(InputQueue::Requests(RequestQueue::Bulk)));
        for other in ["assay.dead", "assay.results", "other.images", "assay.images.retry.s", "assay.imagesretry.2s", ""]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn each_attempt_waits_longer_and_in_its_own_queue() {
        let delayed = topology(vec![2, 60]);
        let waits = |attempt| delayed.retry(RequestQueue::Live, attempt);
        assert_eq!([waits(1), waits(2)], ["assay.images.retry.2s", "assay.images.retry.60s"]);
        assert_eq!(waits(9), "assay.images.retry.60s");
        assert_eq!(delayed.retry(RequestQueue::Bulk, 1), "assay.images.bulk.retry.2s");
        assert_eq!(topology(vec![]).retry(RequestQueue::Bulk, 1), "assay.images.bulk");
    }
}
