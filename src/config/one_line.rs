//! Line ends and other control characters in settings: secrets and files of variables often end with one, and what takes the
//! value (a header, a URL) may panic on it or drop it silently.

use std::collections::HashMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What the beginnings of our variables, and those of the AWS client, are.
const PREFIXES: [&str; 2] = ["ASSAY_", "AWS_"];
const LINE_ENDS: [char; 2] = ['\r', '\n'];

fn is_setting(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix)))
}

fn trimmed(value: &str) -> &str {
    value.trim_matches(LINE_ENDS)
}

/// Starts the program again, in this process, with variables that neither begin nor end with a line end, where one does: the
/// environment is what the AWS client reads itself. Call it before there are threads or anything else that would be lost.
pub fn restart_trimmed() {
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let untrimmed: Vec<_> =
        variables.filter(|(name, value)| is_setting(name) && trimmed(value) != value.as_str()).collect();
    let (false, Ok(program)) = (untrimmed.is_empty(), std::env::current_exe()) else { return };
    let untrimmed = untrimmed.iter().map(|(name, value)| (name, trimmed(value)));
    // Returns only if it failed; then the variable is refused by its name.
    let _ = Command::new(program).args(std::env::args_os().skip(1)).envs(untrimmed).exec();
}

/// The variables without line ends at their ends; an error is what holds another control character. `has_lines` are
/// those that may be written over several lines.
pub(super) fn trim(
    variables: HashMap<String, String>,
    has_lines: impl Fn(&str) -> bool,
) -> Result<HashMap<String, String>, String> {
    let trim = |(name, value): (String, String)| {
        if !is_setting(&name) {
            return Ok((name, value));
        }
        // What the AWS client reads is not what is trimmed here.
        let value = if name.starts_with("AWS_") { value } else { trimmed(&value).to_string() };
        match value.contains(char::is_control) && !has_lines(&name) {
            true => Err(name),
            false => Ok((name, value)),
        }
    };
    variables.into_iter().map(trim).collect()
}

/// The key of a file whose value holds a control character, if there is one.
pub(super) fn odd_key(table: &toml::Table) -> Option<String> {
    table.iter().find_map(|(key, value)| match value {
        toml::Value::String(text) if text.contains(char::is_control) => Some(key.clone()),
        toml::Value::Table(inner) => odd_key(inner).map(|inner| format!("{key}.{inner}")),
        toml::Value::Array(values) => {
            let odd = |value: &toml::Value| value.as_str().is_some_and(|text| text.contains(char::is_control));
            values.iter().any(odd).then(|| key.clone())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn line_ends_around_a_value_are_left_out_and_others_are_refused_by_name() {
        let given =
            variables(&[("ASSAY__BROKER__URL", "amqp://h\r\n"), ("OTHER", "a\n"), ("assay__log__level", "\ninfo")]);
        let wanted = variables(&[("ASSAY__BROKER__URL", "amqp://h"), ("OTHER", "a\n"), ("assay__log__level", "info")]);
        assert_eq!(trim(given, |_| false), Ok(wanted));
        let refused = |name: &str, value: &str| trim(variables(&[(name, value)]), |_| false).unwrap_err();
        assert_eq!(refused("ASSAY__DATABASE__URL", "postgres://h\n/d"), "ASSAY__DATABASE__URL");
        assert_eq!(refused("AWS_SECRET_ACCESS_KEY", "a\u{1}b"), "AWS_SECRET_ACCESS_KEY");
        assert!(trim(variables(&[("ASSAY__OBJECTS__ALLOWED_BUCKETS", "a,\nb\n")]), |_| true).is_ok());
    }

    #[test]
    fn the_key_of_a_file_is_named_whose_value_has_several_lines() {
        let odd = |text: &str| odd_key(&toml::from_str(text).unwrap());
        assert_eq!(odd("[broker]\nurl = \"amqp://h\\n\"").as_deref(), Some("broker.url"));
        assert_eq!(odd("[objects]\nallowed_buckets = [\"a\", \"b\\r\"]").as_deref(), Some("objects.allowed_buckets"));
        assert_eq!(odd("[broker]\nurl = \"amqp://h\"\nprefetch = 3"), None);
    }
}
