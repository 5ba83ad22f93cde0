//! `[database]` of the configuration.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

/// Where everything lies that is kept in PostgreSQL, and how it is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub url: SecretString,
    pub schema: String,
    pub connections: u32,
    pub timeout_s: u64,
    pub pooler: Pooler,
}

/// What stands between this program and PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooler {
    /// Nothing, or what gives each connection one of the server's for as long as it lasts.
    None,
    /// What gives a connection one of the server's for a transaction at a time: PgBouncer with `pool_mode = transaction`.
    Transaction,
}

impl Settings {
    /// What the types do not hold; the error names the key and how to fix it.
    pub fn validate(&self) -> Result<(), String> {
        let schema = self.schema.as_str();
        let plain = schema.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        // 63 bytes are what PostgreSQL keeps of a name.
        if !plain || schema.is_empty() || schema.len() > 63 || schema.starts_with(|first: char| first.is_ascii_digit())
        {
            return Err(format!(
                "database.schema = {schema:?} must be 1 to 63 lower-case letters, digits and underscores, and not begin \
                 with a digit"
            ));
        }
        if self.connections == 0 || self.timeout_s == 0 {
            return Err("database.connections and database.timeout_s must be at least 1".into());
        }
        if self.is_cut_within_password() {
            return Err(
                "database.url has an @ after the host: in a user name, a password and a database's name write @ as \
                        %40, # as %23, / as %2f and ? as %3f"
                    .into(),
            );
        }
        if self.names_several_hosts() {
            return Err("database.url names several hosts, and none would be tried after the first: name one, which always leads \
                        to the primary (a virtual address, a name that the failover moves, HAProxy or PgBouncer before them)"
                .into());
        }
        Ok(())
    }

    /// As libpq takes them: `postgres://one:5432,other:5432/assay`, or `?host=one,other`.
    fn names_several_hosts(&self) -> bool {
        let url = self.url.expose_secret();
        let (_, rest) = url.split_once("://").unwrap_or_default();
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = address.split('/').next().unwrap_or_default();
        let hosts = authority.rsplit('@').next().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        hosts.contains(',') || pairs.any(|(name, value)| matches!(&*name, "host" | "hostaddr") && value.contains(','))
    }

    /// Whether a raw `#`, `/` or `?` in the password ended the host early, so that a piece of it may be taken for the host.
    pub(crate) fn is_cut_within_password(&self) -> bool {
        let Ok(url) = Url::parse(self.url.expose_secret()) else { return false };
        // A parameter may have one in its value.
        let query = url.query().unwrap_or_default().split('=').next().unwrap_or_default();
        [url.path(), query, url.fragment().unwrap_or_default()].iter().any(|part| part.contains('@'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{address, exposure};

    fn settings(url: &str) -> Settings {
        Settings {
            url: SecretString::from(url),
            schema: "assay".into(),
            connections: 1,
            timeout_s: 1,
            pooler: Pooler::None,
        }
    }

    #[test]
    fn several_hosts_are_refused_by_name() {
        for url in [
            "postgres://user:word@one:5432,other:5433/assay",
            "postgres://user:word@one,other/assay",
            "postgres://one,other",
            "postgres:///assay?host=one,other",
            "postgres://user@one/assay?sslmode=require&hostaddr=10.0.0.1%2C10.0.0.2",
        ] {
            let error = settings(url).validate().unwrap_err();
            assert!(error.contains("several hosts") && !error.contains("word"), "{url}: {error}");
        }
        for url in ["postgres://user:a,b@host/d", "postgres://user@host/a,b", "postgres://user@host/d?options=a,b"] {
            assert_eq!(settings(url).validate(), Ok(()), "{url}");
        }
    }

    #[test]
    fn no_piece_of_a_password_is_shown_wherever_it_cuts_the_url() {
        for url in [
            "postgres://user:12#34@host.example/d",
            "postgres://user:hu@34#56@host.example/d",
            "postgres://user:hu@34/56@host.example/d",
            "postgres://user:12?34@host.example/d?sslmode=disable",
        ] {
            let settings = settings(url);
            let error = settings.validate().unwrap_err();
            let said = format!("{error} {} {:?}", address(&settings), exposure(&settings));
            let said = said.replace("%23", "").replace("%40", "");
            assert!(["12", "34", "56", "hu"].iter().all(|piece| !said.contains(piece)), "{url}: {said}");
        }
        for url in ["postgres://user:p@ss@host/d", "postgres://user:p@host/d?application_name=a@b"] {
            assert_eq!((settings(url).validate(), address(&settings(url))), (Ok(()), "host:5432/d".into()));
        }
    }
}
