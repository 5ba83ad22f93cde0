//! Every metric of the worker, by Prometheus' naming conventions. docs/observability.md lists them, and a test holds the
//! two together. Labels are words of our own or of the model's manifest, never of a message, so series stay few.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use domain::judge::UNKNOWN;
use domain::{Decision, FailureCode, ModelRef, Outcome, Stage};

/// Upper bounds in seconds, 1 ms to a minute.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Queues are waited in for longer: 10 ms to six hours.
const QUEUE_SECONDS: &[f64] =
    &[0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0];
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
const SCORES: &[f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// The values of each label, so that every series is there from the start: Prometheus computes no rate of a series that
/// begins with its first event.
const STAGES: &[&str] = &["fetch", "decode", "batch", "infer", "record", "publish"];
const REQUEST_QUEUES: &[&str] = &["live", "bulk"];
const FLUSHES: &[&str] = &["full", "waited", "drained"];
const ANSWERS: &[&str] = &["done", "later", "dead", "released"];
const DEAD_LETTER_REASONS: &[&str] = &["unreadable", "conflict", "refused"];
const MODEL_CHANGES: &[&str] = &["done", "failed"];

/// The worker's metrics and the registry that holds them.
pub struct Metrics {
    registry: Registry,
    model: IntGaugeVec,
    /// The labels under which `model` stands.
    model_shown: Mutex<Option<[String; 2]>>,
    queue_wait_seconds: HistogramVec,
    stage_seconds: HistogramVec,
    processing_seconds: Histogram,
    batch_size: HistogramVec,
    device_busy_seconds: Counter,
    outcomes: IntCounterVec,
    synthetic_score: Histogram,
    generators: IntCounterVec,
    settlements: IntCounterVec,
    retries: IntCounterVec,
    dead_letters: IntCounterVec,
    model_changes: IntCounterVec,
    /// The queues' counts of messages that could not be read.
    unreadable: Mutex<Vec<Arc<AtomicU64>>>,
    /// The queues' counts of headers that were cut or left out.
    queues_headers_dropped: Mutex<Vec<Arc<AtomicU64>>>,
    headers_dropped: IntCounter,
    pub panics: IntCounter,
    /// The queues' counts of answers to senders for which there was no room.
    queues_rejections_withheld: Mutex<Vec<Arc<AtomicU64>>>,
    rejections_withheld: IntCounter,
    pub redeliveries: IntCounter,
    pub republished: IntCounter,
    reused: IntCounter,
    pub messages_ready: IntGauge,
    pub in_flight: IntGauge,
    pub oldest_in_flight_seconds: Gauge,
    pub ready: IntGauge,
    pub partitions_ahead: IntGauge,
    pub stuck: IntGauge,
}

impl Metrics {
    #[expect(clippy::too_many_lines, reason = "a table: an entry for each metric")]
    pub fn new() -> Metrics {
        let registrar = Registrar(Registry::new());
        let metrics = Metrics {
            model: registrar.gauges("assay_model_info", "1 for the model that judges", &["version", "sha256"]),
            model_shown: Mutex::default(),
            queue_wait_seconds: registrar.histograms(
                "assay_queue_wait_seconds",
                "Time from publication to intake, for messages that say when they were published, by queue (live, bulk)",
                &["queue"],
                QUEUE_SECONDS,
            ),
            stage_seconds: registrar.histograms(
                "assay_stage_seconds",
                "Time that one image spent in a stage (fetch, decode, batch, infer, record, publish)",
                &["stage"],
                SECONDS,
            ),
            processing_seconds: registrar.histogram(
                "assay_processing_seconds",
                "Time from intake to the acknowledgement of an image",
                SECONDS,
            ),
            batch_size: registrar.histograms(
                "assay_batch_size_images",
                "Images scored together, each frame of an animation counted, by the reason why the batch was sent (full, waited, drained)",
                &["reason"],
                BATCH,
            ),
            device_busy_seconds: registrar.register(Counter::new(
                "assay_device_busy_seconds_total",
                "Time that the device spent on batches, those that failed included",
            )),
            outcomes: registrar.counters(
                "assay_outcomes_total",
                "Outcomes recorded by this worker, by kind (verdict, failure) and decision or failure code",
                &["kind", "code"],
            ),
            synthetic_score: registrar.histogram(
                "assay_synthetic_score",
                "Probability that an image is synthetic, of verdicts that rest on a look at the image",
                SCORES,
            ),
            generators: registrar.counters(
                "assay_generator_verdicts_total",
                "Verdicts that name a generator, by its name in the model's manifest, or unknown",
                &["generator"],
            ),
            settlements: registrar.counters(
                "assay_settlements_total",
                "Requests answered, by answer (done, later, dead, released)",
                &["answer"],
            ),
            retries: registrar.counters(
                "assay_retries_total",
                "Requests sent to the retry schedule, by the stage that was in trouble",
                &["stage"],
            ),
            dead_letters: registrar.counters(
                "assay_dead_letters_total",
                "Messages sent to the dead letters by this worker, by reason (unreadable, conflict, refused)",
                &["reason"],
            ),
            model_changes: registrar.counters(
                "assay_model_changes_total",
                "Promotions that this worker followed (done), or could not follow and serves on with the model before (failed)",
                &["result"],
            ),
            unreadable: Mutex::default(),
            queues_headers_dropped: Mutex::default(),
            queues_rejections_withheld: Mutex::default(),
            rejections_withheld: registrar.register(IntCounter::new(
                "assay_rejections_withheld_total",
                "Rejections that were not sent, since there were more than broker.rejections_per_s",
            )),
            headers_dropped: registrar.register(IntCounter::new(
                "assay_headers_dropped_total",
                "Headers of messages that were cut or left out because they were longer than what is handed on",
            )),
            panics: registrar.register(IntCounter::new(
                "assay_panics_total",
                "Panics that were caught while a request was prepared: defects, which the log names",
            )),
            redeliveries: registrar
                .register(IntCounter::new("assay_redeliveries_total", "Deliveries that the broker had made before")),
            republished: registrar.register(IntCounter::new(
                "assay_republished_total",
                "Outcomes published again because the submission already had one",
            )),
            reused: registrar.register(IntCounter::new(
                "assay_reused_total",
                "Verdicts that repeat what was found before on the same bytes",
            )),
            messages_ready: registrar.register(IntGauge::new(
                "assay_messages_ready",
                "Messages that wait in the live queue, as this worker last saw it",
            )),
            in_flight: registrar
                .register(IntGauge::new("assay_in_flight_images", "Images taken from the queue and not yet settled")),
            oldest_in_flight_seconds: registrar.register(Gauge::new(
                "assay_oldest_in_flight_seconds",
                "Age of the image that has been in this worker the longest",
            )),
            ready: registrar.register(IntGauge::new("assay_ready", "1 while the worker takes work: what /readyz says")),
            partitions_ahead: registrar.register(IntGauge::new(
                "assay_ledger_partitions_ahead",
                "Partitions of the ledger that have not begun yet, as this worker saw them within the last hour",
            )),
            stuck: registrar
                .register(IntGauge::new("assay_stuck", "1 while the worker should be started anew: what /livez says")),
            registry: registrar.0.clone(),
        };
        registrar
            .gauges("assay_build_info", "1 for the program that runs", &["version"])
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        metrics.create_all_series();
        metrics
    }

    fn create_all_series(&self) {
        STAGES.iter().for_each(|stage| drop(self.stage_seconds.with_label_values(&[stage])));
        REQUEST_QUEUES
            .iter()
            .for_each(|request_queue| drop(self.queue_wait_seconds.with_label_values(&[request_queue])));
        FLUSHES.iter().for_each(|reason| drop(self.batch_size.with_label_values(&[reason])));
        ANSWERS.iter().for_each(|answer| drop(self.settlements.with_label_values(&[answer])));
        DEAD_LETTER_REASONS.iter().for_each(|reason| drop(self.dead_letters.with_label_values(&[reason])));
        MODEL_CHANGES.iter().for_each(|result| drop(self.model_changes.with_label_values(&[result])));
        drop(self.generators.with_label_values(&[UNKNOWN]));
        for decision in [Decision::Real, Decision::Uncertain, Decision::Synthetic] {
            drop(self.outcomes.with_label_values(&["verdict", decision.as_str()]));
        }
        for code in FailureCode::ALL {
            drop(self.outcomes.with_label_values(&["failure", code.as_str()]));
            if code.retryable() && code.stage() != Stage::Infer {
                drop(self.retries.with_label_values(&[code.stage().as_str()]));
            }
        }
    }

    /// The model that judges from now on, in place of the one before.
    pub fn model(&self, model: &ModelRef) {
        let now = [model.version.clone(), model.sha256.clone()];
        let mut shown = self.model_shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.as_ref() == Some(&now) {
            return;
        }
        self.model.with_label_values(&now).set(1);
        if let Some(before) = shown.replace(now) {
            // It was set above, or by an earlier call.
            let _ = self.model.remove_label_values(&before);
        }
    }

    /// A promotion was followed, or could not be.
    pub fn model_changed(&self, result: &str) {
        self.model_changes.with_label_values(&[result]).inc();
    }

    pub fn queue_wait(&self, request_queue: &str, wait: Duration) {
        self.queue_wait_seconds.with_label_values(&[request_queue]).observe(wait.as_secs_f64());
    }

    pub fn stage(&self, stage: &str, time: Duration) {
        self.stage_seconds.with_label_values(&[stage]).observe(time.as_secs_f64());
    }

    pub fn processed(&self, time: Duration) {
        self.processing_seconds.observe(time.as_secs_f64());
    }

    pub fn batch(&self, reason: &str, images: usize) {
        self.batch_size.with_label_values(&[reason]).observe(images as f64);
    }

    pub fn device_was_busy(&self, time: Duration) {
        self.device_busy_seconds.inc_by(time.as_secs_f64());
    }

    pub fn outcome(&self, outcome: &Outcome) {
        self.outcomes.with_label_values(&[outcome.kind(), outcome.word()]).inc();
        let Outcome::Verdict(verdict) = outcome else { return };
        if let Some(generator) = &verdict.generator {
            self.generators.with_label_values(&[&generator.label]).inc();
        }
        match verdict.reused_from {
            // A picture that comes a thousand times must not look like a shift of all scores.
            Some(_) if verdict.decided_by == domain::DecidedBy::Review => {}
            Some(_) => self.reused.inc(),
            None => self.synthetic_score.observe(verdict.score.synthetic.into()),
        }
    }

    pub fn settled(&self, answer: &str) {
        self.settlements.with_label_values(&[answer]).inc();
    }

    pub fn retry(&self, stage: Stage) {
        self.retries.with_label_values(&[stage.as_str()]).inc();
    }

    pub fn dead_letter(&self, reason: &str) {
        self.dead_letters.with_label_values(&[reason]).inc();
    }

    /// Counts among the dead letters what a queue counts.
    pub fn watch_unreadable(&self, count: Arc<AtomicU64>) {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).push(count);
    }

    /// Counts what a queue counts of headers that were cut or left out.
    pub fn watch_headers_dropped(&self, count: Arc<AtomicU64>) {
        self.queues_headers_dropped.lock().unwrap_or_else(PoisonError::into_inner).push(count);
    }

    /// Counts what a queue counts of answers to senders for which there was no room.
    pub fn watch_rejections_withheld(&self, count: Arc<AtomicU64>) {
        self.queues_rejections_withheld.lock().unwrap_or_else(PoisonError::into_inner).push(count);
    }

    /// Outcomes recorded so far with this kind and word.
    pub fn outcomes_so_far(&self, kind: &str, word: &str) -> u64 {
        self.outcomes.with_label_values(&[kind, word]).get()
    }

    /// Everything in the text exposition format.
    pub fn render(&self) -> String {
        raise(&self.dead_letters.with_label_values(&["unreadable"]), &self.unreadable);
        raise(&self.headers_dropped, &self.queues_headers_dropped);
        raise(&self.rejections_withheld, &self.queues_rejections_withheld);
        let mut text = Vec::new();
        // Writing to memory fails only for metrics without samples or names, which `new` rules out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Brings a counter to the sum of what the queues have counted.
fn raise(counter: &IntCounter, request_queues: &Mutex<Vec<Arc<AtomicU64>>>) {
    let request_queues = request_queues.lock().unwrap_or_else(PoisonError::into_inner);
    let sum: u64 = request_queues.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    counter.inc_by(sum.saturating_sub(counter.get()));
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

/// Makes metrics and registers them.
struct Registrar(Registry);

impl Registrar {
    fn register<T: Collector + Clone + 'static>(&self, metric: prometheus::Result<T>) -> T {
        let metric = metric.expect("the metric's name and labels are well formed");
        self.0.register(Box::new(metric.clone())).expect("metric names are distinct");
        metric
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }
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
        assert!(
            text.contains("assay_outcomes_total{code=\"decode_failed\",kind=\"failure\"} 0"),
            "there before the first one"
        );
    }

    #[test]
    fn one_model_judges_at_a_time() {
        let metrics = Metrics::new();
        let model = |version: &str| ModelRef {
            version: version.into(),
            sha256: "0".repeat(64),
            labels: "test@1".into(),
            trained: true,
        };
        for version in ["1", "2", "2"] {
            metrics.model(&model(version));
        }
        let text = metrics.render();
        let shown: Vec<_> = text.lines().filter(|line| line.starts_with("assay_model_info{")).collect();
        assert_eq!(shown, [format!("assay_model_info{{sha256=\"{}\",version=\"2\"}} 1", "0".repeat(64))]);
    }

    #[test]
    fn unreadable_messages_of_all_queues_are_counted_once() {
        let metrics = Metrics::new();
        let (live, bulk) = (Arc::new(AtomicU64::new(2)), Arc::new(AtomicU64::new(0)));
        metrics.watch_unreadable(live.clone());
        metrics.watch_unreadable(bulk.clone());
        metrics.render();
        live.store(3, Ordering::Relaxed);
        bulk.store(4, Ordering::Relaxed);
        let text = metrics.render();
        assert!(text.contains("assay_dead_letters_total{reason=\"unreadable\"} 7"), "{text}");
    }
}
