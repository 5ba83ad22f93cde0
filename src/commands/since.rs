//! Times on the command line: a moment, or how long ago.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// Reads `2026-11-02T03:12:45Z`, or `7d`, `36h`, `30m` before now.
pub(super) fn moment_of(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(moment);
    }
    let unit = text.chars().last().unwrap_or_default();
    let count = text.strip_suffix(unit).and_then(|count| count.parse::<u32>().ok()).map(i64::from);
    let ago = count.and_then(|count| match unit {
        'd' => Some(Duration::days(count)),
        'h' => Some(Duration::hours(count)),
        'm' => Some(Duration::minutes(count)),
        _ => None,
    });
    let moment = ago.and_then(|ago| OffsetDateTime::now_utc().checked_sub(ago));
    moment.ok_or_else(|| "a time is written as 7d, 36h, 30m (ago) or 2026-11-02T03:12:45Z".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_or_ages() {
        assert_eq!(moment_of("1970-01-01T00:00:10Z").unwrap().unix_timestamp(), 10);
        let moment = moment_of("36h").unwrap();
        let ago = OffsetDateTime::now_utc() - moment;
        assert!((Duration::hours(36)..Duration::hours(37)).contains(&ago));
        for wrong in ["", "7", "d", "-1d", "7w", "7µ", "yesterday", "99999999999d"] {
            assert!(moment_of(wrong).unwrap_err().contains("7d"), "{wrong}");
        }
    }
}
