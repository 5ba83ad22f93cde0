//! The queues and exchanges: which there are, and their names.
//!
//! ```text
//! submitters ─▶ <p>.images ──────▶ worker ─▶ (<p>.verdicts) ─ verdict.# failure.# ─▶ <p>.results
//!               <p>.images.bulk ──▶   │ └──▶ <p>.dead
//!                     ▲               ▼
//!                     └── <queue>.retry.<n>s   one delay queue for each retry delay, for each queue
//! reviewers ──▶ <p>.labels ──────▶ assay labels ──▶ <p>.dead
//! console ────▶ <p>.decisions ───▶ worker ─▶ (<p>.verdicts), the next generation
//! platform ───▶ <p>.appeals ─────▶ console ─▶ (<p>.verdicts) ─ appeal.#
//! ```
//!
//! With `broker.shards` above 1, `<p>.images` is an exchange that spreads over the queues `<p>.images.0`, `<p>.images.1`, … by
//! the hash of the routing key, each with delay queues of its own; `<p>.images.bulk` likewise.
//!
//! A delay queue belongs to one queue, because a fixed dead-letter key is the one way back that needs neither a
//! plugin nor another exchange.

use sha2::{Digest, Sha256};

use crate::queue::{InboxQueue, InputQueue, RequestQueue, Shard};
use crate::settings::{Settings, TopologyMode};

