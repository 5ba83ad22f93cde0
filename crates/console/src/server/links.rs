//! Addresses within the console.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

/// Everything but what RFC 3986 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes what stands in a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// A path with those fields that have a value.
pub(super) fn with_query(path: &str, fields: &[(&str, Option<&str>)]) -> String {
    let mut address = String::from(path);
    let mut separator = '?';
    for (name, value) in fields {
        if let Some(value) = value {
            let _ = write!(address, "{separator}{name}={}", encoded(value));
            separator = '&';
        }
    }
    address
}

pub(super) fn item(id: Uuid) -> String {
    format!("/items/{id}")
}

pub(super) fn appeal(id: Uuid) -> String {
    format!("/appeals/{id}")
}

pub(super) fn outcome(id: Uuid) -> String {
    format!("/outcomes/{id}")
}

pub(super) fn history(tenant: &str, submission: &str) -> String {
    with_query("/history", &[("tenant", Some(tenant)), ("submission", Some(submission))])
}

/// Where to go after signing in: an address within the console, or the start page.
pub(super) fn within(next: Option<&str>) -> &str {
    let is_within = |address: &&str| {
        address.starts_with('/')
            && !address.starts_with("//")
            && !address.contains(['\\', '\r', '\n', '\t'])
            && !address.starts_with("/login")
            && address.len() <= 2048
    };
    next.filter(is_within).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_does_not_leave_its_place_in_an_address() {
        assert_eq!(history("a&b", "p/1?x=\"é"), "/history?tenant=a%26b&submission=p%2F1%3Fx%3D%22%C3%A9");
        assert_eq!(with_query("/x", &[("a", None), ("b", Some("1"))]), "/x?b=1");
    }

    #[test]
    fn signing_in_leads_nowhere_else() {
        for elsewhere in
            ["//evil.example", "https://evil.example", "/\\evil.example", "", "/login?next=/login", "/\t/evil"]
        {
            assert_eq!(within(Some(elsewhere)), "/", "{elsewhere}");
        }
        assert_eq!((within(Some("/items/7?x=1")), within(None)), ("/items/7?x=1", "/"));
    }
}
