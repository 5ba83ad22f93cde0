//! What is on every page.

use serde::Serialize;
use uuid::Uuid;

/// A page's own context, and what is on every page beside it.
#[derive(Serialize)]
pub(crate) struct Whole<'a, T> {
    #[serde(flatten)]
    pub(crate) common: &'a Common,
    #[serde(flatten)]
    pub(crate) own: T,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Common {
    pub(crate) user: Option<User>,
    pub(crate) can: Option<Can>,
    pub(crate) page: Option<&'static str>,
    pub(crate) prefs: Option<Prefs>,
    pub(crate) trial: bool,
    pub(crate) notice: Option<Notice>,
    pub(crate) pending: Option<Pending>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) role: &'static str,
}

/// Which pages are linked.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Can {
    pub(crate) review: bool,
    pub(crate) appeals: bool,
    pub(crate) audit: bool,
    pub(crate) tokens: bool,
    pub(crate) reviewers: bool,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Prefs {
    pub(crate) blur: bool,
    pub(crate) grey: bool,
    pub(crate) keys: bool,
    pub(crate) blur_fixed: bool,
    pub(crate) grey_fixed: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Notice {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

/// A vote that can still be undone.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pending {
    pub(crate) vote: Uuid,
    pub(crate) answer: String,
    pub(crate) submission_id: String,
    pub(crate) ms_left: u64,
}

/// A form as it was sent, and what is wrong with it; all empty for a new one.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Form {
    pub(crate) errors: Vec<String>,
    pub(crate) answer: Option<String>,
    pub(crate) ground: Option<String>,
    pub(crate) generator: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) result: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) days: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) evidence: Option<String>,
}
