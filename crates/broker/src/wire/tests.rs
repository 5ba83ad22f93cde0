use proptest::prelude::*;
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use domain::{FailureCode, ImageRef, Purpose, SubmissionKey};

fn tenants() -> BTreeMap<String, String> {
    BTreeMap::from([("uploads".into(), "acme".into())])
}

fn message(body: &Value) -> Message {
    Message { body: body.to_string().into_bytes(), properties: Properties::default() }
}

fn read_all(body: &Value) -> Result<Vec<Request>, WireError> {
    read(&message(body), false, &tenants())
}

fn read_one(body: &Value) -> Request {
    let mut requests = read_all(body).unwrap();
    assert_eq!(requests.len(), 1, "{body}");
    requests.remove(0)
}

fn whole() -> Value {
    json!({
        "submission_id": "post-123/img-1", "tenant": "acme", "generation": 2, "purpose": "reverdict",
        "deadline": "2026-03-01T10:00:00+01:00", "metadata": {"post": 123}, "surprise": [1],
        "image": {"bucket": "uploads", "key": "u/ü 1.jpg", "version_id": "v7", "etag": "\"abc\"",
                  "sha256": "AB".repeat(32), "surprise": {}}
    })
}

fn least() -> Value {
    json!({"submission_id": "a", "image": {"bucket": "uploads", "key": "k"}})
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(map), Value::Null) => drop(map.remove(field)),
        (Value::Object(map), value) => drop(map.insert(field.into(), value)),
        (other, _) => panic!("{other} has no field {field}"),
    }
    body
}

#[test]
fn a_native_request_is_read_whole() {
    let request = read_one(&whole());
    assert_eq!(
        request.key,
        SubmissionKey { tenant: "acme".into(), submission_id: "post-123/img-1".into(), generation: 2 }
    );
    let image = ImageRef {
        bucket: "uploads".into(),
        key: "u/ü 1.jpg".into(),
        version_id: Some("v7".into()),
        etag: Some("abc".into()),
        sha256: Some("ab".repeat(32)),
    };
    assert_eq!(request.image, image);
    assert_eq!(request.deadline, Some(datetime!(2026-03-01 09:00 UTC)));
    assert_eq!(request.purpose, Purpose::Reverdict);
    assert_eq!(request.metadata["post"], 123);
}

#[test]
fn what_is_not_said_has_a_default() {
    let request = read_one(&least());
    assert_eq!(request.key.tenant, "acme", "the bucket's tenant");
    assert_eq!((request.key.generation, request.purpose), (0, Purpose::Live));
    assert_eq!(request.image.etag, None);
    assert_eq!(read_one(&with(least(), "/image/bucket", json!("other"))).key.tenant, "default");
    let nulls = json!({"submission_id": "a", "tenant": null, "deadline": null, "generation": null, "purpose": null,
        "metadata": null, "image": {"bucket": "uploads", "key": "k", "version_id": null, "etag": null, "sha256": null}});
    assert_eq!(read_one(&nulls), read_one(&least()));
}

