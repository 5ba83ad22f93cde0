//! Who is asking, and what they may do.
//!
//! What a request proves is an [`Access`]: a session that began at an OpenID Connect issuer, a personal token, a proxy's header, a
//! trial, or a command of the command line. Each is a row, with the roles that it grants; [`Gate`] finds or makes it. Every write
//! elsewhere asks the SQL functions `role_in`, `may` and `tenants_of` again, with the access's id. What nothing grants is denied,
//! and the database's clock decides when an access has ended.

mod access;
mod ask;
pub mod audit;
mod cookie;
mod error;
mod gate;
mod identity;
mod issuer;
mod next;
mod people;
mod postgres;
mod proxy;
mod secret;
mod settings;
mod sign_in;
mod token;
mod web;

pub use access::{Access, Kind};
pub use audit::{AuditFilter, AuditPage, AuditRow, Entry};
pub use error::AccessError;
pub use gate::{Gate, Mode, command};
pub use people::{Prefs, Who};
pub use settings::{Oidc, Proxy, RoleRule, Settings};
pub use token::{NewToken, Token, TokenState};
