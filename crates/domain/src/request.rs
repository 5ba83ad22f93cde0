//! A submission: one image that somebody wants judged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Longest `submission_id`, in bytes.
pub const MAX_SUBMISSION_ID: usize = 256;
/// Longest tenant name, in bytes. Tenants are words of routing keys, so they hold letters, digits, `_` and `-` only.
pub const MAX_TENANT: usize = 64;
/// Longest bucket name, in bytes.
pub const MAX_BUCKET: usize = 255;
/// Longest object key, in bytes (the limit of S3).
pub const MAX_KEY: usize = 1024;
/// Longest name of a generator, in bytes.
pub const MAX_LABEL: usize = 64;
/// Largest `metadata`, in bytes of its JSON text.
pub const MAX_METADATA: usize = 4096;

/// The idempotency key: one outcome for each, ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubmissionKey {
    pub tenant: String,
    pub submission_id: String,
    /// 0 for the first verdict; the next generation asks for a new one (an appeal, a new model).
    pub generation: u32,
}

/// Where the image lies, and what the submitter knows of its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ImageRef {
    #[schemars(length(min = 1, max = MAX_BUCKET))]
    pub bucket: String,
    /// As the object is called, not URL-encoded. At most 1024 bytes.
    #[schemars(length(min = 1, max = MAX_KEY))]
    pub key: String,
    /// The version that is meant, in a bucket that keeps versions.
    #[serde(default)]
    pub version_id: Option<String>,
    /// What the object store called these bytes, with or without quotes.
    #[serde(default)]
    pub etag: Option<String>,
    /// Of the bytes, hexadecimal.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    pub sha256: Option<String>,
}

impl ImageRef {
    /// Whether two references may name the same image: what both of them state is equal.
    pub fn agrees_with(&self, other: &ImageRef) -> bool {
        fn etag(image: &ImageRef) -> Option<&str> {
            image.etag.as_deref().map(bare_etag)
        }
        fn agree(left: Option<&str>, right: Option<&str>) -> bool {
            left.zip(right).is_none_or(|(left, right)| left == right)
        }
        self.bucket == other.bucket
            && self.key == other.key
            && agree(self.version_id.as_deref(), other.version_id.as_deref())
            && agree(etag(self), etag(other))
            && agree(self.sha256.as_deref(), other.sha256.as_deref())
    }
}

/// An etag without the quotes that HTTP puts around it and that S3's event notifications leave off.
pub fn bare_etag(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

/// Why the image is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Somebody has just uploaded it.
    #[default]
    Live,
    /// It has been there for long.
    Backfill,
    /// It was judged before and shall be looked at afresh; goes with the next `generation`.
    Reverdict,
}

impl Purpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Live => "live",
            Purpose::Backfill => "backfill",
            Purpose::Reverdict => "reverdict",
        }
    }
}

/// W3C trace context, handed through untouched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// The trace's id: 32 hexadecimal digits, not all of them 0.
    pub fn id(&self) -> Option<&str> {
        let id = self.traceparent.as_deref()?.split('-').nth(1)?;
        let digits = id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        (digits && id.bytes().any(|digit| digit != b'0')).then_some(id)
    }
}

/// How the request came: what is needed to answer it, but is no part of the question.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// 1 for the first try; each step of the retry ladder adds one.
    pub attempt: u32,
    /// Whether the broker had handed the message out before.
    pub redelivered: bool,
    /// When the submitter published it, if it said so.
    pub enqueued_at: Option<OffsetDateTime>,
    pub message_id: Option<String>,
    pub correlation_id: Option<String>,
    /// A queue that gets a copy of the outcome.
    pub reply_to: Option<String>,
    pub trace: TraceContext,
}

impl Default for Context {
    fn default() -> Self {
        Context {
            attempt: 1,
            redelivered: false,
            enqueued_at: None,
            message_id: None,
            correlation_id: None,
            reply_to: None,
            trace: TraceContext::default(),
        }
    }
}

/// One image to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub key: SubmissionKey,
    pub image: ImageRef,
    pub deadline: Option<OffsetDateTime>,
    pub purpose: Purpose,
    /// Echoed back with the outcome; an object of at most [`MAX_METADATA`] bytes.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    pub context: Context,
}

/// A field that is outside its contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct RequestError {
    pub field: &'static str,
    pub problem: String,
}

impl RequestError {
    pub fn new(field: &'static str, problem: impl Into<String>) -> Self {
        RequestError { field, problem: problem.into() }
    }
}

