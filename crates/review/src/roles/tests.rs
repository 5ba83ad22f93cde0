use super::*;

const SCOPES: [Scope<'static>; 3] = [Scope::Tenant("acme"), Scope::Tenant("globex"), Scope::EveryTenant];

fn binding(role: Role, tenants: &[&str]) -> RoleBinding {
    RoleBinding { role, tenants: Tenants::These(tenants.iter().map(|tenant| (*tenant).into()).collect()) }
}

fn for_all(role: Role) -> RoleBinding {
    RoleBinding { role, tenants: Tenants::All }
}

/// Who may do what, written down a second time: a row for each action, a mark for each role from viewer to admin.
const TABLE: [(&str, [bool; 4]); 21] = [
    ("see_queue", [true, true, true, true]),
    ("see_item", [true, true, true, true]),
    ("see_numbers", [true, true, true, true]),
    ("claim", [false, true, true, true]),
    ("vote", [false, true, true, true]),
    ("skip", [false, true, true, true]),
    ("hold", [false, true, true, true]),
    ("escalate", [false, true, true, true]),
    ("search", [true, true, true, true]),
    ("file_appeal", [false, true, true, true]),
    ("assign", [false, false, true, true]),
    ("see_reviewers", [false, false, true, true]),
    ("decide_appeal", [false, false, true, true]),
    ("make_golden", [false, false, true, true]),
    ("see_policy", [false, false, true, true]),
    ("try_policy", [false, false, true, true]),
    ("export_statements", [false, false, true, true]),
    ("activate_policy", [false, false, false, true]),
    ("manage_tokens", [false, false, false, true]),
    ("manage_roles", [false, false, false, true]),
    ("export_audit_log", [false, false, true, true]),
];

#[test]
fn every_role_may_do_to_every_tenant_what_the_table_says_and_nothing_else() {
    for (action, (name, marks)) in Action::ALL.into_iter().zip(TABLE) {
        assert_eq!(action.as_str(), name, "the table is in the order of the actions");
        for (role, may) in Role::ALL.into_iter().zip(marks) {
            let bindings = [
                (for_all(role), [true, true, true]),
                (binding(role, &["acme"]), [true, false, false]),
                (binding(role, &["acme", "globex"]), [true, true, false]),
                (binding(role, &[]), [false, false, false]),
            ];
            for (binding, reaches) in bindings {
                for (scope, reached) in SCOPES.into_iter().zip(reaches) {
                    let found = allowed(&binding, action, scope);
                    assert_eq!(found.is_ok(), may && reached, "{action} {role} {binding:?} {scope:?} {found:?}");
                }
            }
        }
    }
}

#[test]
fn somebody_without_a_role_may_do_nothing() {
    for action in Action::ALL {
        for scope in SCOPES {
            assert_eq!(allowed_by_any(&[], action, scope), Err(Denied::NoRole));
        }
    }
}

#[test]
fn roles_for_several_tenants_do_not_add_up_to_more_than_each_of_them() {
    let bindings = [binding(Role::Lead, &["acme"]), binding(Role::Viewer, &["globex"])];
    for action in Action::ALL {
        for scope in SCOPES {
            let any = bindings.iter().any(|binding| allowed(binding, action, scope).is_ok());
            assert_eq!(allowed_by_any(&bindings, action, scope).is_ok(), any, "{action} {scope:?}");
        }
    }
    assert!(allowed_by_any(&bindings, Action::Vote, Scope::Tenant("acme")).is_ok());
    let denied = allowed_by_any(&bindings, Action::Vote, Scope::Tenant("globex")).unwrap_err();
    let wanted = Denied::Role { action: Action::Vote, needed: Role::Reviewer, role: Role::Viewer };
    assert_eq!(denied, wanted, "the role that is for the tenant says what is missing");
}

#[test]
fn a_tenant_is_its_whole_name_in_its_own_case() {
    let binding = binding(Role::Admin, &["acme"]);
    for tenant in ["", "acm", "acme2", "ACME", "acme ", "*"] {
        assert_eq!(allowed(&binding, Action::SeeQueue, Scope::Tenant(tenant)), Err(Denied::Tenant), "{tenant:?}");
    }
}

#[test]
fn what_is_denied_says_what_is_missing_and_no_name_of_a_tenant() {
    let text = |denied: Result<(), Denied>| denied.unwrap_err().to_string();
    let role = text(allowed(&for_all(Role::Viewer), Action::Assign, Scope::Tenant("acme")));
    assert!(role.contains("assign") && role.contains("lead") && role.contains("viewer"), "{role}");
    let tenant = text(allowed(&binding(Role::Admin, &["globex"]), Action::SeeItem, Scope::Tenant("acme")));
    assert!(!tenant.contains("acme") && !tenant.contains("globex"), "{tenant}");
}

#[test]
fn bindings_and_names_are_read_as_they_are_written() {
    for binding in [for_all(Role::Lead), binding(Role::Viewer, &["acme"])] {
        let text = serde_json::to_string(&binding).unwrap();
        assert_eq!(serde_json::from_str::<RoleBinding>(&text).unwrap(), binding);
    }
    let text = serde_json::to_string(&binding(Role::Lead, &["all"])).unwrap();
    assert_eq!(text, r#"{"role":"lead","tenants":{"these":["all"]}}"#, "a tenant named `all` is one tenant");
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
        assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
    }
    for action in Action::ALL {
        assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
    }
    assert!("root".parse::<Role>().unwrap_err().to_string().contains("viewer, reviewer, lead and admin"));
}
