//! What keeps the ledger going for years: partitions made ahead, and old ones let go.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

/// Days for which there are to be partitions: four, of a week each, with which nobody need look after it for a month.
pub const AHEAD_DAYS: u32 = 28;
/// Fewer partitions than this that have not begun yet are a matter for a person.
pub const FEWEST_AHEAD: usize = 2;

/// The two tables that are cut by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Verdict,
    Failure,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Verdict, Kind::Failure];

    /// The table.
    pub fn table(self) -> &'static str {
        match self {
            Kind::Verdict => "verdicts",
            Kind::Failure => "failures",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.table())
    }
}

/// What of one of these tables was recorded between two times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub kind: Kind,
    pub name: String,
    pub lower: OffsetDateTime,
    /// What was recorded at this very time is in the next one.
    pub upper: OffsetDateTime,
    /// Whoever took it out was stopped on the way.
    pub detaching: bool,
}

/// The partitions of which nothing is to be kept at `now`, the oldest first; of a kind that is kept for good (`None`) none.
pub fn outlived(partitions: &[Partition], kind: Kind, keep: Option<Duration>, now: OffsetDateTime) -> Vec<&Partition> {
    let Some(limit) = keep.and_then(|keep| now.checked_sub(keep.try_into().ok()?)) else { return Vec::new() };
    let mut old: Vec<_> = partitions.iter().filter(|one| one.kind == kind && one.upper <= limit).collect();
    old.sort_by_key(|one| one.lower);
    old
}

/// How many partitions of a kind have not begun yet.
pub fn ahead(partitions: &[Partition], kind: Kind, now: OffsetDateTime) -> usize {
    partitions.iter().filter(|one| one.kind == kind && one.lower > now && !one.detaching).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn week(number: u32) -> Partition {
        let lower = OffsetDateTime::UNIX_EPOCH + 7 * DAY * number;
        Partition { kind: Kind::Verdict, name: number.to_string(), lower, upper: lower + 7 * DAY, detaching: false }
    }

    #[test]
    fn a_partition_goes_when_all_of_it_is_old_enough() {
        let weeks: Vec<_> = (0..5).rev().map(week).collect();
        let now = OffsetDateTime::UNIX_EPOCH + 31 * DAY;
        let gone = |keep: Option<u32>| {
            let gone = outlived(&weeks, Kind::Verdict, keep.map(|days| days * DAY), now);
            gone.iter().map(|one| one.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(gone(Some(10)), ["0", "1", "2"]);
        assert_eq!(gone(Some(11)), ["0", "1"]);
        assert_eq!(gone(Some(0)), ["0", "1", "2", "3"]);
        assert!(gone(None).is_empty() && gone(Some(u32::MAX)).is_empty());
        assert!(outlived(&weeks, Kind::Failure, Some(DAY), now).is_empty());
    }

    #[test]
    fn what_has_begun_is_not_ahead() {
        let weeks: Vec<_> = (0..5).map(week).collect();
        assert_eq!(ahead(&weeks, Kind::Verdict, OffsetDateTime::UNIX_EPOCH + 7 * DAY), 3);
        assert_eq!(ahead(&weeks, Kind::Failure, OffsetDateTime::UNIX_EPOCH), 0);
    }
}
