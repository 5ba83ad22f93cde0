//! Writes the first files of each target's corpus: the tests' own images, and a document of every form.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/it/support/images.rs"]
mod images;

use std::path::Path;

const DOCUMENTS: &[(&str, &str)] = &[
    ("native", r#"{"submission_id": "post-1/img-1", "tenant": "acme", "generation": 2, "purpose": "reverdict", "deadline": "2031-01-01T00:00:00Z", "image": {"bucket": "uploads", "key": "u/1.jpg", "version_id": "v", "etag": "\"0\"", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, "metadata": {"a": [1, null, {"b": 1e9}]}}"#),
    ("cloud_event", r#"{"specversion": "1.0", "id": "1", "source": "/app", "type": "image.uploaded", "subject": "s", "time": "2026-01-01T00:00:00Z", "data": {"submission_id": "post-1/img-1", "image": {"bucket": "uploads", "key": "u/1.jpg"}}}"#),
    ("cloud_event", r#"{"specversion": "1.0", "id": "1", "source": "/app", "type": "t", "datacontenttype": "application/json", "data_base64": "e30="}"#),
    ("s3_event", r#"{"Records": [{"eventVersion": "2.1", "eventName": "ObjectCreated:Put", "eventTime": "2026-01-01T00:00:00.000Z", "s3": {"bucket": {"name": "uploads"}, "object": {"key": "u/a+b%20c.jpg", "size": 9, "eTag": "0", "versionId": "v", "sequencer": "00A1"}}}]}"#),
    ("s3_event", r#"{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}"#),
    ("manifest", r#"{"schema": "assay.model.v1", "version": "v1", "trained": true, "architecture": "resnet50-nodown", "preprocessing": "imaginet-centre-256@1", "labels": {"id": "imaginet-4@1", "generators": [{"label": "gan", "family": "gan"}]}, "calibration": {"scale": 1.0, "bias": 0.0}, "thresholds": {"low": 0.3, "high": 0.7}, "lineage": {"source": "random, seed 0", "source_sha256": null, "made_at": "2026-01-01T00:00:00Z"}, "weights": {"file": "weights.safetensors", "sha256": "00"}}"#),
];

/// pickle.dumps({"model": {"a": 1, "b": (2, 300)}, "epoch": -5}, protocol=2), and a call that must not be made.
const PICKLES: &[&[u8]] = &[
    b"\x80\x02}q\x00(X\x05\x00\x00\x00modelq\x01}q\x02(X\x01\x00\x00\x00aq\x03K\x01X\x01\x00\x00\x00bq\x04K\x02M,\x01\x86q\x05uX\x05\x00\x00\x00epochq\x06J\xfb\xff\xff\xffu.",
    b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00K\x02K\x02\x86K\x02K\x01\x86\x89ccollections\nOrderedDict\n)RtR.",
];

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(corpus.join(target))?;
        std::fs::write(corpus.join(target).join(name), bytes)
    };
    for (name, bytes) in images::one_of_each_at(12) {
        let target = match name.rsplit('.').next() {
            Some("jpg") => "jpeg",
            Some(other) => other,
            None => continue,
        };
        write(target, &format!("seed-{name}"), &bytes)?;
        write("provenance", &format!("seed-{name}"), &bytes)?;
    }
    for sample in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/imaging/samples"))? {
        let sample = sample?.path();
        let (Some(name), Some(target)) = (sample.file_name(), sample.extension()) else { continue };
        if target != "md" {
            write(&target.to_string_lossy(), &format!("seed-{}", name.to_string_lossy()), &std::fs::read(&sample)?)?;
        }
    }
    for (number, (target, text)) in DOCUMENTS.iter().enumerate() {
        write(target, &format!("seed-{number}"), text.as_bytes())?;
    }
    for (number, pickle) in PICKLES.iter().enumerate() {
        write("pickle", &format!("seed-pickle-{number}"), pickle)?;
    }
    Ok(())
}
