//! Traces of a real worker, as a collector gets them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker::rabbit::Reader;
use broker::wire::{Message, Properties};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::support::collector::{Collector, attribute};
use crate::support::images;
use crate::support::site::{Site, Worker, request};

/// The worker's `grace_s` unless told otherwise.
const GRACE: Duration = Duration::from_secs(25);
const SENDER: &str = "00f067aa0ba902b7";
/// Numbers of the messages: those before it are judged.
const JUDGED: usize = 4;
const MISSING: usize = JUDGED;
const UNSAMPLED: usize = JUDGED + 1;

fn trace(number: usize) -> String {
    format!("{:032x}", 0xabc0 + number)
}

fn traced(number: usize, key: &str, sampled: bool) -> Message {
    let traceparent = format!("00-{}-{SENDER}-0{}", trace(number), u8::from(sampled));
    let headers = [("traceparent", traceparent), ("tracestate", "vendor=told".to_string())];
    let headers = headers.map(|(name, value)| (name.to_string(), value)).into();
    let properties = Properties { message_id: Some(format!("m-{number}")), headers, ..Properties::default() };
    Message { body: request(&format!("s-{number}"), key).to_string().into_bytes(), properties }
}

fn named<'a>(spans: &'a [Span], beginning: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name.starts_with(beginning)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_through_the_worker_and_on_with_the_outcome() {
    let collector = Collector::start().await;
    let site = Site::open().await;
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let mut messages: Vec<_> = (0..JUDGED).map(|number| traced(number, &key, true)).collect();
    messages.push(traced(MISSING, "nowhere.jpg", true));
    messages.push(traced(UNSAMPLED, &key, false));
    site.send(messages).await;
    // Nothing is sent before the end: what comes was flushed.
    let mut worker = site
        .worker(&[
            ("ASSAY__TRACES__ENDPOINT", &collector.endpoint),
            ("ASSAY__TRACES__SAMPLE_RATIO", "0"),
            ("ASSAY__WORKER__REUSE", "false"),
            ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
            ("OTEL_SERVICE_NAME", "assay-eu"),
        ])
        .await;
    site.until_recorded(UNSAMPLED + 1).await;
    worker.terminate();
    assert!(worker.ended(GRACE).await.success(), "{}", worker.log());

    let spans = collector.spans();
    assert_eq!(collector.resource("service.name"), ["assay-eu"]);
    assert!(spans.iter().all(|span| hex::encode(&span.trace_id) != trace(UNSAMPLED)), "its sender wanted none");
    let processed = named(&spans, "process ");
    assert_eq!(processed.len(), JUDGED + 1);
    let by_trace: BTreeMap<_, _> = processed.iter().map(|span| (hex::encode(&span.trace_id), *span)).collect();
    for number in 0..JUDGED {
        let process = by_trace[&trace(number)];
        assert_eq!(hex::encode(&process.parent_span_id), SENDER);
        assert_eq!((process.kind(), process.trace_state.as_str()), (SpanKind::Consumer, "vendor=told"));
        let said = |name| attribute(process, name).unwrap_or_else(|| panic!("no {name} in {process:?}"));
        assert_eq!(said("messaging.system"), "rabbitmq");
        assert_eq!(said("messaging.operation.type"), "process");
        assert_eq!(said("messaging.destination.name"), format!("{}.images", site.name));
        assert_eq!(said("messaging.message.id"), format!("m-{number}"));
        assert_eq!(said("assay.submission_id"), format!("s-{number}"));
        assert_eq!(said("assay.outcome"), "verdict");
        let children: BTreeSet<_> = spans
            .iter()
            .filter(|span| span.parent_span_id == process.span_id && span.trace_id == process.trace_id)
            .map(|span| span.name.split(' ').next().unwrap())
            .collect();
        assert_eq!(children, BTreeSet::from(["decode", "fetch", "publish", "record", "wait"]));
    }
    let failed = by_trace[&trace(MISSING)];
    assert_eq!(failed.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(attribute(failed, "error.type").as_deref(), Some("object_not_found"));

    check_batches(&spans, &by_trace);
    check_published(&site, &worker, &spans).await;
    site.close().await;
}

/// Batches have traces of their own, and links to and from their images.
fn check_batches(spans: &[Span], by_trace: &BTreeMap<String, &Span>) {
    let batches = named(spans, "infer");
    let linked: Vec<_> = batches.iter().flat_map(|batch| &batch.links).map(|link| &link.span_id).collect();
    // The unsampled image is named too, where it was not alone in its batch.
    assert!((JUDGED..=JUDGED + 1).contains(&linked.len()), "{batches:?}");
    for number in 0..JUDGED {
        let process = by_trace[&trace(number)];
        assert!(linked.contains(&&process.span_id));
        assert!(batches.iter().any(|batch| batch.span_id == process.links[0].span_id));
    }
    let counted: usize = batches
        .iter()
        .map(|span| attribute(span, "messaging.batch.message_count").unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(counted, linked.len());
}

/// Every outcome carries its trace on, the failure and what is not sampled too.
async fn check_published(site: &Site, worker: &Worker, spans: &[Span]) {
    let mut reader = Reader::of_results(&site.broker).await.unwrap();
    for _ in 0..=UNSAMPLED {
        let letter = reader.next().await.unwrap();
        letter.acknowledge().await.unwrap();
        let headers = &letter.message.properties.headers;
        let id = letter.message.properties.correlation_id.as_deref().unwrap();
        let number: usize = id.strip_prefix("s-").unwrap().parse().unwrap();
        let parts: Vec<_> = headers["traceparent"].split('-').collect();
        assert_eq!((parts[1], parts[3]), (trace(number).as_str(), if number == UNSAMPLED { "00" } else { "01" }));
        assert_eq!(headers["tracestate"], "vendor=told");
        let published = named(spans, "publish ").into_iter().any(|span| hex::encode(&span.span_id) == parts[2]);
        assert_eq!(published, number != UNSAMPLED);
        assert!(worker.log().contains(&format!("\"trace\":\"{}\"", trace(number))), "{}", worker.log());
    }
    reader.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_costs_nothing_but_traces() {
    const SUBMISSIONS: usize = 400;
    // Connections are taken by the kernel, and nobody reads them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let site = Site::open().await;
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    site.submit((0..SUBMISSIONS).map(|number| request(&format!("s-{number}"), &key))).await;
    let settings = [
        ("ASSAY__TRACES__ENDPOINT", endpoint.as_str()),
        ("ASSAY__TRACES__SAMPLE_RATIO", "1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        // Smaller than what comes.
        ("OTEL_BSP_MAX_QUEUE_SIZE", "32"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16"),
    ];
    let mut worker = site.worker(&settings).await;
    site.until_recorded(SUBMISSIONS).await;
    worker.terminate();
    assert!(worker.ended(GRACE).await.success(), "{}", worker.log());
    assert!(worker.log().contains("the last traces were not delivered"), "{}", worker.log());
    assert_eq!(site.depth("images").await, 0);
    site.close().await;
}
