//! The documents that others rely on: our own readers take the examples, and the tables are complete.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artefact::Manifest;
use broker::wire::{self, Message, Properties};
use domain::{Correction, FailureCode, Outcome, OutcomeId, Purpose, Request};
use serde_json::Value;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn example(name: &str) -> Vec<u8> {
    std::fs::read(docs().join("examples").join(format!("{name}.json"))).unwrap()
}

fn request(name: &str) -> Request {
    let message = Message { body: example(name), properties: Properties::default() };
    let mut requests = wire::read(&message, false, &BTreeMap::new()).unwrap();
    assert_eq!(requests.len(), 1, "{name}");
    requests.remove(0)
}

#[test]
fn the_example_requests_are_read_whole() {
    let minimal = request("request-minimal");
    assert_eq!((minimal.key.submission_id.as_str(), minimal.key.tenant.as_str()), ("post-123/img-1", "default"));
    let full = request("request-full");
    assert_eq!((full.key.generation, full.purpose, full.key.tenant.as_str()), (1, Purpose::Reverdict, "acme"));
    assert!(full.deadline.is_some() && full.image.version_id.is_some() && full.image.etag.is_some());
    assert_eq!(full.metadata.len(), 2);
    let event = request("cloudevent");
    assert_eq!((&event.image, &event.metadata), (&full.image, &full.metadata));
    assert_eq!(request("event-s3").image.key, "u/my photo+ü.jpg");
}

#[test]
fn the_example_outcomes_are_written_as_they_are_read() {
    for name in ["verdict-real", "verdict-synthetic", "verdict-uncertain", "verdict-unknown", "failure"] {
        let outcome: Outcome = serde_json::from_slice(&example(name)).unwrap();
        assert_eq!(outcome.id(), OutcomeId::of(&outcome.key()), "{name}");
        let written = serde_json::to_value(&outcome).unwrap();
        // Numbers of 32 bits are written with fewer digits than JSON's own.
        let again: Outcome = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(again, outcome, "{name}");
        let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&written), fields(&serde_json::from_slice(&example(name)).unwrap()), "{name}");
    }
}

#[test]
fn the_example_labels_and_the_manifest_are_read() {
    for name in ["label", "label-image"] {
        let document: Value = serde_json::from_slice(&example(name)).unwrap();
        let correction = Correction::of_document(document.as_object().unwrap()).unwrap();
        assert_eq!(serde_json::to_value(&correction).unwrap()["actor"], document["actor"], "{name}");
    }
    Manifest::of_bytes(&example("manifest")).unwrap();
}

#[test]
fn the_integrators_guide_has_a_row_for_each_failure() {
    let guide = std::fs::read_to_string(docs().join("integrators.md")).unwrap();
    let missing: Vec<_> =
        FailureCode::ALL.iter().filter(|code| !guide.contains(&format!("\n| `{}` |", code.as_str()))).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}