#[test]
fn what_is_wrong_is_named() {
    let event = json!({"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "data": least()});
    let cases = [
        (with(least(), "/submission_id", json!(7)), "`submission_id` must be text, not a number"),
        (with(least(), "/submission_id", json!("")), "`submission_id` is empty"),
        (with(least(), "/submission_id", json!("x".repeat(257))), "`submission_id` is 257 bytes long"),
        (with(least(), "/submission_id", Value::Null), "`submission_id` is missing"),
        (with(least(), "/image", Value::Null), "`image` is missing"),
        (with(least(), "/image", json!("s3://a/b")), "`image` must be an object, not text"),
        (with(least(), "/image/key", Value::Null), "`image.key` is missing"),
        (with(least(), "/image/bucket", json!([])), "`image.bucket` must be text, not a list"),
        (with(least(), "/image/sha256", json!("abc")), "`image.sha256` must be 64 hexadecimal digits"),
        (with(least(), "/image/etag", json!(1)), "`image.etag` must be text"),
        (with(least(), "/tenant", json!("a.b")), "`tenant` may hold"),
        (with(least(), "/generation", json!(-1)), "`generation` must be a whole number"),
        (with(least(), "/generation", json!(1.5)), "`generation` must be a whole number"),
        (with(least(), "/generation", json!(4_000_000_000_u32)), "`generation` must be at most"),
        (with(least(), "/deadline", json!("tomorrow")), "`deadline` must be a time"),
        (with(least(), "/purpose", json!("fun")), "`purpose` must be \"live\""),
        (with(least(), "/metadata", json!([])), "`metadata` must be an object, not a list"),
        (with(least(), "/metadata", json!({"k": "v".repeat(5000)})), "`metadata` is 5008 bytes"),
        (with(event.clone(), "/data/image/key", json!(1)), "`data.image.key` must be text"),
        (with(event.clone(), "/data/tenant", json!("")), "`data.tenant` is empty"),
        (with(event.clone(), "/data", Value::Null), "`data` is missing"),
        (with(event.clone(), "/data", json!("e30=")), "`data` must be an object"),
        (with(event, "/specversion", json!("0.3")), "`specversion` must be \"1.0\""),
        (json!({"specversion": "1.0", "data_base64": "e30="}), "`data_base64` is not read"),
        (with(fixture("aws-sns"), "/Message", json!("hello")), "`Message` holds no JSON"),
        (with(fixture("aws-eventbridge"), "/detail/object/key", Value::Null), "`detail.object.key` is missing"),
        (with(fixture("aws-eventbridge"), "/detail/bucket/name", json!("")), "`detail.bucket.name` is empty"),
        (json!({"hello": 1}), "none of the three forms"),
        (json!([least()]), "none of the three forms"),
        (json!("text"), "none of the three forms"),
        (json!({"Records": {}}), "`Records` must be a list, not an object"),
        (json!({"Records": [1]}), "`Records[0]` must be an object"),
        (json!({"Records": [{"s3": {}}]}), "`Records[0].eventName` is missing"),
        (json!({"Records": vec![json!({}); 1001]}), "`Records` holds 1001 records"),
        (with(aws(), "/Records/0/s3/object/key", Value::Null), "`Records[0].s3.object.key` is missing"),
        (with(aws(), "/Records/0/s3/object/key", json!("%FF")), "`Records[0].s3.object.key` is not URL-encoded"),
        (with(aws(), "/Records/0/s3/object/key", json!("a%00b")), "`Records[0].s3.object.key` holds a NUL"),
        (with(aws(), "/Records/0/s3/bucket/name", json!(3)), "`Records[0].s3.bucket.name` must be text"),
    ];
    for (body, expected) in cases {
        let error = read_all(&body).unwrap_err().to_string();
        assert!(error.contains(expected), "{body}\n  said {error:?}\n  not {expected:?}");
    }
}

#[test]
fn what_is_no_json_or_too_long_is_refused() {
    let read_bytes = |body: &[u8]| {
        read(&Message { body: body.to_vec(), properties: Properties::default() }, false, &tenants()).unwrap_err()
    };
    assert!(matches!(read_bytes(b"{\"submission_id\": "), WireError::NotJson(_)));
    assert!(matches!(read_bytes(b""), WireError::NotJson(_)));
    assert!(matches!(read_bytes(b"\xff\xfe{}"), WireError::Utf16));
    assert!(matches!(read_bytes("[".repeat(100_000).as_bytes()), WireError::NotJson(_)));
    assert!(matches!(read_bytes(&vec![b' '; MAX_BODY + 1]), WireError::TooLong(bytes) if bytes == MAX_BODY + 1));
}

/// A message as somebody's object store or bridge sends it.
fn fixture(name: &str) -> Value {
    let path = format!("{}/../../tests/fixtures/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn aws() -> Value {
    fixture("aws")
}

fn minio() -> Value {
    fixture("minio")
}

#[test]
fn each_vendors_notification_is_read() {
    let cases = [
        (
            aws(),
            "uploads",
            "u/my photo+ü.jpg",
            Some("096fKKXTRTtl3on89fVO.nfljtsv6qko"),
            "d41d8cd98f00b204e9800998ecf8427e",
            "acme",
        ),
        (minio(), "uploads", "u/my photo.jpg", None, "5fc7298143efe1276d39a3466d4e255f-1", "acme"),
        (fixture("ceph"), "archive", "a+b 100%/1.jpg", None, "37b51d194a7513e45b56f6524f2d51f2-2", "default"),
        (fixture("bare"), "archive", "a b.png", None, "e1", "default"),
    ];
    for (body, bucket, key, version, etag, tenant) in cases {
        let request = read_one(&body);
        assert_eq!((request.image.bucket.as_str(), request.image.key.as_str()), (bucket, key));
        assert_eq!(request.image.version_id.as_deref(), version, "{body}");
        assert_eq!(request.image.etag.as_deref(), Some(etag));
        assert_eq!(request.key.tenant, tenant);
        assert_eq!(request, read_one(&body), "the same event is the same submission");
    }
    assert_eq!(read_one(&aws()).context.enqueued_at, Some(datetime!(2026-01-02 03:04:05.678 UTC)));
}

#[test]
fn an_event_of_aws_is_the_same_submission_by_whichever_way_it_comes() {
    let plain = read_one(&aws());
    for (body, finer) in [(fixture("aws-sns"), true), (fixture("aws-eventbridge"), false)] {
        let mut request = read_one(&body);
        if !finer {
            assert_eq!(request.context.enqueued_at, Some(datetime!(2026-01-02 03:04:05 UTC)));
            request.context.enqueued_at = plain.context.enqueued_at;
        }
        assert_eq!(request, plain);
    }
}

#[test]
fn each_write_to_a_key_is_a_submission_of_its_own() {
    let id = |body: &Value| read_one(body).key.submission_id;
    let first = id(&aws());
    for (field, value) in [("key", "other"), ("eTag", "e"), ("versionId", "v"), ("sequencer", "1")] {
        assert_ne!(first, id(&with(aws(), &format!("/Records/0/s3/object/{field}"), json!(value))), "{field}");
    }
    assert!(first.starts_with("s3:uploads/u/my photo+ü.jpg:"), "{first}");
    let long = id(&with(aws(), "/Records/0/s3/object/key", json!("k".repeat(1024))));
    assert!(long.len() <= 256 && long.starts_with("s3:"), "{long}");
}

#[test]
fn events_that_ask_for_nothing_are_read_as_nothing() {
    let removed = with(aws(), "/Records/0/eventName", json!("ObjectRemoved:Delete"));
    let marker = with(minio(), "/Records/0/eventName", json!("s3:ObjectRemoved:DeleteMarkerCreated"));
    let tagged = with(aws(), "/Records/0/eventName", json!("ObjectTagging:Put"));
    let deleted = with(fixture("aws-eventbridge"), "/detail-type", json!("Object Deleted"));
    for body in [removed, marker, tagged, deleted, fixture("aws-test"), json!({"Records": []})] {
        assert_eq!(read_all(&body).unwrap(), [], "{body}");
    }
}

#[test]
fn one_notification_may_hold_many_records() {
    let record = aws()["Records"][0].clone();
    let mut records = Vec::new();
    for index in 0..1000 {
        let mut record = record.clone();
        record["s3"]["object"]["sequencer"] = json!(format!("{index:016X}"));
        if index % 2 == 1 {
            record["eventName"] = json!("ObjectRemoved:Delete");
        }
        records.push(record);
    }
    let requests = read_all(&json!({"Records": records})).unwrap();
    let ids: std::collections::BTreeSet<_> = requests.iter().map(|request| &request.key.submission_id).collect();
    assert_eq!((requests.len(), ids.len()), (500, 500));
}

#[test]
fn a_cloud_event_is_its_data() {
    let event = json!({"specversion": "1.0", "id": "e-1", "source": "/uploads", "type": "org.example.upload",
        "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json", "traceparent": "00-a-b-01", "data": whole()});
    let request = read_one(&event);
    assert_eq!(Request { context: Context::default(), ..request.clone() }, read_one(&whole()));
    assert_eq!(request.context.enqueued_at, Some(datetime!(2026-01-02 03:04:05 UTC)));
    assert_eq!(request.context.trace.traceparent.as_deref(), Some("00-a-b-01"));
}

#[test]
fn properties_become_the_context() {
    let mut message = message(&least());
    let header = |name: &str, value: &str| (name.to_string(), value.to_string());
    message.properties = Properties {
        message_id: Some("m-1".into()),
        correlation_id: Some("c-1".into()),
        reply_to: Some("answers".into()),
        timestamp: Some(1_800_000_000),
        headers: BTreeMap::from([
            header(headers::ATTEMPT, "3"),
            header(headers::TRACEPARENT, "00-1-2-01"),
            header(headers::TRACESTATE, "a=b"),
        ]),
        ..Properties::default()
    };
    let context = read(&message, true, &tenants()).unwrap().remove(0).context;
    let expected = Context {
        attempt: 3,
        redelivered: true,
        enqueued_at: Some(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()),
        message_id: Some("m-1".into()),
        correlation_id: Some("c-1".into()),
        reply_to: Some("answers".into()),
        trace: TraceContext { traceparent: Some("00-1-2-01".into()), tracestate: Some("a=b".into()) },
    };
    assert_eq!(context, expected);

    message.properties.headers.insert(headers::TIMESTAMP_MS.into(), "1800000000250".into());
    let finer = read(&message, true, &tenants()).unwrap().remove(0).context.enqueued_at.unwrap();
    assert_eq!(finer.millisecond(), 250);
    for nonsense in ["0", "-4", "many", "99999999999999999999"] {
        message.properties.headers.insert(headers::ATTEMPT.into(), nonsense.into());
        assert_eq!(read(&message, true, &tenants()).unwrap()[0].context.attempt, 1, "{nonsense}");
    }
    message.properties.headers.clear();
    message.properties.timestamp = Some(u64::MAX);
    assert_eq!(read(&message, true, &tenants()).unwrap()[0].context.enqueued_at, None);
}

#[test]
fn what_is_written_is_read_back() {
    for body in [whole(), least()] {
        let mut original = read_one(&body);
        original.context.message_id = Some("m".into());
        let written = request(&original, datetime!(2026-01-02 03:04:05.678 UTC));
        let again = read(&written, false, &BTreeMap::new()).unwrap().remove(0);
        assert_eq!(again.context.enqueued_at, Some(datetime!(2026-01-02 03:04:05.678 UTC)));
        assert_eq!(again.context.message_id.as_deref(), Some("m"));
        assert_eq!(
            Request { context: Context::default(), ..again },
            Request { context: Context::default(), ..original }
        );
    }
}

#[test]
fn an_outcome_carries_its_ids() {
    let mut asked = read_one(&least());
    asked.context.trace.traceparent = Some("00-1-2-01".into());
    let failure = Failure::new(&asked, FailureCode::ObjectNotFound, "gone", datetime!(2026-01-02 03:04:05 UTC));
    let ended = Outcome::Failure(Box::new(failure));
    let message = outcome(Publication { outcome: &ended, context: &asked.context });
    assert_eq!(message.properties.message_id, Some(ended.id().to_string()));
    assert_eq!(message.properties.correlation_id.as_deref(), Some("a"));
    assert_eq!(message.properties.kind.as_deref(), Some("assay.failure.v1"));
    assert_eq!(message.properties.headers[headers::TRACEPARENT], "00-1-2-01");
    assert_eq!(serde_json::from_slice::<Outcome>(&message.body).unwrap(), ended);
}

/// JSON of any shape, with the words that the readers look for as keys.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof!["ObjectCreated:Put", "s3:TestEvent", "1\\.0", "%[0-9A-F]{1,2}\\+"].prop_map(Value::from),
    ];
    let word = prop::sample::select(vec![
        "submission_id",
        "image",
        "bucket",
        "key",
        "tenant",
        "generation",
        "deadline",
        "metadata",
        "purpose",
        "etag",
        "specversion",
        "data",
        "time",
        "Records",
        "eventName",
        "s3",
        "name",
        "object",
        "Event",
        "Type",
        "Message",
        "source",
        "detail-type",
        "detail",
        "versionId",
        "sequencer",
    ]);
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().map(|(key, value)| (key.to_string(), value)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = read(&Message { body, properties: Properties::default() }, false, &tenants());
    }

    #[test]
    fn no_json_makes_the_reader_panic_and_what_it_reads_is_valid(body in any_json()) {
        if let Ok(requests) = read_all(&body) {
            for request in requests {
                prop_assert_eq!(request.validate(), Ok(()));
            }
        }
    }
}
