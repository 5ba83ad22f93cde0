//! Whether a console lives and can serve, and its figures for Prometheus: of the whole queue, without tenants.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Encoder, GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::admin::Watched;
use review::numbers::Estimate;
use review::{Counted, Gauges};

/// The state of this console.
pub struct Condition {
    registry: Registry,
    backlog: IntGaugeVec,
    oldest: IntGaugeVec,
    items: IntGaugeVec,
    unsent: IntGauge,
    estimate: GaugeVec,
    votes: IntCounter,
    resolved: IntCounter,
    /// Why its jobs can't be done now.
    trouble: Mutex<Option<String>>,
}

impl Condition {
    pub fn new() -> Arc<Condition> {
        let registry = Registry::new();
        let by = |name: &str, help: &str, label: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &[label]).expect("the name is well formed");
            keep(&registry, gauge)
        };
        let count =
            |name: &str, help: &str| keep(&registry, IntCounter::new(name, help).expect("the name is well formed"));
        let estimate = Opts::new(
            "assay_review_estimate",
            "Precision and misses of the model in use, from the audit sample of the last four weeks, with the ends of their intervals",
        );
        let estimate = GaugeVec::new(estimate, &["model", "figure", "bound"]).expect("the name is well formed");
        let unsent = IntGauge::new("assay_review_unsent_messages", "Decisions and events that wait to be sent");
        Arc::new(Condition {
            backlog: by("assay_review_backlog_items", "Items that wait, by what brought them", "source"),
            oldest: by("assay_review_oldest_seconds", "Age of the oldest item that waits", "source"),
            items: by(
                "assay_review_items",
                "Items that are kept, by what became of them: reviewed or not_reviewed",
                "state",
            ),
            unsent: keep(&registry, unsent.expect("the name is well formed")),
            estimate: keep(&registry, estimate),
            votes: count("assay_review_votes_total", "Votes that this console counted"),
            resolved: count("assay_review_resolved_total", "Items that this console resolved"),
            trouble: Mutex::default(),
            registry,
        })
    }

    pub(super) fn counted(&self, counted: Counted) {
        self.votes.inc_by(counted.counted);
        self.resolved.inc_by(counted.resolved);
    }

    /// Takes over the figures of the queue.
    pub fn show(&self, gauges: &Gauges) {
        self.backlog.reset();
        self.oldest.reset();
        self.estimate.reset();
        for (source, count) in &gauges.backlog {
            self.backlog.with_label_values(&[source]).set(whole(*count));
        }
        for (source, seconds) in &gauges.oldest_s {
            self.oldest.with_label_values(&[source]).set(whole(*seconds));
        }
        self.items.with_label_values(&["reviewed"]).set(whole(gauges.reviewed));
        self.items.with_label_values(&["not_reviewed"]).set(whole(gauges.not_reviewed));
        self.unsent.set(whole(gauges.unsent));
        if let Some(model) = &gauges.model_version {
            self.estimate_of(model, "precision", &gauges.precision);
            self.estimate_of(model, "misses", &gauges.misses);
        }
    }

    fn estimate_of(&self, model: &str, figure: &str, estimate: &Estimate) {
        let [low, high] = estimate.interval.map_or([None, None], |[low, high]| [Some(low), Some(high)]);
        for (bound, value) in [("estimate", estimate.value), ("low", low), ("high", high)] {
            let Some(value) = value else { continue };
            self.estimate.with_label_values(&[model, figure, bound]).set(value);
        }
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

fn keep<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect("each name is taken once");
    collector
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Watched for Condition {
    fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    fn metrics(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("text takes everything");
        String::from_utf8_lossy(&text).into_owned()
    }
}