/// The names, and how they are declared.
#[derive(Clone, Debug)]
pub struct Topology {
    prefix: String,
    /// Over how many queues the requests of a kind are spread.
    shards: u16,
    /// Those that this process takes messages from; empty for all.
    taken: Vec<u16>,
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
    Delay { shard: Shard, seconds: u32 },
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
            shards: settings.shards,
            taken: settings.take_shards.clone(),
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
            shards: 1,
            taken: Vec::new(),
            retry_delays_s: Vec::new(),
            delivery_limit: u32::MAX,
            mode: TopologyMode::None,
            kept: None,
        }
    }

    /// The name of an input queue; of several that the same kind is spread over, the one that a message with this body belongs to.
    pub fn input(&self, queue: InputQueue, body: &[u8]) -> String {
        match queue {
            InputQueue::Requests(request_queue) => self.queue(self.shard_of(request_queue, body)),
            InputQueue::Inbox(inbox) => self.inbox(inbox),
        }
    }

    /// The input queue of this name, or whose retry queue has this name: the broker names the queue that a message was in
    /// when it last moved it. Shards and delays of an earlier configuration count too.
    pub fn input_named(&self, name: &str) -> Option<InputQueue> {
        fn is_number(text: &str) -> bool {
            text.parse::<u32>().is_ok()
        }
        let is_one_of = |request_queue: RequestQueue| {
            let Some(rest) = name.strip_prefix(&self.request_queue(request_queue)) else { return false };
            let (shard, delay) = rest.split_once(".retry.").map_or((rest, None), |(shard, delay)| (shard, Some(delay)));
            (shard.is_empty() || shard.strip_prefix('.').is_some_and(is_number))
                && delay.is_none_or(|delay| delay.strip_suffix('s').is_some_and(is_number))
        };
        InputQueue::ALL.into_iter().find(|queue| match queue {
            InputQueue::Requests(request_queue) => is_one_of(*request_queue),
            InputQueue::Inbox(inbox) => name == self.inbox(*inbox),
        })
    }

    /// Whether the requests of a kind are spread over several queues.
    pub fn is_sharded(&self) -> bool {
        self.shards > 1
    }

    /// The queues of a kind of requests.
    pub fn shards(&self, of: RequestQueue) -> impl Iterator<Item = Shard> + use<> {
        (0..self.shards.max(1)).map(move |number| Shard { of, number })
    }

    /// Those of them that this process takes messages from.
    pub fn taken(&self, of: RequestQueue) -> Vec<Shard> {
        self.shards(of).filter(|shard| self.taken.is_empty() || self.taken.contains(&shard.number)).collect()
    }

    /// The queue that a message with this body belongs to: by the hash of tenant and submission where it names them, so that
    /// what is said twice of a submission goes the same way; else by the hash of all of it.
    pub fn shard_of(&self, of: RequestQueue, body: &[u8]) -> Shard {
        #[derive(serde::Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            submission_id: std::borrow::Cow<'a, str>,
            #[serde(borrow, default)]
            tenant: Option<std::borrow::Cow<'a, str>>,
        }
        if !self.is_sharded() {
            return Shard { of, number: 0 };
        }
        let digest = match serde_json::from_slice::<Named<'_>>(body) {
            Ok(Named { submission_id, tenant }) => {
                let tenant = tenant.as_deref().unwrap_or_default();
                Sha256::new().chain_update(tenant).chain_update([0]).chain_update(&*submission_id).finalize()
            }
            Err(_) => Sha256::digest(body),
        };
        let hash = digest.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
        let number = u16::try_from(hash % u64::from(self.shards)).expect("it is below a u16");
        Shard { of, number }
    }

    /// The name of a queue of requests.
    pub fn queue(&self, shard: Shard) -> String {
        let base = self.request_queue(shard.of);
        if self.is_sharded() { format!("{base}.{}", shard.number) } else { base }
    }

    /// The name of the queue of a kind of requests, or of the exchange that spreads them over several.
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

    /// The name of a queue whose messages are taken one by one.
    pub fn inbox(&self, queue: InboxQueue) -> String {
        let name = match queue {
            InboxQueue::Corrections => "labels",
            InboxQueue::Decisions => "decisions",
            InboxQueue::Appeals => "appeals",
        };
        format!("{}.{name}", self.prefix)
    }

    /// Where a message of a queue waits after its attempt number `attempt`; after the last delay, that one again.
    /// Without delays it goes straight back to its queue.
    pub fn retry(&self, shard: Shard, attempt: u32) -> String {
        let step = (attempt.max(1) as usize).min(self.retry_delays_s.len());
        match step.checked_sub(1) {
            Some(index) => self.delay(shard, self.retry_delays_s[index]),
            None => self.queue(shard),
        }
    }

    fn delay(&self, shard: Shard, seconds: u32) -> String {
        format!("{}.retry.{seconds}s", self.queue(shard))
    }

    /// Every queue.
    pub fn queues(&self) -> Vec<String> {
        self.purposes().into_iter().map(|(queue, _)| queue).collect()
    }

    /// Every queue with what it is for.
    pub(crate) fn purposes(&self) -> Vec<(String, Purpose)> {
        let mut queues = vec![(self.dead(), Purpose::Inspected)];
        queues.extend(self.kept.map(|kept| (self.results(), Purpose::Results(kept))));
        queues.extend(InboxQueue::ALL.map(|queue| (self.inbox(queue), Purpose::Input)));
        for shard in [RequestQueue::Live, RequestQueue::Bulk].into_iter().flat_map(|of| self.shards(of)) {
            queues.push((self.queue(shard), Purpose::Input));
            let delays = self.retry_delays_s.iter();
            queues.extend(delays.map(|&seconds| (self.delay(shard, seconds), Purpose::Delay { shard, seconds })));
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
        let (prefix, mode) = ("assay".to_string(), TopologyMode::Declare);
        Topology { prefix, shards: 1, taken: Vec::new(), retry_delays_s, delivery_limit: 100, mode, kept }
    }

    fn sharded(shards: u16) -> Topology {
        Topology { shards, ..topology(vec![2]) }
    }

    #[test]
    fn every_name_begins_with_the_prefix() {
        let topology = topology(vec![2, 60]);
        let mut queues = topology.queues();
        queues.sort();
        let expected = [
            "assay.appeals",
            "assay.dead",
            "assay.decisions",
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
            assert_eq!(topology.input_named(&topology.input(queue, b"")), Some(queue));
            assert_eq!(topology.input_named(&sharded(9).input(queue, b"")), Some(queue));
        }
        let of = |name| topology.input_named(name);
        assert_eq!(of("assay.images.retry.2s"), Some(InputQueue::Requests(RequestQueue::Live)));
        // Of an earlier configuration, too.
        assert_eq!(of("assay.images.bulk.retry.900s"), Some(InputQueue::Requests(RequestQueue::Bulk)));
        assert_eq!(of("assay.images.bulk.7.retry.2s"), Some(InputQueue::Requests(RequestQueue::Bulk)));
        for other in [
            "assay.images.x",
            "assay.images.1x.retry.2s",
            "assay.dead",
            "assay.results",
            "other.images",
            "assay.images.retry.s",
            "assay.imagesretry.2s",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn each_attempt_waits_longer_and_in_its_own_queue() {
        let delayed = topology(vec![2, 60]);
        let [live, bulk] = [RequestQueue::Live, RequestQueue::Bulk].map(|of| Shard { of, number: 0 });
        let waits = |attempt| delayed.retry(live, attempt);
        assert_eq!([waits(1), waits(2)], ["assay.images.retry.2s", "assay.images.retry.60s"]);
        assert_eq!(waits(9), "assay.images.retry.60s");
        assert_eq!(delayed.retry(bulk, 1), "assay.images.bulk.retry.2s");
        assert_eq!(topology(vec![]).retry(bulk, 1), "assay.images.bulk");
    }

    #[test]
    fn of_several_queues_a_submission_always_has_the_same_one_and_each_gets_its_share() {
        let topology = sharded(4);
        let body = |number: usize, generation: u32| {
            serde_json::to_vec(&serde_json::json!({"submission_id": format!("post-{number}"), "tenant": "acme",
                "generation": generation, "image": {"bucket": "b", "key": "k"}}))
        };
        let mut counts = [0; 4];
        for number in 0..4000 {
            let [first, again] = [0, 7].map(|generation| body(number, generation).unwrap());
            let shard = topology.shard_of(RequestQueue::Live, &first);
            assert_eq!(topology.shard_of(RequestQueue::Live, &again), shard);
            counts[usize::from(shard.number)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        // What can't be read goes somewhere too.
        let numbers = (0..64_u8).map(|byte| topology.shard_of(RequestQueue::Bulk, &[byte]).number);
        assert_eq!(numbers.collect::<std::collections::BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn shards_have_names_and_delays_of_their_own_and_a_process_may_take_some() {
        let all = sharded(3);
        let queues = all.queues();
        assert_eq!(queues.iter().filter(|queue| queue.contains(".images.")).count(), 12);
        for queue in ["assay.images.0", "assay.images.2.retry.2s", "assay.images.bulk.1"] {
            assert!(queues.contains(&queue.to_string()), "{queue}");
        }
        let shard = Shard { of: RequestQueue::Live, number: 2 };
        assert_eq!(
            (all.queue(shard), all.retry(shard, 1)),
            ("assay.images.2".into(), "assay.images.2.retry.2s".into())
        );
        assert_eq!(all.taken(RequestQueue::Live).len(), 3);
        assert_eq!(Topology { taken: vec![2], ..all }.taken(RequestQueue::Live), [shard]);
    }
}
