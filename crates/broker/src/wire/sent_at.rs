//! When a message was sent, by what it says of itself. It serves to measure the wait and nothing else.

use time::OffsetDateTime;

/// A time that counts from 1970, if a message of today can have been sent then: numbers in the wrong unit give other centuries, or
/// the first weeks of 1970.
pub(super) fn of_unix(nanoseconds: i128) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok().filter(is_plausible)
}

pub(super) fn is_plausible(time: &OffsetDateTime) -> bool {
    (2015..2100).contains(&time.year())
}
