//! Events as messages.

use super::message::{Message, Properties};
use domain::Erased;

/// That something was erased, as it is published.
pub fn erased_message(erased: &Erased) -> Message {
    Message {
        body: serde_json::to_vec(erased).expect("an event holds nothing that JSON can't"),
        properties: Properties {
            content_type: Some("application/json".into()),
            kind: Some(Erased::SCHEMA.into()),
            correlation_id: Some(erased.erasure_id.to_string()),
            timestamp: u64::try_from(erased.at.unix_timestamp()).ok(),
            ..Properties::default()
        },
    }
}
