//! A message as Assay sees it.

use std::collections::BTreeMap;

/// Longest body that is read, in bytes. A thousand S3 records fit.
pub const MAX_BODY: usize = 1 << 20;

/// A message without its broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub body: Vec<u8>,
    pub properties: Properties,
}

/// Those properties of a message that mean something here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    pub content_type: Option<String>,
    /// How the body is packed.
    pub content_encoding: Option<String>,
    /// The `type` property: the schema of the body.
    pub kind: Option<String>,
    pub message_id: Option<String>,
    pub correlation_id: Option<String>,
    pub reply_to: Option<String>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// Headers that are text or numbers, as text.
    pub headers: BTreeMap<String, String>,
}
