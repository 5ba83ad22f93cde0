//! Times as people are told them.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// As in the log and in documents, to the second: `2026-11-02T03:12:45Z`.
pub(crate) fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC).replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_and_to_the_second() {
        let at = OffsetDateTime::parse("2026-11-02T05:12:45.9876+02:00", &Rfc3339).unwrap();
        assert_eq!(moment(at), "2026-11-02T03:12:45Z");
    }
}
