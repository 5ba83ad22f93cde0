//! Weeks by ISO 8601.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime, UtcOffset, Weekday};

/// A week from Monday to Sunday, in UTC; written `2026-W07`. Its year is that of its Thursday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-9]{4}-W[0-9]{2}$"))]
pub struct IsoWeek {
    year: i32,
    week: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no week: write it like 2026-W07")]
pub struct WeekError(String);

impl IsoWeek {
    pub fn of(time: OffsetDateTime) -> IsoWeek {
        let (year, week, _) = time.to_offset(UtcOffset::UTC).to_iso_week_date();
        IsoWeek { year, week }
    }
}

impl fmt::Display for IsoWeek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-W{:02}", self.year, self.week)
    }
}

impl FromStr for IsoWeek {
    type Err = WeekError;

    fn from_str(text: &str) -> Result<IsoWeek, WeekError> {
        let wrong = || WeekError(text.into());
        let is_digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        let (year, week) =
            text.split_once("-W").filter(|(y, w)| is_digits(y, 4) && is_digits(w, 2)).ok_or_else(wrong)?;
        let found = IsoWeek { year: year.parse().map_err(|_| wrong())?, week: week.parse().map_err(|_| wrong())? };
        // Most years have no 53rd week.
        Date::from_iso_week_date(found.year, found.week, Weekday::Monday).map_err(|_| wrong())?;
        Ok(found)
    }
}

impl TryFrom<String> for IsoWeek {
    type Error = WeekError;

    fn try_from(text: String) -> Result<IsoWeek, WeekError> {
        text.parse()
    }
}

impl From<IsoWeek> for String {
    fn from(week: IsoWeek) -> String {
        week.to_string()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_week_belongs_to_the_year_of_its_thursday_and_is_counted_in_utc() {
        let weeks = [
            (datetime!(2026-02-11 12:00 UTC), "2026-W07"),
            (datetime!(2027-01-03 23:59:59 UTC), "2026-W53"),
            (datetime!(2027-01-04 00:00 UTC), "2027-W01"),
            (datetime!(2024-12-30 00:00 UTC), "2025-W01"),
            (datetime!(2026-02-16 00:30 +01), "2026-W07"),
        ];
        for (time, week) in weeks {
            assert_eq!(IsoWeek::of(time).to_string(), week);
            assert_eq!(week.parse(), Ok(IsoWeek::of(time)));
            assert_eq!(serde_json::to_value(IsoWeek::of(time)).unwrap(), week);
        }
        let ordered = ["2025-W01", "2026-W07", "2026-W53", "2027-W01"].map(|week| week.parse::<IsoWeek>().unwrap());
        assert!(ordered.is_sorted());
    }

    #[test]
    fn what_is_no_week_is_refused() {
        for text in ["", "2026", "2026-07", "2026-W7", "2026-W00", "2026-W54", "2025-W53", "+026-W07", "2026-W07 "] {
            assert_eq!(text.parse::<IsoWeek>(), Err(WeekError(text.into())));
        }
        assert!(serde_json::from_str::<IsoWeek>(r#""2026-W54""#).is_err());
    }
}
