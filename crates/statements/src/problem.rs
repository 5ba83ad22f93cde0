//! What is wrong with a statement: the field, the rule that it breaks, and how to mend it.

use std::fmt;

use serde::Serialize;

/// One rule that a statement breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// As the API calls it.
    pub field: &'static str,
    pub rule: Rule,
    /// What is wrong and how to mend it; the field is its subject.
    pub mend: String,
}

/// The kinds of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It has to be given.
    Required,
    /// It has to be given because of what another field says.
    RequiredIf,
    /// It may be given only beside another field's value.
    OnlyIf,
    /// It is not one of the codes that are allowed.
    Allowed,
    /// It has more characters than are taken.
    TooLong,
    /// It is not written as it has to be.
    Format,
    /// The date is before the first that is taken.
    TooEarly,
    /// The date is after the last that is taken.
    TooLate,
    /// It looks like an e-mail address.
    PersonalData,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.mend)
    }
}
