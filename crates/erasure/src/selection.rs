//! What is to be erased.

use std::fmt;

use serde_json::{Map, Value};

use domain::request::{MAX_SUBMISSION_ID, validate_tenant};

/// What of a tenant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub tenant: String,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Everything,
    /// All generations of it.
    Submission(String),
    /// Every submission of these bytes; lower-case hexadecimal.
    Sha256(String),
    /// Every submission whose metadata says this: text as it stands, anything else as its JSON.
    Metadata {
        key: String,
        value: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    #[error("{0}")]
    Tenant(String),
    #[error("a submission id has 1 to {MAX_SUBMISSION_ID} bytes and no control characters")]
    Submission,
    #[error("{0:?} is no sha256: 64 hexadecimal digits, as in the verdict's image.sha256")]
    Sha256(String),
    #[error("{0:?} is no KEY=VALUE, as in user_id=4711")]
    Metadata(String),
}

impl Selection {
    pub fn new(tenant: &str, what: What) -> Result<Selection, SelectionError> {
        validate_tenant(tenant).map_err(|error| SelectionError::Tenant(error.to_string()))?;
        let what = match what {
            What::Submission(id) if !is_submission_id(&id) => return Err(SelectionError::Submission),
            What::Sha256(digest) => What::Sha256(digest_of(&digest).ok_or(SelectionError::Sha256(digest))?),
            what => what,
        };
        Ok(Selection { tenant: tenant.into(), what })
    }

    /// The same for the same selection, and for no other.
    pub(crate) fn identity(&self) -> String {
        let parts = match &self.what {
            What::Everything => vec!["everything"],
            What::Submission(id) => vec!["submission", id],
            What::Sha256(digest) => vec!["sha256", digest],
            What::Metadata { key, value } => vec!["metadata", key, value],
        };
        Value::from([vec![self.tenant.as_str()], parts].concat()).to_string()
    }
}

impl What {
    /// `KEY=VALUE`.
    pub fn metadata(text: &str) -> Result<What, SelectionError> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(What::Metadata { key: key.into(), value: value.into() }),
            _ => Err(SelectionError::Metadata(text.into())),
        }
    }

    /// Whether metadata says what was asked for.
    pub(crate) fn is_in(&self, metadata: &Map<String, Value>) -> bool {
        let What::Metadata { key, value } = self else { return false };
        match metadata.get(key) {
            Some(Value::String(text)) => text == value,
            Some(Value::Null) | None => false,
            Some(other) => serde_json::to_string(other).is_ok_and(|text| text == *value),
        }
    }

    /// By what it is selected, without saying whose it is.
    pub fn by(&self) -> &'static str {
        match self {
            What::Everything => "tenant",
            What::Submission(_) => "submission",
            What::Sha256(_) => "sha256",
            What::Metadata { .. } => "metadata",
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Everything => write!(f, "everything of the tenant {}", self.tenant),
            What::Submission(id) => write!(f, "submission {id:?} of the tenant {}", self.tenant),
            What::Sha256(digest) => write!(f, "every submission of the image {digest} by the tenant {}", self.tenant),
            What::Metadata { key, value } => {
                write!(f, "every submission of the tenant {} whose metadata says {key} = {value:?}", self.tenant)
            }
        }
    }
}

fn is_submission_id(id: &str) -> bool {
    (1..=MAX_SUBMISSION_ID).contains(&id.len()) && !id.chars().any(char::is_control)
}

fn digest_of(text: &str) -> Option<String> {
    let bytes = hex::decode(text).ok()?;
    (bytes.len() == 32).then(|| hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_select_nothing_is_refused_with_what_it_should_be() {
        let refused = |what| Selection::new("acme", what).unwrap_err().to_string();
        assert!(refused(What::Sha256("abc".into())).contains("64 hexadecimal digits"));
        assert!(refused(What::Submission("a\nb".into())).contains("control characters"));
        assert!(refused(What::Submission(String::new())).contains("1 to"));
        assert!(Selection::new("a b", What::Everything).is_err());
        assert!(What::metadata("user").is_err() && What::metadata("=4711").is_err());
    }

    #[test]
    fn a_digest_may_be_written_in_capitals() {
        let digest = "AB".repeat(32);
        let selection = Selection::new("acme", What::Sha256(digest)).unwrap();
        assert_eq!(selection.what, What::Sha256("ab".repeat(32)));
    }

    #[test]
    fn metadata_is_compared_as_it_is_written() {
        let metadata = json!({"user": "4711", "post": 12, "big": 12345678901234567890123u128, "none": null});
        let says = |text: &str| What::metadata(text).unwrap().is_in(metadata.as_object().unwrap());
        assert!(says("user=4711") && says("post=12") && says("big=12345678901234567890123"));
        assert!(!says("user=471") && !says("none=null") && !says("other=1"));
        assert_eq!(What::metadata("a=b=c"), Ok(What::Metadata { key: "a".into(), value: "b=c".into() }));
    }

    #[test]
    fn selections_are_told_apart() {
        let identity = |tenant: &str, what| Selection { tenant: tenant.into(), what }.identity();
        let submission = |id: &str| What::Submission(id.into());
        assert_eq!(identity("a", submission("b")), identity("a", submission("b")));
        assert_ne!(identity("a", submission("b")), identity("a", What::Sha256("b".into())));
        assert_ne!(identity("a", submission("b\",\"c")), identity("a\",\"b", submission("c")));
        assert_ne!(identity("a", What::Everything), identity("a", submission("everything")));
    }
}
