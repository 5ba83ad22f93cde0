//! Where every request comes by: who is asking is found here, or nobody.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use review::{Role, RoleBinding, Tenants};
use tokio::sync::mpsc;
use url::Url;
use uuid::Uuid;

use crate::access::{Access, Kind};
use crate::audit::{self, AuditFilter, AuditPage, AuditRow, Entry, From};
use crate::cookie::{Cookie, Cookies};
use crate::error::AccessError;
use crate::identity::{Identity, granted, shown};
use crate::issuer::Issuer;
use crate::people::{self, Prefs, Who};
use crate::postgres::{Found, find, standing, tidy, touch};
use crate::proxy::Proxy;
use crate::secret;
use crate::settings::Settings;
use crate::sign_in::{self, idle_minutes, minutes};
use crate::token::{self, NewToken, Token};
use database::{Database, DatabaseError};

const TRIAL: &str = "trial:";
/// An access of the command line, for as long as one command should take.
const COMMAND_MINUTES: i32 = 60;

/// How a console lets people in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whoever reaches it is this person, and may do everything. It must be reached by loopback alone, which the server sees to.
    Trial { name: String },
    /// As the settings say.
    Configured,
}

pub struct Gate {
    database: Database,
    settings: Settings,
    mode: Mode,
    issuer: Option<Issuer>,
    proxy: Option<Proxy>,
    cookies: Cookies,
}

impl Gate {
    /// An issuer that can't be asked now is asked again when somebody wants to sign in.
    pub async fn open(settings: &Settings, database: &Database, mode: Mode) -> Result<Gate, AccessError> {
        settings.validate().map_err(AccessError::Settings)?;
        let (issuer, proxy) = match mode {
            Mode::Configured => (Issuer::new(&settings.oidc)?, Proxy::new(&settings.proxy)?),
            Mode::Trial { .. } => (None, None),
        };
        if let Mode::Trial { name } = &mode
            && (name.trim().is_empty() || shown(Some(name), "") != *name)
        {
            return Err(AccessError::Settings(format!("`--user {name:?}` is no name: write a short one, in letters")));
        }
        tidy(database).await?;
        if let Some(issuer) = &issuer
            && let Err(error) = issuer.metadata().await
        {
            tracing::warn!(%error, "nobody can sign in yet: the issuer is asked again when somebody wants to");
        }
        if mode == Mode::Configured && issuer.is_none() && proxy.is_none() {
            tracing::warn!(
                "nobody can sign in: there is no access.oidc.issuer and no access.proxy.from; tokens open what they do"
            );
        }
        let secure = !settings.oidc.redirect_url.starts_with("http://");
        let (database, settings) = (database.clone(), settings.clone());
        Ok(Gate { database, settings, mode, issuer, proxy, cookies: Cookies { secure } })
    }

