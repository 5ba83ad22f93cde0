//! Events as messages.

use serde::Serialize;
use time::OffsetDateTime;

use super::message::{Message, Properties};
use crate::events::Event;
use domain::{AppealDecided, Erased};

/// An event, as it is published.
pub fn event(event: &Event) -> Message {
    match event {
        Event::Erased(erased) => message(erased, Erased::SCHEMA, erased.erasure_id.to_string(), erased.at),
        Event::AppealDecided(decided) => {
            message(decided, AppealDecided::SCHEMA, decided.submission_id.clone(), decided.decided_at)
        }
    }
}

fn message(event: &impl Serialize, schema: &str, correlation_id: String, at: OffsetDateTime) -> Message {
    Message {
        body: serde_json::to_vec(event).expect("an event holds nothing that JSON can't"),
        properties: Properties {
            content_type: Some("application/json".into()),
            kind: Some(schema.into()),
            correlation_id: Some(correlation_id),
            timestamp: u64::try_from(at.unix_timestamp()).ok(),
            ..Properties::default()
        },
    }
}
