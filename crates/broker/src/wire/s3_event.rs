//! S3 event notifications, as AWS, MinIO and Ceph send them, and what EventBridge makes of AWS's.
//!
//! They agree on `Records[].s3.bucket.name` and `.object.key`, and on little else: names of events come with
//! and without `s3:`, an unversioned object has no `versionId` or an empty or `"null"` one, etags may be
//! quoted, sizes may be text. Keys are URL-encoded as in a form (`+` is a space), but not by Ceph and EventBridge.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Map;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::error::WireError;
use super::fields::Fields;
use super::native::{read_time, tenant_of};
use super::sent_at::is_plausible;
use domain::request::{MAX_SUBMISSION_ID, bare_etag};
use domain::{Context, ImageRef, Purpose, Request, SubmissionKey};

/// The etag of an object without a byte.
const EMPTY_ETAG: &str = "d41d8cd98f00b204e9800998ecf8427e";
/// What MinIO reports as an `ObjectCreated` though the bytes stay as they are.
const NO_NEW_BYTES: [&str; 4] = ["Tagging", "Retention", "LegalHold", "Acl"];
/// Most records of one S3 event notification.
const MAX_RECORDS: usize = 1000;

/// What AWS sends once when notifications are set up.
pub(super) fn is_test(fields: &Fields<'_>) -> bool {
    matches!(fields.text_if_given("Event"), Ok(Some("s3:TestEvent")))
}

/// Whether EventBridge has wrapped an event of S3.
pub(super) fn is_event_bridge(fields: &Fields<'_>) -> bool {
    matches!(fields.text_if_given("source"), Ok(Some("aws.s3"))) && fields.has("detail-type")
}

/// At most one request: EventBridge hands events out one by one.
pub(super) fn read_event_bridge(
    fields: &Fields<'_>,
    tenants: &BTreeMap<String, String>,
    context: Context,
) -> Result<Vec<Request>, WireError> {
    if fields.text("detail-type")? != "Object Created" {
        return Ok(Vec::new());
    }
    let detail = fields.object("detail")?;
    let (bucket, object) = (detail.object("bucket")?, detail.object("object")?);
    let created = Created {
        key: object.text("key")?.to_string(),
        version_id: object.text_if_given("version-id")?,
        sequencer: object.text_if_given("sequencer")?,
        time: read_time(fields, "time").unwrap_or(None),
        bucket,
        object,
    };
    Ok(created.request(tenants, context)?.into_iter().collect())
}

/// One request for each object that was created; other events ask for nothing. Beside them, why records can't be read; an
/// error where that is so of every record that asks for something.
pub(super) fn read(
    fields: &Fields<'_>,
    tenants: &BTreeMap<String, String>,
    context: &Context,
) -> Result<(Vec<Request>, Vec<WireError>), WireError> {
    let (mut requests, mut refused) = (Vec::new(), Vec::new());
    for record in fields.objects("Records", MAX_RECORDS)? {
        match record.and_then(|record| read_record(&record, tenants, context.clone())) {
            Ok(request) => requests.extend(request),
            Err(error) => refused.push(error),
        }
    }
    if requests.is_empty() && !refused.is_empty() {
        return Err(refused.swap_remove(0));
    }
    Ok((requests, refused))
}

fn created(event: &str) -> bool {
    let what = event.strip_prefix("s3:").unwrap_or(event).strip_prefix("ObjectCreated:");
    what.is_some_and(|what| !NO_NEW_BYTES.iter().any(|word| what.contains(word)))
}

fn read_record(
    record: &Fields<'_>,
    tenants: &BTreeMap<String, String>,
    context: Context,
) -> Result<Option<Request>, WireError> {
    if !created(record.text("eventName")?) {
        return Ok(None);
    }
    let s3 = record.object("s3")?;
    let (bucket, object) = (s3.object("bucket")?, s3.object("object")?);
    let key = object.text("key")?;
    let key = match record.text_if_given("eventSource")? {
        Some("ceph:s3") => key.to_string(),
        _ => decode_key(key).ok_or_else(|| object.error("key", "is not URL-encoded UTF-8"))?,
    };
    let created = Created {
        key,
        version_id: object.text_if_given("versionId")?,
        sequencer: object.text_if_given("sequencer")?,
        // Of use only to measure the wait, so an odd one is no reason to refuse the image.
        time: read_time(record, "eventTime").unwrap_or(None),
        bucket,
        object,
    };
    created.request(tenants, context)
}

/// An object that has come to be, and where the message says so.
struct Created<'a> {
    bucket: Fields<'a>,
    object: Fields<'a>,
    key: String,
    version_id: Option<&'a str>,
    sequencer: Option<&'a str>,
    time: Option<OffsetDateTime>,
}

impl Created<'_> {
    /// None for the empty object by which consoles and tools stand in for a folder.
    fn request(self, tenants: &BTreeMap<String, String>, mut context: Context) -> Result<Option<Request>, WireError> {
        let Created { bucket: named, object, key, version_id, sequencer, time } = self;
        let bucket = named.text("name")?.to_string();
        let version_id = version_id.filter(|id| !id.is_empty() && *id != "null");
        let etag = match object.text_if_given("eTag")? {
            Some(etag) => Some(etag),
            None => object.text_if_given("etag")?,
        };
        let etag = etag.map(bare_etag).filter(|etag| !etag.is_empty());
        if key.ends_with('/') && (object.is_zero("size") || etag == Some(EMPTY_ETAG)) {
            return Ok(None);
        }
        let submission_id =
            submission_id(&bucket, &key, version_id.unwrap_or(""), etag.unwrap_or(""), sequencer.unwrap_or(""));
        context.enqueued_at = context.enqueued_at.or(time.filter(is_plausible));
        let request = Request {
            key: SubmissionKey { tenant: tenant_of(&bucket, tenants), submission_id, generation: 0 },
            image: ImageRef {
                bucket,
                key,
                version_id: version_id.map(str::to_string),
                etag: etag.map(str::to_string),
                sha256: None,
            },
            deadline: None,
            purpose: Purpose::Live,
            metadata: Map::new(),
            context,
        };
        request.validate().map_err(|error| match error.field {
            "image.bucket" => named.error("name", error.problem),
            "image.key" => object.error("key", error.problem),
            _ => WireError::at(object.path(), &error),
        })?;
        Ok(Some(request))
    }
}

fn decode_key(encoded: &str) -> Option<String> {
    let spaced = encoded.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The same event gives the same id, however often it is sent; another write to the same key gives another.
/// The digest keeps ids apart whatever the parts hold, the rest is for people.
pub(super) fn submission_id(bucket: &str, key: &str, version_id: &str, etag: &str, sequencer: &str) -> String {
    let mut digest = Sha256::new();
    for part in [bucket, key, version_id, etag, sequencer] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let digest = digest.finalize();
    let readable = format!("s3:{bucket}/{key}:{}", hex::encode(&digest[..12]));
    if readable.len() <= MAX_SUBMISSION_ID && !readable.contains('\0') {
        readable
    } else {
        format!("s3:{}", hex::encode(digest))
    }
}
