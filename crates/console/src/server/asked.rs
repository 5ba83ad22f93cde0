//! One request, as the answers see it.

use std::collections::HashMap;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use uuid::Uuid;

use access::Access;
use review::{Caller, ItemId, Role};

use super::forms::Fields;
use super::refusal::Refusal;

#[derive(Debug)]
pub(super) struct Asked {
    /// Who is asking; always somebody where the route needs somebody.
    pub(super) access: Option<Access>,
    /// The parts of the path that have names.
    pub(super) path: HashMap<String, String>,
    pub(super) query: Fields,
    pub(super) raw_query: String,
    pub(super) form: Fields,
    pub(super) headers: HeaderMap,
    /// To find it in the log.
    pub(super) request: String,
}

/// Whether it is the script, which wants JSON and no page.
pub(super) fn is_script(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("application/json"))
}

impl Asked {
    pub(super) fn is_script(&self) -> bool {
        is_script(&self.headers)
    }

    pub(super) fn access(&self) -> Result<&Access, Refusal> {
        self.access.as_ref().ok_or_else(|| Refusal::fault("a route that needs somebody was asked by nobody"))
    }

    pub(super) fn caller(&self) -> Result<Caller, Refusal> {
        let access = self.access()?;
        Ok(Caller { access: access.id, person: access.person.clone(), pseudonym: access.pseudonym.clone() })
    }

    /// Their role for a tenant.
    pub(super) fn has_role(&self, tenant: &str, needed: Role) -> bool {
        self.access.as_ref().and_then(|access| access.role_in(tenant)).is_some_and(|role| role >= needed)
    }

    /// The id in the path. What is no id is nothing that is here.
    pub(super) fn id(&self) -> Result<Uuid, Refusal> {
        let id = self.path.get("id").map(String::as_str).unwrap_or_default();
        Uuid::try_parse(id).map_err(|_| Refusal::not_found())
    }

    pub(super) fn item(&self) -> Result<ItemId, Refusal> {
        self.id().map(ItemId)
    }
}
