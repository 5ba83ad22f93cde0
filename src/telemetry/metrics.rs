//! Every metric of the worker, by Prometheus' naming conventions.

use std::time::Duration;

use prometheus::{
    Encoder, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::moderation::Outcome;

/// Upper bounds in seconds, 1 ms to a minute.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The worker's metrics and the registry that holds them.
pub struct Metrics {
    registry: Registry,
    stage_seconds: HistogramVec,
    batch_size: HistogramVec,
    outcomes: IntCounterVec,
    settlements: IntCounterVec,
    pub redeliveries: IntCounter,
    pub republished: IntCounter,
    pub reused: IntCounter,
    pub messages_ready: IntGauge,
    pub in_flight: IntGauge,
    pub oldest_in_flight_seconds: Gauge,
    pub ready: IntGauge,
}

impl Metrics {
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let metrics = Metrics {
            stage_seconds: histogram(
                "assay_stage_seconds",
                "Time that one image spent in a stage (queue, fetch, decode, batch, infer, record, publish, total)",
                &["stage"],
                SECONDS,
            ),
            batch_size: histogram(
                "assay_batch_size_images",
                "Images scored together, by the reason why the batch was sent (full, waited, drained)",
                &["reason"],
                BATCH,
            ),
            outcomes: counters(
                "assay_outcomes_total",
                "Outcomes recorded by this worker, by kind (verdict, failure) and decision or failure code",
                &["kind", "code"],
            ),
            settlements: counters(
                "assay_settlements_total",
                "Messages settled, by answer (done, later, dead, released)",
                &["answer"],
            ),
            redeliveries: sole(IntCounter::new(
                "assay_redeliveries_total",
                "Deliveries that the broker had made before",
            )),
            republished: sole(IntCounter::new(
                "assay_republished_total",
                "Outcomes published again because the submission already had one",
            )),
            reused: sole(IntCounter::new(
                "assay_reused_total",
                "Verdicts that repeat what was found before on the same bytes",
            )),
            messages_ready: sole(IntGauge::new(
                "assay_messages_ready",
                "Messages that wait in the live queue, as this worker last saw it",
            )),
            in_flight: sole(IntGauge::new("assay_in_flight_images", "Images taken from the queue and not yet settled")),
            oldest_in_flight_seconds: sole(Gauge::new(
                "assay_oldest_in_flight_seconds",
                "Age of the image that has been in this worker the longest",
            )),
            ready: sole(IntGauge::new("assay_ready", "1 while the worker takes work")),
            registry,
        };
        metrics.register(&metrics.stage_seconds);
        metrics.register(&metrics.batch_size);
        metrics.register(&metrics.outcomes);
        metrics.register(&metrics.settlements);
        metrics.register(&metrics.redeliveries);
        metrics.register(&metrics.republished);
        metrics.register(&metrics.reused);
        metrics.register(&metrics.messages_ready);
        metrics.register(&metrics.in_flight);
        metrics.register(&metrics.oldest_in_flight_seconds);
        metrics.register(&metrics.ready);
        metrics
    }

    fn register(&self, metric: &(impl prometheus::core::Collector + Clone + 'static)) {
        self.registry.register(Box::new(metric.clone())).expect("metric names are distinct");
    }

    pub fn stage(&self, stage: &str, time: Duration) {
        self.stage_seconds.with_label_values(&[stage]).observe(time.as_secs_f64());
    }

    pub fn batch(&self, reason: &str, images: usize) {
        self.batch_size.with_label_values(&[reason]).observe(images as f64);
    }

    pub fn outcome(&self, outcome: &Outcome) {
        self.outcomes.with_label_values(&[outcome.kind(), outcome.word()]).inc();
        if matches!(outcome, Outcome::Verdict(verdict) if verdict.reused_from.is_some()) {
            self.reused.inc();
        }
    }

    pub fn settled(&self, answer: &str) {
        self.settlements.with_label_values(&[answer]).inc();
    }

    /// Outcomes recorded so far with this kind and word.
    pub fn outcomes_so_far(&self, kind: &str, word: &str) -> u64 {
        self.outcomes.with_label_values(&[kind, word]).get()
    }

    /// Everything in the text exposition format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory fails only for metrics without samples or names, which `new` rules out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

fn sole<T>(metric: prometheus::Result<T>) -> T {
    metric.expect("the metric's name is well formed")
}

fn histogram(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    sole(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    sole(IntCounterVec::new(Opts::new(name, help), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_render_as_text() {
        let metrics = Metrics::new();
        metrics.stage("fetch", Duration::from_millis(3));
        metrics.batch("full", 8);
        metrics.settled("done");
        let text = metrics.render();
        assert!(text.contains("assay_stage_seconds_bucket{stage=\"fetch\",le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("assay_batch_size_images_count{reason=\"full\"} 1"));
        assert!(text.contains("assay_settlements_total{answer=\"done\"} 1"));
    }
}
