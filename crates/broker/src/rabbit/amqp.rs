//! AMQP's properties to ours and back.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::room;
use crate::wire::headers::{HEADERS_DROPPED, QUEUE, is_dead_letter_header};
use crate::wire::message::{Message, Properties};

/// Messages survive a restart of the broker.
const PERSISTENT: u8 = 2;
/// Headers that make the broker send copies elsewhere.
const COPYING_HEADERS: [&str; 2] = ["CC", "BCC"];

/// The message of a delivery, with those properties that mean something here.
pub(super) fn message(body: Vec<u8>, properties: &BasicProperties) -> Message {
    let text = |value: &Option<ShortString>| value.as_ref().map(|value| value.as_str().to_string());
    let headers = properties.headers().iter().flat_map(|table| table.inner());
    let properties = Properties {
        content_type: text(properties.content_type()),
        content_encoding: text(properties.content_encoding()),
        kind: text(properties.kind()),
        message_id: text(properties.message_id()),
        correlation_id: text(properties.correlation_id()),
        reply_to: text(properties.reply_to()),
        timestamp: *properties.timestamp(),
        headers: headers.filter_map(|(name, value)| Some((name.as_str().to_string(), header(value)?))).collect(),
    };
    Message { body, properties }
}

fn header(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str().to_string()),
        AMQPValue::Boolean(value) => Some(value.to_string()),
        AMQPValue::ShortShortInt(number) => Some(number.to_string()),
        AMQPValue::ShortShortUInt(number) => Some(number.to_string()),
        AMQPValue::ShortInt(number) => Some(number.to_string()),
        AMQPValue::ShortUInt(number) => Some(number.to_string()),
        AMQPValue::LongInt(number) => Some(number.to_string()),
        AMQPValue::LongUInt(number) => Some(number.to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The properties to publish a message of ours with. Ids longer than AMQP's 255 bytes are left out: a part of
/// one would be another one, and the body has it whole.
pub(super) fn properties(ours: &Properties) -> BasicProperties {
    let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    type Set = fn(BasicProperties, ShortString) -> BasicProperties;
    let texts: [(&Option<String>, Set); 6] = [
        (&ours.content_type, BasicProperties::with_content_type),
        (&ours.content_encoding, BasicProperties::with_content_encoding),
        (&ours.kind, BasicProperties::with_type),
        (&ours.message_id, BasicProperties::with_message_id),
        (&ours.correlation_id, BasicProperties::with_correlation_id),
        (&ours.reply_to, BasicProperties::with_reply_to),
    ];
    for (text, set) in texts {
        if let Some(text) = text.as_ref().and_then(|text| ShortString::try_new(text.as_str()).ok()) {
            properties = set(properties, text);
        }
    }
    if let Some(timestamp) = ours.timestamp {
        properties = properties.with_timestamp(timestamp);
    }
    let mut headers = FieldTable::default();
    for (name, value) in &ours.headers {
        if let Ok(name) = ShortString::try_new(name.as_str()) {
            headers.insert(name, AMQPValue::LongString(value.as_str().into()));
        }
    }
    properties.with_headers(headers)
}

/// The properties of a copy: those of the original with headers added, and how many of its headers there was no room for.
///
/// Three are kept under another name, because the broker would act on them: `expiration` would let the copy
/// vanish, a `user_id` that is not ours is refused, and `CC` would send more copies elsewhere.
pub(super) fn copied(
    original: &BasicProperties,
    added: &[(&'static str, String)],
    room: usize,
) -> (BasicProperties, u64) {
    let mut headers = FieldTable::default();
    for (name, value) in original.headers().iter().flat_map(|table| table.inner()) {
        let name = if COPYING_HEADERS.contains(&name.as_str()) {
            ShortString::from(format!("x-assay-{}", name.as_str().to_lowercase()))
        } else {
            name.clone()
        };
        headers.insert(name, value.clone());
    }
    let (mut headers, dropped) = room::fit(headers, room);
    if let Some(dropped) = &dropped {
        headers.insert(HEADERS_DROPPED.into(), AMQPValue::LongString(dropped.names.as_str().into()));
    }
    let kept = [("x-assay-expiration", original.expiration()), ("x-assay-user-id", original.user_id())];
    for (name, value) in kept {
        if let Some(value) = value {
            headers.insert(name.into(), AMQPValue::LongString(value.as_str().into()));
        }
    }
    for (name, value) in added {
        headers.insert((*name).into(), AMQPValue::LongString(value.as_str().into()));
    }
    let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
    type Set = fn(BasicProperties, ShortString) -> BasicProperties;
    let texts: [(&Option<ShortString>, Set); 7] = [
        (original.content_type(), BasicProperties::with_content_type),
        (original.content_encoding(), BasicProperties::with_content_encoding),
        (original.correlation_id(), BasicProperties::with_correlation_id),
        (original.reply_to(), BasicProperties::with_reply_to),
        (original.message_id(), BasicProperties::with_message_id),
        (original.kind(), BasicProperties::with_type),
        (original.app_id(), BasicProperties::with_app_id),
    ];
    for (text, set) in texts {
        if let Some(text) = text {
            properties = set(properties, text.clone());
        }
    }
    if let Some(priority) = original.priority() {
        properties = properties.with_priority(*priority);
    }
    if let Some(timestamp) = original.timestamp() {
        properties = properties.with_timestamp(*timestamp);
    }
    (properties, dropped.map_or(0, |dropped| dropped.count))
}

/// The properties to replay a dead letter with: as they were before it was dead-lettered, and the queue that it goes to, so
/// that it is known where it came from whoever dead-letters it again.
pub(super) fn replayed(dead: &BasicProperties, queue: &str, room: usize) -> BasicProperties {
    let (copy, _) = copied(dead, &[], room);
    let mut headers = FieldTable::default();
    for (name, value) in copy.headers().iter().flat_map(|table| table.inner()) {
        if !is_dead_letter_header(name.as_str()) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert(QUEUE.into(), AMQPValue::LongString(queue.into()));
    copy.with_headers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::headers;

    const ROOM: usize = 64 << 10;

    #[test]
    fn a_copy_of_a_message_whose_headers_fill_a_frame_says_which_it_left_out() {
        let mut table = FieldTable::default();
        table.insert("tenant".into(), AMQPValue::LongString("acme".into()));
        table.insert("tracestate".into(), AMQPValue::LongString("x".repeat(130_900).into()));
        let original = BasicProperties::default().with_headers(table);
        let added = headers::of_dead_letter("unreadable", "assay.images", time::OffsetDateTime::UNIX_EPOCH);
        let (copy, dropped) = copied(&original, &added, ROOM);
        let headers = message(vec![], &copy).properties.headers;
        assert_eq!(dropped, 1);
        assert_eq!(headers.get("x-assay-headers-dropped").map(String::as_str), Some("tracestate (130916 bytes)"));
        assert_eq!(headers.get("tenant").map(String::as_str), Some("acme"));
        assert_eq!(headers.get("x-assay-reason").map(String::as_str), Some("unreadable"));
        assert!(!headers.contains_key("tracestate"));
    }

    #[test]
    fn a_copy_keeps_everything_but_what_the_broker_would_act_on() {
        let mut headers = FieldTable::default();
        headers.insert("tenant".into(), AMQPValue::LongString("acme".into()));
        headers.insert("nested".into(), AMQPValue::FieldTable(FieldTable::default()));
        headers.insert("CC".into(), AMQPValue::LongString("elsewhere".into()));
        let original = BasicProperties::default()
            .with_headers(headers.clone())
            .with_content_type("text/plain".into())
            .with_message_id("m".into())
            .with_priority(3)
            .with_timestamp(7)
            .with_app_id("uploader".into())
            .with_expiration("1000".into())
            .with_user_id("guest".into());
        let (copy, dropped) = copied(&original, &[("x-assay-reason", "broken".into())], ROOM);
        assert_eq!(dropped, 0);
        assert_eq!((copy.expiration(), copy.user_id()), (&None, &None));
        assert_eq!(copy.app_id(), original.app_id());
        assert_eq!((copy.priority(), copy.timestamp()), (original.priority(), original.timestamp()));
        let copied = copy.headers().as_ref().unwrap().inner();
        assert_eq!(copied.get("nested"), headers.inner().get("nested"));
        let text = |name| message(vec![], &copy).properties.headers.get(name).cloned();
        assert_eq!(text("x-assay-expiration").as_deref(), Some("1000"));
        assert_eq!(text("x-assay-user-id").as_deref(), Some("guest"));
        assert_eq!(text("x-assay-cc").as_deref(), Some("elsewhere"));
        assert_eq!(text("x-assay-reason").as_deref(), Some("broken"));
        assert_eq!(text("tenant").as_deref(), Some("acme"));
        assert!(!copied.contains_key("CC"));
    }

    #[test]
    fn a_dead_letter_is_replayed_with_its_first_headers_and_its_queue() {
        let mut first = FieldTable::default();
        first.insert("tenant".into(), AMQPValue::LongString("acme".into()));
        let original = BasicProperties::default().with_headers(first).with_message_id("m".into()).with_priority(3);
        let (delayed, _) = copied(&original, &headers::of_retry("away", 3), ROOM);
        let at = time::OffsetDateTime::UNIX_EPOCH;
        let (dead, _) = copied(&delayed, &headers::of_dead_letter("broken", "assay.images", at), ROOM);
        let (expected, _) = copied(&original, &[(QUEUE, "assay.labels".into())], ROOM);
        assert_eq!(replayed(&dead, "assay.labels", ROOM), expected);
        let (dead_again, _) = copied(&expected, &headers::of_dead_letter("broken", "assay.labels", at), ROOM);
        assert_eq!(replayed(&dead_again, "assay.labels", ROOM), expected);
    }

    #[test]
    fn ids_too_long_for_amqp_are_left_out() {
        let ours = Properties { correlation_id: Some("x".repeat(256)), ..Properties::default() };
        assert_eq!(properties(&ours).correlation_id(), &None);
        let ours = Properties { correlation_id: Some("x".repeat(255)), ..Properties::default() };
        assert_eq!(message(vec![], &properties(&ours)).properties.correlation_id, ours.correlation_id);
    }
}
