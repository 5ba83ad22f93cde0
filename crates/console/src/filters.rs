//! How figures and times are written on pages.

use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, ErrorKind};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// What stands where a figure is not known.
const NOT_KNOWN: &str = "–";
const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

pub(crate) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("figure", figure);
    environment.add_filter("percent", percent);
    environment.add_filter("interval", interval);
    environment.add_filter("age", age);
    environment.add_filter("time", time);
}

fn number(value: &Value) -> Result<Option<f64>, Error> {
    if value.is_none() { Ok(None) } else { f64::try_from(value.clone()).map(Some) }
}

fn figure(value: &Value) -> Result<String, Error> {
    Ok(number(value)?.map_or(NOT_KNOWN.into(), |number| format!("{number:.3}")))
}

fn percent(value: &Value) -> Result<String, Error> {
    Ok(number(value)?.map_or(NOT_KNOWN.into(), |number| format!("{:.0} %", 100.0 * number)))
}

fn interval(value: &Value) -> Result<String, Error> {
    if value.is_none() {
        return Ok(String::new());
    }
    let ends = value.try_iter()?.map(|end| figure(&end)).collect::<Result<Vec<_>, _>>()?;
    Ok(ends.join(" to "))
}

/// Rounded down, so that nothing is said to have waited longer than it has.
fn age(seconds: f64, _: Rest<Value>) -> String {
    match seconds {
        seconds if seconds < MINUTE => "less than a minute".into(),
        seconds if seconds < 2.0 * HOUR => format!("{:.0} min", (seconds / MINUTE).floor()),
        seconds if seconds < 2.0 * DAY => format!("{:.0} h", (seconds / HOUR).floor()),
        seconds => format!("{:.0} days", (seconds / DAY).floor()),
    }
}

fn time(text: &str) -> Result<String, Error> {
    let wrong = |what: String| Error::new(ErrorKind::InvalidOperation, what);
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| wrong(format!("{text:?} is no time: {error}")))?;
    let form = format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute]");
    at.to_offset(time::UtcOffset::UTC).format(form).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_places_and_what_is_not_known_a_dash() {
        assert_eq!(figure(&Value::from(0.5926)).unwrap(), "0.593");
        assert_eq!(figure(&Value::from(1)).unwrap(), "1.000");
        assert_eq!(
            (figure(&Value::from(())).unwrap().as_str(), percent(&Value::from(())).unwrap().as_str()),
            ("–", "–")
        );
        assert_eq!(percent(&Value::from(0.586)).unwrap(), "59 %");
        assert_eq!(interval(&Value::from(vec![0.9015, 0.967])).unwrap(), "0.901 to 0.967");
        assert_eq!(interval(&Value::from(())).unwrap(), "");
        assert!(figure(&Value::from("much")).is_err());
    }

    #[test]
    fn ages_are_rounded_down() {
        let ages = [59.9, 60.0, 7199.0, 7200.0, 172_799.0, 172_800.0].map(|seconds| age(seconds, Rest(Vec::new())));
        assert_eq!(ages, ["less than a minute", "1 min", "119 min", "2 h", "47 h", "2 days"]);
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(time("2026-11-24T10:05:59+01:00").unwrap(), "24 Nov 2026, 09:05");
        assert!(time("yesterday").is_err());
    }
}
