//! Who may do what. Whatever nothing here allows is denied.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody is; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks, and changes nothing.
    Viewer,
    /// Votes.
    Reviewer,
    /// Decides where reviewers don't agree, and sees how good they are.
    Lead,
    /// Says who may do what.
    Admin,
}

/// The tenants that a role is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tenants {
    /// Also those to come.
    All,
    /// An empty set allows nothing.
    These(BTreeSet<String>),
}

/// A role, and whose items it is for. A person may have several of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleBinding {
    pub role: Role,
    pub tenants: Tenants,
}

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    Tenant(&'a str),
    /// What belongs to no single tenant, or to all of them: only a role for all tenants reaches it.
    EveryTenant,
}

/// What can be done in the console, by the command line and by tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[schemars(rename = "ReviewAction")]
pub enum Action {
    /// What waits, how much and how long.
    SeeQueue,
    /// One item with its image.
    SeeItem,
    /// Precision, misses, calibration, backlog; nothing about single reviewers.
    SeeNumbers,
    /// Take an item, and keep it.
    Claim,
    Vote,
    Skip,
    /// Keep an item for longer than a lease.
    Hold,
    /// Hand an item to the leads.
    Escalate,
    /// By submission, outcome, digest or key.
    Search,
    /// On behalf of the uploader.
    FileAppeal,
    /// Give an item to somebody, or take it back.
    Assign,
    /// Agreement and accuracy of single reviewers.
    SeeReviewers,
    /// Close an appeal with a reason, beyond voting on it.
    DecideAppeal,
    /// Make an item one with a known answer.
    MakeGolden,
    SeePolicy,
    TryPolicy,
    ExportStatements,
    ActivatePolicy,
    ManageTokens,
    ManageRoles,
    /// Who saw, decided and searched what.
    ExportAuditLog,
}

/// Why something is denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("`{action}` needs the role {needed}, and yours is {role}: ask an admin")]
    Role { action: Action, needed: Role, role: Role },
    // The tenant is not named: that it exists would say something already.
    #[error("your role is not for this tenant: ask an admin for a role that is")]
    Tenant,
    #[error("`{0}` is about all tenants, and your role is for some: ask an admin for a role for all of them")]
    EveryTenant(Action),
    #[error("you have no role here: ask an admin for one")]
    NoRole,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role: the roles are viewer, reviewer, lead and admin")]
pub struct UnknownRole(String);

/// Whether this role may do this to this tenant's items.
pub fn allowed(binding: &RoleBinding, action: Action, scope: Scope<'_>) -> Result<(), Denied> {
    match (&binding.tenants, scope) {
        (Tenants::All, _) => {}
        (Tenants::These(tenants), Scope::Tenant(tenant)) if tenants.contains(tenant) => {}
        (Tenants::These(_), Scope::Tenant(_)) => return Err(Denied::Tenant),
        (Tenants::These(_), Scope::EveryTenant) => return Err(Denied::EveryTenant(action)),
    }
    let (role, needed) = (binding.role, action.needs());
    if role < needed { Err(Denied::Role { action, needed, role }) } else { Ok(()) }
}

/// Whether one of a person's roles may do this. If none may, the reason is that of the role that comes nearest.
pub fn allowed_by_any(bindings: &[RoleBinding], action: Action, scope: Scope<'_>) -> Result<(), Denied> {
    let mut nearest = Denied::NoRole;
    for binding in bindings {
        match allowed(binding, action, scope) {
            Ok(()) => return Ok(()),
            Err(denied @ Denied::Role { .. }) => nearest = denied,
            Err(denied) if nearest == Denied::NoRole => nearest = denied,
            Err(_) => {}
        }
    }
    Err(nearest)
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Reviewer, Role::Lead, Role::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Reviewer => "reviewer",
            Role::Lead => "lead",
            Role::Admin => "admin",
        }
    }

    /// Whether one vote of this role decides where others don't agree.
    pub fn leads(self) -> bool {
        self >= Role::Lead
    }
}

impl Action {
    pub const ALL: [Action; 21] = [
        Action::SeeQueue,
        Action::SeeItem,
        Action::SeeNumbers,
        Action::Claim,
        Action::Vote,
        Action::Skip,
        Action::Hold,
        Action::Escalate,
        Action::Search,
        Action::FileAppeal,
        Action::Assign,
        Action::SeeReviewers,
        Action::DecideAppeal,
        Action::MakeGolden,
        Action::SeePolicy,
        Action::TryPolicy,
        Action::ExportStatements,
        Action::ActivatePolicy,
        Action::ManageTokens,
        Action::ManageRoles,
        Action::ExportAuditLog,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Action::SeeQueue => "see_queue",
            Action::SeeItem => "see_item",
            Action::SeeNumbers => "see_numbers",
            Action::Claim => "claim",
            Action::Vote => "vote",
            Action::Skip => "skip",
            Action::Hold => "hold",
            Action::Escalate => "escalate",
            Action::Search => "search",
            Action::FileAppeal => "file_appeal",
            Action::Assign => "assign",
            Action::SeeReviewers => "see_reviewers",
            Action::DecideAppeal => "decide_appeal",
            Action::MakeGolden => "make_golden",
            Action::SeePolicy => "see_policy",
            Action::TryPolicy => "try_policy",
            Action::ExportStatements => "export_statements",
            Action::ActivatePolicy => "activate_policy",
            Action::ManageTokens => "manage_tokens",
            Action::ManageRoles => "manage_roles",
            Action::ExportAuditLog => "export_audit_log",
        }
    }

    /// The lowest role that may do it. There is no other way to be allowed anything: a new action does not compile until it
    /// has its line here.
    pub fn needs(self) -> Role {
        match self {
            Action::SeeQueue | Action::SeeItem | Action::SeeNumbers | Action::Search => Role::Viewer,
            Action::Claim | Action::Vote | Action::Skip | Action::Hold | Action::Escalate | Action::FileAppeal => {
                Role::Reviewer
            }
            Action::Assign
            | Action::SeeReviewers
            | Action::DecideAppeal
            | Action::MakeGolden
            | Action::SeePolicy
            | Action::TryPolicy
            | Action::ExportStatements
            | Action::ExportAuditLog => Role::Lead,
            Action::ActivatePolicy | Action::ManageTokens | Action::ManageRoles => Role::Admin,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Role, UnknownRole> {
        Role::ALL.into_iter().find(|role| role.as_str() == name).ok_or_else(|| UnknownRole(name.into()))
    }
}

#[cfg(test)]
mod tests;
