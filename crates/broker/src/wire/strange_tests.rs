//! Messages that are read although something about them is strange.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use time::macros::datetime;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(body: &[u8], encoding: Option<&str>) -> Message {
    let properties = Properties { content_encoding: encoding.map(str::to_string), ..Properties::default() };
    Message { body: body.into(), properties }
}

fn each(body: &[u8], encoding: Option<&str>) -> Result<Reading, WireError> {
    read_each(&encoded(body, encoding), false, &BTreeMap::new())
}

fn with_metadata(metadata: &str) -> Vec<u8> {
    format!(r#"{{"submission_id":"a","image":{{"bucket":"b","key":"k"}},"metadata":{metadata}}}"#).into_bytes()
}

#[test]
fn packed_and_marked_bodies_are_read_and_other_packings_are_named() {
    let plain = with_metadata("{}");
    let expected = each(&plain, None).unwrap().requests;
    let marked = [b"\xef\xbb\xbf", plain.as_slice()].concat();
    for (body, encoding) in [
        (plain.clone(), Some("utf-8")),
        (plain.clone(), Some("gzip")),
        (marked.clone(), None),
        (gzip(&plain), Some("gzip")),
        (gzip(&marked), Some("GZIP")),
    ] {
        assert_eq!(each(&body, encoding).unwrap().requests, expected, "{encoding:?}");
    }
    assert!(each(b"\x0b\x02", Some("br")).unwrap_err().to_string().contains("\"br\""));
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(each(&utf16, None).unwrap_err().to_string().contains("UTF-16"));
    let bomb = gzip(&vec![b' '; 3 << 20]);
    assert!(bomb.len() < 10_000);
    assert!(matches!(each(&bomb, Some("gzip")), Err(WireError::UnpacksTooLong)));
    assert!(matches!(each(&gzip(&plain)[..30], Some("gzip")), Err(WireError::NotUnpacked(_))));
    let label = br#"{"origin":"real","actor":"me","image":{"bucket":"b","key":"k"}}"#;
    let correction = read_correction(&encoded(&gzip(label), Some("gzip"))).unwrap();
    assert_eq!(correction, read_correction(&encoded(&[b"\xef\xbb\xbf", &label[..]].concat(), None)).unwrap());
}

#[test]
fn half_a_surrogate_pair_in_metadata_is_replaced_and_in_a_name_refused() {
    let metadata = |text: &str| each(&with_metadata(text), None).unwrap().requests.remove(0).metadata;
    let cut = metadata(r#"{"caption":"cut \ud83d","whole":"\ud83d\ude00","other":"\udE00\\ud83d"}"#);
    assert_eq!(Value::from(cut), json!({"caption": "cut \u{fffd}", "whole": "😀", "other": "\u{fffd}\\ud83d"}));
    let key = br#"{"submission_id":"a","image":{"bucket":"b","key":"k\ud83d"},"metadata":{"a":"\ud83d"}}"#;
    assert!(matches!(each(key, None), Err(WireError::NotJson(_))));
    let unread = br#"{"submission_id":"a","image":{"bucket":"b","key":"k"},"title":"\ud83d"}"#;
    assert_eq!(each(unread, None).unwrap().requests.len(), 1, "fields that are not listed are ignored");
}

#[test]
fn numbers_in_metadata_come_back_digit_for_digit() {
    let sent = r#"{"amount":1.10,"big":12345678901234567890123,"far":1e+400,"hundred":1e+2,"zero":-0.0}"#;
    let request = each(&with_metadata(sent), None).unwrap().requests.remove(0);
    assert_eq!(serde_json::to_string(&request.metadata).unwrap(), sent);
}

#[test]
fn a_time_in_the_wrong_unit_is_no_time() {
    let sent = |seconds: Option<u64>, milliseconds: Option<&str>| {
        let headers = milliseconds.map(|text| (headers::TIMESTAMP_MS.to_string(), text.to_string())).into_iter();
        let properties = Properties { timestamp: seconds, headers: headers.collect(), ..Properties::default() };
        let message = Message { body: with_metadata("{}"), properties };
        read(&message, false, &BTreeMap::new()).unwrap().remove(0).context.enqueued_at
    };
    let right = Some(datetime!(2027-01-15 08:00 UTC));
    assert_eq!(sent(Some(1_800_000_000), None), right);
    assert_eq!(sent(Some(1_800_000_000_000), None), None, "milliseconds for seconds");
    assert_eq!(sent(None, Some("1800000000")), None, "seconds for milliseconds");
    assert_eq!(sent(None, Some("1800000000000000")), None, "microseconds for milliseconds");
    assert_eq!(sent(Some(0), None), None);
    assert_eq!(sent(Some(1_800_000_000), Some("1800000000")), right, "the other one is right");
}

#[test]
fn of_trace_headers_no_more_is_handed_on_than_w3c_asks_for() {
    let mut message = encoded(&with_metadata("{}"), None);
    message.properties.headers.insert(headers::TRACEPARENT.into(), "00-1-2-01".into());
    message.properties.headers.insert(headers::TRACESTATE.into(), format!("a=b,c={}", "x".repeat(130_950)));
    let reading = read_each(&message, false, &BTreeMap::new()).unwrap();
    assert_eq!((reading.requests[0].context.trace.tracestate.as_deref(), reading.headers_dropped), (Some("a=b"), 1));
    let event = json!({"specversion": "1.0", "traceparent": "00-1-2-01", "tracestate": "x".repeat(100_000),
        "data": {"submission_id": "a", "image": {"bucket": "b", "key": "k"}}});
    let reading = each(event.to_string().as_bytes(), None).unwrap();
    assert_eq!((reading.requests[0].context.trace.tracestate.as_deref(), reading.headers_dropped), (None, 1));
}

fn record(event: &str, object: &Value) -> Value {
    json!({"eventName": event, "s3": {"bucket": {"name": "uploads"}, "object": object}})
}

fn keys(records: &[Value]) -> Vec<String> {
    let body = json!({"Records": records}).to_string();
    let requests = each(body.as_bytes(), None).unwrap().requests;
    requests.into_iter().map(|request| request.image.key).collect()
}

#[test]
fn one_bad_record_spoils_only_itself() {
    let good = |key: &str| record("ObjectCreated:Put", &json!({"key": key}));
    let bad = [record("ObjectCreated:Put", &json!({"key": "%FF"})), json!("no object"), json!({"eventName": 7})];
    let records: Vec<_> = [good("1")].into_iter().chain(bad.clone()).chain([good("2")]).collect();
    let body = json!({"Records": records}).to_string();
    let reading = each(body.as_bytes(), None).unwrap();
    let read_keys: Vec<_> = reading.requests.iter().map(|request| request.image.key.as_str()).collect();
    assert_eq!((read_keys, reading.refused.len()), (vec!["1", "2"], 3));
    let reason = reading.refusal().unwrap();
    assert!(reason.contains("Records[1].s3.object.key") && reason.contains("2 more"), "{reason}");
    assert!(read(&encoded(body.as_bytes(), None), false, &BTreeMap::new()).is_err());
    assert!(each(json!({"Records": bad}).to_string().as_bytes(), None).is_err(), "nothing of it can be read");
}

#[test]
fn what_makes_no_new_bytes_and_stands_for_a_folder_asks_for_nothing() {
    let object = json!({"key": "u/1.jpg", "size": 5});
    let kept = ["PutTagging", "DeleteTagging", "PutRetention", "PutLegalHold"];
    let records = kept.map(|what| record(&format!("s3:ObjectCreated:{what}"), &object));
    assert_eq!(keys(&records), [] as [&str; 0]);
    let made = ["Put", "Post", "Copy", "CompleteMultipartUpload"];
    assert_eq!(keys(&made.map(|what| record(&format!("s3:ObjectCreated:{what}"), &object))).len(), 4);
    let folders = [
        json!({"key": "x/", "size": 0}),
        json!({"key": "x/", "size": "0"}),
        json!({"key": "x%2F", "eTag": "\"d41d8cd98f00b204e9800998ecf8427e\""}),
    ];
    assert_eq!(keys(&folders.map(|object| record("ObjectCreated:Put", &object))), [] as [&str; 0]);
    let images = [json!({"key": "x/", "size": 5}), json!({"key": "x/"}), json!({"key": "x", "size": 0})];
    assert_eq!(keys(&images.map(|object| record("ObjectCreated:Put", &object))), ["x/", "x/", "x"]);
    let event = json!({"source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": "uploads"}, "object": {"key": "x/", "size": 0}}});
    assert_eq!(each(event.to_string().as_bytes(), None).unwrap().requests, []);
}
