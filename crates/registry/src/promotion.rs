//! Which model served when.

use serde::Serialize;
use time::OffsetDateTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Promotion,
    /// Back to what was active before.
    Rollback,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Promotion => "promotion",
            Kind::Rollback => "rollback",
        }
    }
}

/// What is to become of the active model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub version: String,
    /// What is active as far as the caller knows; `None` for none.
    pub replaces: Option<String>,
    pub kind: Kind,
    pub actor: String,
    pub reason: Option<String>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Promotion {
    /// From 1, without gaps.
    pub number: i64,
    pub version: String,
    pub replaces: Option<String>,
    pub kind: Kind,
    pub actor: String,
    pub reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub promoted_at: OffsetDateTime,
}

/// What a rollback leads to: the version below the top of a stack on which each promotion puts one and from which each
/// rollback takes one.
pub(crate) fn rollback_target(promotions: &[Promotion]) -> Option<&str> {
    let mut stack: Vec<&str> = Vec::new();
    for promotion in promotions {
        match promotion.kind {
            Kind::Promotion => stack.push(&promotion.version),
            Kind::Rollback => {
                stack.pop();
            }
        }
    }
    stack.len().checked_sub(2).map(|below| stack[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_further_rollback_goes_back_one_version_more() {
        let history = |versions: &[(&str, Kind)]| {
            let promotions = versions.iter().enumerate().map(|(index, (version, kind))| Promotion {
                number: index as i64 + 1,
                version: version.to_string(),
                replaces: None,
                kind: *kind,
                actor: "a".into(),
                reason: None,
                promoted_at: OffsetDateTime::UNIX_EPOCH,
            });
            promotions.collect::<Vec<_>>()
        };
        use Kind::{Promotion as Up, Rollback as Down};
        assert_eq!(rollback_target(&history(&[])), None);
        assert_eq!(rollback_target(&history(&[("a", Up)])), None);
        assert_eq!(rollback_target(&history(&[("a", Up), ("b", Up), ("c", Up)])), Some("b"));
        assert_eq!(rollback_target(&history(&[("a", Up), ("b", Up), ("c", Up), ("b", Down)])), Some("a"));
        assert_eq!(rollback_target(&history(&[("a", Up), ("b", Up), ("a", Down)])), None);
        assert_eq!(rollback_target(&history(&[("a", Up), ("b", Up), ("a", Down), ("c", Up)])), Some("a"));
    }
}
