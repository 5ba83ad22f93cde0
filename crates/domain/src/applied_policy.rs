//! What followed from a verdict, by whose rule and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the platform shall do. It says nothing of what the image is: that is the verdict's `decision`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing.
    #[default]
    None,
    /// Tell those who see the image.
    Label,
    /// Show it to fewer people.
    Limit,
    /// Let a person look before anything else is done.
    Review,
    /// Don't show it.
    Block,
}

impl Action {
    /// Each of them, in the order of tables.
    pub const ALL: [Action; 5] = [Action::None, Action::Label, Action::Limit, Action::Review, Action::Block];

    pub fn as_str(self) -> &'static str {
        match self {
            Action::None => "none",
            Action::Label => "label",
            Action::Limit => "limit",
            Action::Review => "review",
            Action::Block => "block",
        }
    }
}

/// What a policy made of a verdict: the first of its rules that matched, and what that rule says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedPolicy {
    /// Of the policy: the first 12 hexadecimal digits of its digest.
    #[schemars(regex(pattern = "^[0-9a-f]{12}$"))]
    pub version: String,
    /// The name of the rule that matched; null where none did.
    #[schemars(length(min = 1, max = 64))]
    pub rule: Option<String>,
    /// `none` where no rule matched.
    pub action: Action,
    /// The rule's reason, for people; null where no rule matched.
    #[schemars(length(min = 1, max = 500))]
    pub because: Option<String>,
}
