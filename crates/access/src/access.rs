//! What a request proves.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use review::{Action, Denied, Role, RoleBinding, Scope, Tenants, allowed_by_any};
use uuid::Uuid;

/// How an access was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Began at the issuer; a cookie carries it.
    Session,
    /// For scripts.
    Token,
    /// Whoever reaches a console on loopback that was started with a name.
    Trial,
    /// A proxy says who it is.
    Proxy,
    /// Of the command line.
    Command,
}

/// Who is asking, and what they may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    pub id: Uuid,
    pub kind: Kind,
    /// "issuer subject", `proxy:USER`, `trial:NAME` or `command:ACTOR`. It stays inside.
    pub person: String,
    /// What is told to the outside.
    pub pseudonym: String,
    pub name: String,
    pub grants: Vec<RoleBinding>,
    pub prefs: serde_json::Map<String, serde_json::Value>,
}

impl Access {
    /// The highest role, wherever it is for.
    pub fn role(&self) -> Option<Role> {
        self.grants
            .iter()
            .filter(|grant| grant.tenants != Tenants::These(BTreeSet::new()))
            .map(|grant| grant.role)
            .max()
    }

    /// The highest role for a tenant.
    pub fn role_in(&self, tenant: &str) -> Option<Role> {
        let reaches = |grant: &&RoleBinding| match &grant.tenants {
            Tenants::All => true,
            Tenants::These(these) => these.contains(tenant),
        };
        self.grants.iter().filter(reaches).map(|grant| grant.role).max()
    }

    pub fn may(&self, action: Action, scope: Scope<'_>) -> Result<(), Denied> {
        allowed_by_any(&self.grants, action, scope)
    }

    /// For which tenants it gives this role, or a higher one.
    pub fn tenants(&self, needed: Role) -> Tenants {
        let mut these = BTreeSet::new();
        for grant in self.grants.iter().filter(|grant| grant.role >= needed) {
            match &grant.tenants {
                Tenants::All => return Tenants::All,
                Tenants::These(some) => these.extend(some.iter().cloned()),
            }
        }
        Tenants::These(these)
    }
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Session => "session",
            Kind::Token => "token",
            Kind::Trial => "trial",
            Kind::Proxy => "proxy",
            Kind::Command => "command",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> Result<Kind, ()> {
        let kinds = [Kind::Session, Kind::Token, Kind::Trial, Kind::Proxy, Kind::Command];
        kinds.into_iter().find(|kind| kind.as_str() == name).ok_or(())
    }
}

/// A role as the database has it.
pub(crate) fn level(role: Role) -> i16 {
    match role {
        Role::Viewer => 1,
        Role::Reviewer => 2,
        Role::Lead => 3,
        Role::Admin => 4,
    }
}

/// Grants as the database has them: a row for each role and tenant, `*` for all tenants. In order, each once.
pub(crate) fn rows(grants: &[RoleBinding]) -> BTreeSet<(i16, String)> {
    let of = |grant: &RoleBinding| {
        let tenants: Vec<String> = match &grant.tenants {
            Tenants::All => vec!["*".into()],
            Tenants::These(these) => these.iter().cloned().collect(),
        };
        let level = level(grant.role);
        tenants.into_iter().map(move |tenant| (level, tenant)).collect::<Vec<_>>()
    };
    grants.iter().flat_map(of).collect()
}

/// The grants of these rows, the lowest role first. Levels that nobody knows grant nothing.
pub(crate) fn grants(rows: impl IntoIterator<Item = (i16, String)>) -> Vec<RoleBinding> {
    let rows: BTreeSet<(i16, String)> = rows.into_iter().collect();
    let mut grants = Vec::new();
    for role in Role::ALL {
        let of_it = || rows.iter().filter(|(row, _)| *row == level(role)).map(|(_, tenant)| tenant.as_str());
        if of_it().any(|tenant| tenant == "*") {
            grants.push(RoleBinding { role, tenants: Tenants::All });
        }
        let these: BTreeSet<String> = of_it().filter(|tenant| *tenant != "*").map(String::from).collect();
        if !these.is_empty() {
            grants.push(RoleBinding { role, tenants: Tenants::These(these) });
        }
    }
    grants
}

#[cfg(test)]
mod tests {
    use super::*;

    fn these(tenants: &[&str]) -> Tenants {
        Tenants::These(tenants.iter().map(ToString::to_string).collect())
    }

    fn access(grants: Vec<RoleBinding>) -> Access {
        Access {
            id: Uuid::nil(),
            kind: Kind::Session,
            person: "p".into(),
            pseudonym: "r-0".into(),
            name: "P".into(),
            grants,
            prefs: serde_json::Map::new(),
        }
    }

    #[test]
    fn without_a_grant_nothing_is_allowed() {
        let nobody = access(Vec::new());
        assert_eq!((nobody.role(), nobody.role_in("acme")), (None, None));
        assert_eq!(nobody.tenants(Role::Viewer), these(&[]));
        for action in Action::ALL {
            assert_eq!(nobody.may(action, Scope::Tenant("acme")), Err(Denied::NoRole));
        }
        assert_eq!(access(vec![RoleBinding { role: Role::Admin, tenants: these(&[]) }]).role(), None);
    }

    #[test]
    fn a_role_reaches_its_tenants_and_no_others() {
        let one = access(vec![
            RoleBinding { role: Role::Viewer, tenants: Tenants::All },
            RoleBinding { role: Role::Lead, tenants: these(&["acme", "beta"]) },
        ]);
        assert_eq!((one.role_in("acme"), one.role_in("gamma")), (Some(Role::Lead), Some(Role::Viewer)));
        assert_eq!(one.tenants(Role::Reviewer), these(&["acme", "beta"]));
        assert_eq!(one.tenants(Role::Viewer), Tenants::All);
        assert_eq!(one.tenants(Role::Admin), these(&[]));
    }

    #[test]
    fn grants_come_back_from_their_rows() {
        let some = vec![
            RoleBinding { role: Role::Viewer, tenants: Tenants::All },
            RoleBinding { role: Role::Lead, tenants: these(&["acme", "beta"]) },
        ];
        assert_eq!(grants(rows(&some)), some);
        assert_eq!(grants([(0, "acme".into()), (9, "*".into())]), vec![]);
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in [Kind::Session, Kind::Token, Kind::Trial, Kind::Proxy, Kind::Command] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }
}
