//! Who somebody says to be, or a proxy or an issuer says for them, and the roles that this gives.

use std::collections::BTreeSet;

use review::{RoleBinding, Tenants};

use crate::access;
use crate::settings::RoleRule;

/// Of names, and of what persons are called: bytes.
pub(crate) const LONGEST: usize = 255;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) person: String,
    pub(crate) name: String,
    pub(crate) groups: BTreeSet<String>,
}

/// What the rules grant: those that name the person or one of the groups, put together. Nothing, if none does.
pub(crate) fn granted(identity: &Identity, rules: &[RoleRule]) -> Vec<RoleBinding> {
    let applies = |rule: &&RoleRule| {
        let by_group = rule.group.as_ref().is_some_and(|group| identity.groups.contains(group));
        by_group || rule.person.as_ref() == Some(&identity.person)
    };
    let bindings: Vec<RoleBinding> = rules.iter().filter(applies).map(binding).collect();
    access::grants(access::rows(&bindings))
}

fn binding(rule: &RoleRule) -> RoleBinding {
    let tenants = match rule.tenants.iter().any(|tenant| tenant == "*") {
        true => Tenants::All,
        false => Tenants::These(rule.tenants.iter().cloned().collect()),
    };
    RoleBinding { role: rule.role, tenants }
}

/// A name that can be shown: the first letters of it, without control characters; what else there is if none is left.
pub(crate) fn shown(name: Option<&str>, otherwise: &str) -> String {
    let plain = |name: &str| {
        let plain = name.chars().filter(|character| !character.is_control()).take(LONGEST / 4).collect::<String>();
        plain.trim().to_string()
    };
    let name = name.map(plain).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| plain(otherwise))
}

#[cfg(test)]
mod tests {
    use review::Role;

    use super::*;

    fn rule(group: &str, role: Role, tenants: &[&str]) -> RoleRule {
        let tenants = tenants.iter().map(ToString::to_string).collect();
        RoleRule { group: Some(group.into()), person: None, role, tenants }
    }

    fn identity(groups: &[&str]) -> Identity {
        let groups = groups.iter().map(ToString::to_string).collect();
        Identity { person: "https://issuer.example ann".into(), name: "Ann".into(), groups }
    }

    #[test]
    fn a_group_that_no_rule_knows_gives_nothing() {
        let rules = [rule("moderators", Role::Reviewer, &["acme"])];
        for groups in [&[][..], &["Moderators"], &["moderators "], &["*"], &[""]] {
            assert_eq!(granted(&identity(groups), &rules), vec![], "{groups:?}");
        }
        assert_eq!(granted(&identity(&["moderators"]), &[]), vec![]);
    }

    #[test]
    fn the_rules_of_all_groups_are_put_together() {
        let mut rules = vec![
            rule("moderators", Role::Reviewer, &["acme"]),
            rule("beta", Role::Reviewer, &["beta"]),
            rule("leads", Role::Lead, &["*"]),
        ];
        let granted_to = |groups: &[&str], rules: &[RoleRule]| granted(&identity(groups), rules);
        let both = Tenants::These(["acme".to_string(), "beta".into()].into());
        let reviewer = RoleBinding { role: Role::Reviewer, tenants: both };
        assert_eq!(granted_to(&["moderators", "beta", "staff"], &rules), vec![reviewer]);
        assert_eq!(granted_to(&["leads"], &rules), vec![RoleBinding { role: Role::Lead, tenants: Tenants::All }]);
        let person = Some("https://issuer.example ann".into());
        rules.push(RoleRule { group: None, person, role: Role::Admin, tenants: vec!["*".into()] });
        assert_eq!(granted_to(&[], &rules), vec![RoleBinding { role: Role::Admin, tenants: Tenants::All }]);
    }

    #[test]
    fn a_name_is_short_and_plain_and_never_empty() {
        assert_eq!(shown(Some(" Ann\u{0}\n B "), "x"), "Ann B");
        assert_eq!(shown(Some("\n"), "sub"), "sub");
        assert_eq!(shown(None, "sub"), "sub");
        assert!(shown(Some(&"\u{1f600}".repeat(999)), "x").len() <= LONGEST);
    }
}
