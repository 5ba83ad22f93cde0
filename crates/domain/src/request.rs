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
/// Longest `version_id`, in bytes (the limit of S3).
pub const MAX_VERSION_ID: usize = 1024;
/// Longest `etag`, in bytes.
pub const MAX_ETAG: usize = 1024;
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

/// W3C trace context, handed through untouched as far as W3C asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
}

/// What of `tracestate` is handed on, in bytes: as much as W3C asks of everybody.
pub const MAX_TRACESTATE: usize = 512;
/// Members of `tracestate` that are longer than this are the first to be left out.
const LONG_MEMBER: usize = 128;
/// Longest `traceparent`, in bytes. That of version 00 has 55.
const MAX_TRACEPARENT: usize = 256;

impl TraceContext {
    /// What is handed on of these headers, and how many of the two were cut or left out.
    pub fn bounded(traceparent: Option<String>, tracestate: Option<String>) -> (TraceContext, u64) {
        let given = (traceparent.clone(), tracestate.clone());
        let traceparent = traceparent.filter(|text| text.len() <= MAX_TRACEPARENT);
        // Without its parent it belongs to no trace.
        let keep = given.0.is_none() || traceparent.is_some();
        let tracestate = tracestate.filter(|_| keep).map(bounded_tracestate).filter(|text| !text.is_empty());
        let dropped = u64::from(given.0 != traceparent) + u64::from(given.1 != tracestate);
        (TraceContext { traceparent, tracestate }, dropped)
    }

    /// The trace's id: 32 hexadecimal digits, not all of them 0.
    pub fn id(&self) -> Option<&str> {
        let id = self.traceparent.as_deref()?.split('-').nth(1)?;
        let digits = id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        (digits && id.bytes().any(|digit| digit != b'0')).then_some(id)
    }
}

/// Whole members only: first those that are not long, then from the left, where the newest are.
fn bounded_tracestate(whole: String) -> String {
    if whole.len() <= MAX_TRACESTATE {
        return whole;
    }
    let mut kept = String::new();
    for member in whole.split(',').map(str::trim).filter(|member| (1..=LONG_MEMBER).contains(&member.len())) {
        if kept.len() + 1 + member.len() > MAX_TRACESTATE {
            break;
        }
        if !kept.is_empty() {
            kept.push(',');
        }
        kept.push_str(member);
    }
    kept
}

/// How the request came: what is needed to answer it, but is no part of the question.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// 1 for the first try; each step of the retry schedule adds one.
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
    validate_header("image.version_id", image.version_id.as_deref(), MAX_VERSION_ID)?;
    validate_header("image.etag", image.etag.as_deref(), MAX_ETAG)?;
    match &image.sha256 {
        Some(digest) if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Err(RequestError::new("image.sha256", "must be 64 hexadecimal digits"))
        }
        _ => Ok(()),
    }
}

/// What goes to the object store in a header or in a URL, which hold no control characters.
fn validate_header(field: &'static str, text: Option<&str>, most: usize) -> Result<(), RequestError> {
    let Some(text) = text else { return Ok(()) };
    match text.chars().find(|character| character.is_control()) {
        Some('\0') => Err(RequestError::new(field, "holds a NUL character")),
        Some(character) => Err(RequestError::new(field, format!("holds the control character {character:?}"))),
        None if text.len() > most => {
            Err(RequestError::new(field, format!("is {} bytes long; at most {most} are allowed", text.len())))
        }
        None => Ok(()),
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

    #[test]
    fn of_a_trace_no_more_is_handed_on_than_w3c_asks_for() {
        let bounded = |parent: &str, state: &str| TraceContext::bounded(Some(parent.into()), Some(state.into()));
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let most = format!("a={},{}", "x".repeat(253), "y".repeat(256));
        assert_eq!(most.len(), MAX_TRACESTATE);
        let (whole, dropped) = bounded(parent, &most);
        assert_eq!((whole.tracestate.as_deref(), dropped), (Some(most.as_str()), 0));
        assert_eq!(bounded(parent, &"x".repeat(130_950)).0.tracestate, None);
        let (cut, dropped) = bounded(parent, &format!("first=1,huge={},last=2", "x".repeat(130_000)));
        assert_eq!((cut.tracestate.as_deref(), dropped), (Some("first=1,last=2"), 1));
        let many: Vec<_> = (0..200).map(|number| format!("k{number:03}=v")).collect();
        let kept = bounded(parent, &many.join(",")).0.tracestate.unwrap();
        assert!(kept.len() <= MAX_TRACESTATE && kept.starts_with("k000=v,") && kept.ends_with("=v"), "{kept}");
        assert_eq!(bounded(&"0".repeat(300), "a=1"), (TraceContext::default(), 2));
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
        assert_eq!(field(|r| r.image.etag = Some("a\0b".into())), "image.etag");
        assert_eq!(field(|r| r.image.etag = Some("a\nb".into())), "image.etag");
        assert_eq!(field(|r| r.image.version_id = Some("v\0".into())), "image.version_id");
        assert_eq!(field(|r| r.image.version_id = Some("v".repeat(1025))), "image.version_id");
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
