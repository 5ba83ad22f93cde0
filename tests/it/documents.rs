//! The documents that others rely on: our own readers take the examples, and the tables are complete.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artefact::Manifest;
use broker::wire::{self, Message, Properties};
use domain::{Correction, Erased, FailureCode, Outcome, OutcomeId, Purpose, Rejection, Request};
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
fn the_example_of_what_was_erased_is_written_as_it_is_read() {
    let erased: Erased = serde_json::from_slice(&example("erased")).unwrap();
    assert_eq!(erased.routing_key(), "erased.acme");
    let document: Value = serde_json::from_slice(&example("erased")).unwrap();
    assert_eq!(serde_json::to_value(&erased).unwrap(), document);
}

#[test]
fn the_example_rejection_is_written_as_it_is_read() {
    let rejection: Rejection = serde_json::from_slice(&example("rejection")).unwrap();
    assert_eq!(rejection.routing_key(), "rejected.acme");
    let document: Value = serde_json::from_slice(&example("rejection")).unwrap();
    assert_eq!(serde_json::to_value(&rejection).unwrap(), document);
}

/// The vhosts that a document names: in URLs of AMQP, in `-p`, `--vhost` and `vhost:`.
fn vhosts(text: &str) -> Vec<String> {
    let word = |rest: &str, ends: &[char]| rest.split(ends).next().unwrap_or_default().to_string();
    let mut found = Vec::new();
    for url in text.match_indices("amqp").map(|(at, _)| &text[at..]) {
        let Some((_, place)) = url.split_once("://") else { continue };
        let place = word(place, &[' ', '\n', '\'', '"', '`', ')', ',']);
        // One that logs in, on a machine that is none of the reader's own.
        if url.find("://").is_some_and(|at| at <= 5) && place.contains('@') && !place.contains("127.0.0.1") {
            found.push(place.split_once('/').map_or(String::new(), |(_, vhost)| vhost.to_string()));
        }
    }
    for option in ["set_permissions -p ", "--vhost=", "--vhost ", "vhost: "] {
        found.extend(text.split(option).skip(1).map(|rest| word(rest, &[' ', '\n', ')', '}'])));
    }
    found
}

#[test]
fn all_documents_name_one_vhost() {
    let mut found = BTreeMap::new();
    let (root, docs) = (Path::new(env!("CARGO_MANIFEST_DIR")), docs());
    for path in ["least-rights.md", "integrators.md", "operators.md", "asyncapi.yaml", "../deploy/k8s/README.md"] {
        let named = vhosts(&std::fs::read_to_string(docs.join(path)).unwrap());
        assert!(!named.is_empty(), "{path} of {}", root.display());
        found.extend(named.into_iter().map(|vhost| (vhost, path)));
    }
    assert_eq!(found.keys().collect::<Vec<_>>(), ["assay"], "{found:?}");
}

#[test]
fn rights_are_given_in_the_order_that_works_when_pasted() {
    let document = std::fs::read_to_string(docs().join("least-rights.md")).unwrap();
    let at = |words: &str| document.find(words).unwrap_or_else(|| panic!("{words} is not in least-rights.md"));
    let steps = ["rabbitmqctl add_vhost assay\n", "set_permissions -p assay assay_setup", "CREATE ROLE assay_worker"];
    assert!(steps.windows(2).all(|pair| at(pair[0]) < at(pair[1])));
    assert!(at("then `assay migrate`") < at("rabbitmqctl add_vhost"), "said before the first block");
}

#[test]
fn the_integrators_guide_has_a_row_for_each_failure() {
    let guide = std::fs::read_to_string(docs().join("integrators.md")).unwrap();
    let missing: Vec<_> =
        FailureCode::ALL.iter().filter(|code| !guide.contains(&format!("\n| `{}` |", code.as_str()))).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}