    /// Who is asking; `None`: nobody who is known. What claims to be somebody and is not is an error, and never looked past.
    pub async fn access(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Option<Access>, AccessError> {
        let proxied = match &self.proxy {
            Some(proxy) => proxy.identity(headers, peer)?,
            None => None,
        };
        if headers.contains_key(AUTHORIZATION) {
            return self.by_token(headers).await.map(Some);
        }
        if let Mode::Trial { name } = &self.mode {
            return Ok(Some(self.trial(name).await?));
        }
        if let Some(identity) = proxied {
            let grants = granted(&identity, &self.settings.roles);
            let minutes = minutes(self.settings.session_hours);
            return Ok(Some(standing(&self.database, Kind::Proxy, &identity, &grants, minutes).await?));
        }
        self.by_cookie(headers).await
    }

    async fn by_token(&self, headers: &HeaderMap) -> Result<Access, AccessError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
        let (scheme, secret) = value.and_then(|value| value.split_once(' ')).ok_or(AccessError::NoToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AccessError::NoToken);
        }
        let secret = secret.trim();
        if !secret::is_token(secret) {
            return Err(AccessError::UnknownToken);
        }
        let found = find(&self.database, Kind::Token, &secret::digest(secret)).await?;
        let Found { access, ended, due } = found.ok_or(AccessError::UnknownToken)?;
        // What a trial has made opens trials alone.
        if access.person.starts_with(TRIAL) && self.mode == Mode::Configured {
            return Err(AccessError::UnknownToken);
        }
        if let Some(how) = ended {
            return Err(AccessError::TokenEnded(how));
        }
        if due {
            touch(&self.database, access.id, None).await?;
        }
        Ok(access)
    }

    async fn by_cookie(&self, headers: &HeaderMap) -> Result<Option<Access>, AccessError> {
        let secret = self.cookies.get(Cookie::Session, headers).filter(|secret| secret::is_secret(secret));
        let Some(secret) = secret else { return Ok(None) };
        let found = find(&self.database, Kind::Session, &secret::digest(&secret)).await?;
        let Some(Found { access, ended: None, due }) = found else { return Ok(None) };
        if due {
            touch(&self.database, access.id, Some(idle_minutes(&self.settings))).await?;
        }
        Ok(Some(access))
    }

    async fn trial(&self, name: &str) -> Result<Access, DatabaseError> {
        let identity = Identity { person: format!("{TRIAL}{name}"), name: name.into(), groups: [].into() };
        let everything = [RoleBinding { role: Role::Admin, tenants: Tenants::All }];
        standing(&self.database, Kind::Trial, &identity, &everything, minutes(self.settings.session_hours)).await
    }

    /// Whether there is an issuer to sign in at; it may be away.
    pub fn sign_in_is_possible(&self) -> bool {
        self.issuer.is_some()
    }

    /// For people: where they would sign in.
    pub fn issuer_name(&self) -> Option<&str> {
        self.issuer.as_ref().map(Issuer::name)
    }

    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Where to send somebody who wants to sign in and then see the page `next`, and the value of `Set-Cookie` to send along.
    pub async fn begin_sign_in(&self, next: &str) -> Result<(Url, String), AccessError> {
        let issuer = self.issuer.as_ref().ok_or(AccessError::NoIssuer)?;
        Box::pin(sign_in::begin(&self.database, issuer, self.cookies, next)).await
    }

    /// Who came back, by the query that they came back with; the value of `Set-Cookie` of their session, and where they wanted to go.
    pub async fn finish_sign_in(
        &self,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<(Access, String, String), AccessError> {
        let issuer = self.issuer.as_ref().ok_or(AccessError::NoIssuer)?;
        Box::pin(sign_in::finish((&self.database, issuer, &self.settings), self.cookies, query, headers)).await
    }

    /// Ends a session; gives the value of `Set-Cookie` that takes its cookie away.
    pub async fn sign_out(&self, access: &Access) -> Result<String, AccessError> {
        sign_in::out(&self.database, self.cookies, access).await
    }

    /// One's own, and everybody's for an admin of all tenants.
    pub async fn tokens(&self, access: &Access) -> Result<Vec<Token>, AccessError> {
        token::list(&self.database, access).await
    }

    /// A token, and its secret, which is shown once.
    pub async fn make_token(&self, access: &Access, new: &NewToken) -> Result<(Token, String), AccessError> {
        token::make(&self.database, access, new, self.settings.tokens_max_days).await
    }

    pub async fn revoke_token(&self, access: &Access, id: Uuid) -> Result<(), AccessError> {
        token::revoke(&self.database, access, id).await
    }

    /// For the page of tokens.
    pub fn tokens_max_days(&self) -> u32 {
        self.settings.tokens_max_days
    }

    pub async fn set_prefs(&self, access: &Access, prefs: &Prefs) -> Result<(), AccessError> {
        people::set_prefs(&self.database, access, prefs).await
    }

    /// Writes down what somebody did. What is done in a transaction is written down in it: [`audit::write`].
    pub async fn record(&self, access: &Access, entry: &Entry) -> Result<(), AccessError> {
        Ok(audit::record(&self.database, access, entry).await?)
    }

    /// A page of what this access may see of the log.
    pub async fn audit_log(
        &self,
        access: &Access,
        filter: &AuditFilter,
        from: From,
        most: u16,
    ) -> Result<AuditPage, AccessError> {
        audit::page(&self.database, access, filter, (from, most)).await
    }

    /// Sends all that this access may see of the log, the oldest first; ends early when nobody receives.
    pub async fn export_audit_log(
        &self,
        access: &Access,
        filter: &AuditFilter,
        entries: &mpsc::Sender<AuditRow>,
    ) -> Result<(), AccessError> {
        audit::export(&self.database, access, filter, entries).await
    }

    /// Who was here lately and has such a role for a tenant.
    pub async fn people(&self, needed: Role, tenant: &str) -> Result<Vec<Who>, AccessError> {
        Ok(people::with_role(&self.database, needed, tenant).await?)
    }
}

/// The access of a command of the command line, for whoever runs it: as a lead, for all tenants and a short time.
pub async fn command(database: &Database, actor: &str) -> Result<Access, DatabaseError> {
    let name = shown(Some(actor), "unknown");
    let identity = Identity { person: format!("command:{name}"), name, groups: [].into() };
    let lead = [RoleBinding { role: Role::Lead, tenants: Tenants::All }];
    standing(database, Kind::Command, &identity, &lead, COMMAND_MINUTES).await
}
