//! What the database and the rules say of who may do what: the same.

#![allow(clippy::large_futures, reason = "a test has the stack to itself")]
#![allow(clippy::unwrap_used, reason = "a test ends by panicking, in its helpers too")]

mod support;

use std::collections::BTreeSet;

use access::{Access, Kind};
use database::{Database, query};
use review::{Action, Role, RoleBinding, Scope, Tenants, allowed_by_any};
use sqlx::Row;
use support::{database_url, execute, in_own_schema};
use uuid::Uuid;

/// Each role for all tenants, none, one, the other, both; each alone, and each two together.
fn every_pair_of_grants() -> Vec<Vec<RoleBinding>> {
    let these = |some: &[&str]| Tenants::These(some.iter().map(ToString::to_string).collect());
    let tenants = [Tenants::All, these(&[]), these(&["acme"]), these(&["beta"]), these(&["acme", "beta"])];
    let single: Vec<RoleBinding> = Role::ALL
        .into_iter()
        .flat_map(|role| tenants.iter().map(move |tenants| RoleBinding { role, tenants: tenants.clone() }))
        .collect();
    let pairs = single.iter().flat_map(|one| single.iter().map(|other| vec![one.clone(), other.clone()]));
    [Vec::new()].into_iter().chain(single.iter().map(|one| vec![one.clone()])).chain(pairs).collect()
}

fn level(role: Role) -> i16 {
    Role::ALL.iter().position(|known| *known == role).unwrap() as i16 + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_and_the_rules_agree_on_every_role_tenant_and_action() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let cases = every_pair_of_grants();
        execute(&database, "INSERT INTO people (person, pseudonym) VALUES ('p', pseudonym_of('p'))").await;
        let mut values = Vec::new();
        let mut accesses = Vec::new();
        for grants in &cases {
            let id = Uuid::new_v4();
            values.push(format!("('{id}', 'session', 'p', now() + interval '1 hour')"));
            accesses.push((id, grants));
        }
        execute(
            &database,
            &format!("INSERT INTO accesses (access_id, kind, person, expires_at) VALUES {}", values.join(",")),
        )
        .await;
        let rows = |(id, grants): &(Uuid, &Vec<RoleBinding>)| {
            let of = |grant: &RoleBinding| match &grant.tenants {
                Tenants::All => vec![(level(grant.role), "*".to_string())],
                Tenants::These(these) => these.iter().map(|tenant| (level(grant.role), tenant.clone())).collect(),
            };
            let rows: BTreeSet<_> = grants.iter().flat_map(of).collect();
            rows.into_iter().map(|(role, tenant)| format!("('{id}', {role}, '{tenant}')")).collect::<Vec<_>>()
        };
        let rows: Vec<String> = accesses.iter().flat_map(rows).collect();
        execute(&database, &format!("INSERT INTO access_grants VALUES {}", rows.join(","))).await;
        let mut compared = 0;
        for (id, grants) in accesses {
            let access = Access {
                id,
                kind: Kind::Session,
                person: "p".into(),
                pseudonym: String::new(),
                name: String::new(),
                grants: grants.clone(),
                prefs: serde_json::Map::new(),
            };
            compared += agree(&database, &access).await;
        }
        assert_eq!(compared, cases.len() * 4 * Action::ALL.len());
    })
    .await;
}

/// Compares everything that is said of one access; how many actions there were.
async fn agree(database: &Database, access: &Access) -> usize {
    let asked = "SELECT needed, tenant, may($1, needed::smallint, tenant) AS may, role_in($1, tenant) AS role,
                    tenants_of($1, needed::smallint) AS tenants
                 FROM generate_series(1, 4) AS needed, unnest(ARRAY['acme', 'beta', 'gamma', '*', NULL]) AS tenant";
    let mut connection = database.connection().await.unwrap();
    let rows = query(asked).bind(access.id).fetch_all(&mut *connection).await;
    let rows = database.conclude(connection, rows).await.unwrap();
    let mut compared = 0;
    for row in rows {
        let needed = Role::ALL[row.get::<i32, _>("needed") as usize - 1];
        let tenant: Option<String> = row.get("tenant");
        let tenant = tenant.as_deref();
        let scope = tenant.filter(|tenant| *tenant != "*").map_or(Scope::EveryTenant, Scope::Tenant);
        for action in Action::ALL.into_iter().filter(|action| action.needs() == needed) {
            let by_rules = allowed_by_any(&access.grants, action, scope).is_ok();
            assert_eq!(row.get::<bool, _>("may"), by_rules, "{:?} {action} {tenant:?}", access.grants);
            assert_eq!(access.may(action, scope).is_ok(), by_rules);
            compared += usize::from(tenant.is_some());
        }
        if let Scope::Tenant(tenant) = scope {
            let role = access.role_in(tenant).map_or(0, level);
            assert_eq!(row.get::<i16, _>("role"), role, "{:?} {tenant}", access.grants);
        }
        let tenants: Vec<String> = row.get("tenants");
        let expected = match access.tenants(needed) {
            Tenants::All => vec!["*".to_string()],
            Tenants::These(these) => these.into_iter().collect(),
        };
        assert_eq!(tenants, expected, "{:?} {needed}", access.grants);
    }
    compared
}
