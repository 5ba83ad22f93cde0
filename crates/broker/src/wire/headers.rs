//! Headers that Assay reads or adds.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The number of the attempt, from 1; each retry adds one.
pub const ATTEMPT: &str = "x-assay-attempt";
/// Why a message was dead-lettered or is retried.
pub const REASON: &str = "x-assay-reason";
/// The queue that a dead letter came from, and that a replayed message was put on.
pub const QUEUE: &str = "x-assay-queue";
/// When it was dead-lettered, RFC 3339.
pub const AT: &str = "x-assay-at";
/// Which headers a copy of the message was too large for, with their sizes.
pub const HEADERS_DROPPED: &str = "x-assay-headers-dropped";
/// How often a quorum queue has delivered a message before; the broker adds it.
pub const DELIVERY_COUNT: &str = "x-delivery-count";
pub const TRACEPARENT: &str = "traceparent";
pub const TRACESTATE: &str = "tracestate";
/// Milliseconds since 1970; finer than the seconds of the `timestamp` property.
pub const TIMESTAMP_MS: &str = "timestamp_in_ms";

/// Longest reason that is written into a header, in bytes: headers must fit into one frame.
const MAX_REASON: usize = 2048;
/// The broker's own headers of dead-lettering begin so.
const BROKERS: [&str; 3] = ["x-death", "x-first-death-", "x-last-death-"];

/// The headers that a message gets on its way to the dead letters.
pub fn of_dead_letter(reason: &str, queue: &str, now: OffsetDateTime) -> [(&'static str, String); 3] {
    let at = now.format(&Rfc3339).unwrap_or_else(|_| now.unix_timestamp().to_string());
    [(REASON, truncated(reason, MAX_REASON)), (QUEUE, queue.to_string()), (AT, at)]
}

/// Whether a header was added by dead-lettering or by the attempts before it, ours or the broker's.
pub fn is_dead_letter_header(name: &str) -> bool {
    let ours = [REASON, QUEUE, AT, ATTEMPT, DELIVERY_COUNT];
    ours.contains(&name) || BROKERS.iter().any(|prefix| name.starts_with(prefix))
}

/// The name of the queue that a dead letter came from, as far as its headers tell: by who dead-lettered it, Assay or the
/// broker.
pub fn origin_queue(headers: &BTreeMap<String, String>) -> Option<&str> {
    let named = [QUEUE, "x-last-death-queue", "x-first-death-queue"].iter().find_map(|name| headers.get(*name));
    named.map(String::as_str)
}

/// The headers that a message gets for a retry, after its attempt number `attempt`.
pub fn of_retry(reason: &str, attempt: u32) -> [(&'static str, String); 2] {
    [(ATTEMPT, attempt.saturating_add(1).to_string()), (REASON, truncated(reason, MAX_REASON))]
}

/// At most so many bytes of a reason, cut between characters.
pub(super) fn truncated(reason: &str, most: usize) -> String {
    let mut end = reason.len().min(most);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_truncated_between_characters() {
        let [(_, reason), ..] = of_dead_letter(&"ü".repeat(2000), "q", OffsetDateTime::UNIX_EPOCH);
        assert_eq!(reason, "ü".repeat(1024));
        assert_eq!(of_retry("busy", 1)[0], (ATTEMPT, "2".to_string()));
    }

    #[test]
    fn the_origin_is_our_header_or_else_the_brokers() {
        let headers = |names: &[&str]| -> BTreeMap<String, String> {
            names.iter().map(|name| (name.to_string(), format!("from {name}"))).collect()
        };
        let all = ["x-assay-queue", "x-first-death-queue", "x-last-death-queue"];
        assert_eq!(origin_queue(&headers(&all)), Some("from x-assay-queue"));
        assert_eq!(origin_queue(&headers(&all[1..])), Some("from x-last-death-queue"));
        assert_eq!(origin_queue(&headers(&all[1..2])), Some("from x-first-death-queue"));
        assert_eq!(origin_queue(&headers(&["x-assay-reason"])), None);
        assert!(all.iter().all(|name| is_dead_letter_header(name)) && !is_dead_letter_header("x-upload"));
    }
}