impl Request {
    /// Checks every bound of the contract that types do not already hold.
    pub fn validate(&self) -> Result<(), RequestError> {
        validate_length("submission_id", &self.key.submission_id, MAX_SUBMISSION_ID)?;
        validate_tenant(&self.key.tenant)?;
        validate_image(&self.image)?;
        if self.key.generation > i32::MAX as u32 {
            return Err(RequestError::new("generation", "must be at most 2147483647"));
        }
        let metadata = serde_json::to_string(&self.metadata).map_or(usize::MAX, |text| text.len());
        if metadata > MAX_METADATA {
            return Err(RequestError::new(
                "metadata",
                format!("is {metadata} bytes of JSON; at most {MAX_METADATA} are echoed back"),
            ));
        }
        Ok(())
    }
}

pub(super) fn validate_image(image: &ImageRef) -> Result<(), RequestError> {
    validate_length("image.bucket", &image.bucket, MAX_BUCKET)?;
    validate_length("image.key", &image.key, MAX_KEY)?;
    match &image.sha256 {
        Some(digest) if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Err(RequestError::new("image.sha256", "must be 64 hexadecimal digits"))
        }
        _ => Ok(()),
    }
}

/// A tenant is one word of a routing key.
pub fn validate_tenant(tenant: &str) -> Result<(), RequestError> {
    validate_length("tenant", tenant, MAX_TENANT)?;
    if tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        Ok(())
    } else {
        Err(RequestError::new("tenant", "may hold letters, digits, `_` and `-` only: it is a word of the routing key"))
    }
}

pub(super) fn validate_length(field: &'static str, text: &str, most: usize) -> Result<(), RequestError> {
    match text.len() {
        0 => Err(RequestError::new(field, "is empty")),
        n if n > most => Err(RequestError::new(field, format!("is {n} bytes long; at most {most} are allowed"))),
        _ if text.contains('\0') => Err(RequestError::new(field, "holds a NUL character")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_trace_is_read_where_there_is_one() {
        let id =
            |text: &str| TraceContext { traceparent: Some(text.into()), tracestate: None }.id().map(str::to_string);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(id(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        for none in ["", "00", "00-4bf92f35-00f067aa0ba902b7-01", &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32))]
        {
            assert_eq!(id(none), None, "{none}");
        }
        assert_eq!(TraceContext::default().id(), None);
    }

    fn request() -> Request {
        Request {
            key: SubmissionKey { tenant: "acme".into(), submission_id: "post-1".into(), generation: 0 },
            image: ImageRef { bucket: "uploads".into(), key: "u/1.jpg".into(), ..ImageRef::default() },
            deadline: None,
            purpose: Purpose::Live,
            metadata: serde_json::Map::new(),
            context: Context::default(),
        }
    }

    #[test]
    fn bounds_are_checked_and_named() {
        assert_eq!(request().validate(), Ok(()));
        let field = |change: fn(&mut Request)| {
            let mut request = request();
            change(&mut request);
            request.validate().unwrap_err().field
        };
        assert_eq!(field(|r| r.key.submission_id = String::new()), "submission_id");
        assert_eq!(field(|r| r.key.submission_id = "x".repeat(257)), "submission_id");
        assert_eq!(field(|r| r.key.submission_id = "a\0b".into()), "submission_id");
        assert_eq!(field(|r| r.key.tenant = "a.b".into()), "tenant");
        assert_eq!(field(|r| r.image.bucket = String::new()), "image.bucket");
        assert_eq!(field(|r| r.image.sha256 = Some("abc".into())), "image.sha256");
        assert_eq!(
            field(|r| {
                r.metadata.insert("k".into(), "v".repeat(5000).into());
            }),
            "metadata"
        );
    }

    #[test]
    fn metadata_may_be_as_large_as_its_limit() {
        let sized = |bytes: usize| {
            let mut request = request();
            request.metadata.insert("k".into(), "v".repeat(bytes - r#"{"k":""}"#.len()).into());
            request.validate().is_ok()
        };
        assert!(sized(MAX_METADATA) && !sized(MAX_METADATA + 1));
    }

    #[test]
    fn references_agree_if_what_both_state_is_equal() {
        let plain = request().image;
        let digested = ImageRef { sha256: Some("a".repeat(64)), ..plain.clone() };
        let other = ImageRef { sha256: Some("b".repeat(64)), ..plain.clone() };
        assert!(plain.agrees_with(&digested) && digested.agrees_with(&plain));
        assert!(!digested.agrees_with(&other));
        let tagged = |etag: &str| ImageRef { etag: Some(etag.into()), ..plain.clone() };
        assert!(tagged("\"1a\"").agrees_with(&tagged("1a")) && !tagged("1a").agrees_with(&tagged("1b")));
        assert!(tagged("W/\"1a\"").agrees_with(&tagged("1a")));
        assert!(!plain.agrees_with(&ImageRef { key: "u/2.jpg".into(), ..plain.clone() }));
    }
}
