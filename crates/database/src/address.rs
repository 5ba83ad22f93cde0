//! Where the database is, how it is reached, and what of that people may read.

use std::str::FromStr;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::error::DatabaseError;
use crate::settings::Settings;

/// The database's address without user and password, for messages.
pub fn address(settings: &Settings) -> String {
    match PgConnectOptions::from_str(settings.url.expose_secret()) {
        Ok(options) if !settings.is_cut_within_password() => {
            let database = options.get_database().unwrap_or(options.get_username());
            format!("{}:{}/{database}", options.get_host(), options.get_port())
        }
        _ => "an unreadable address".into(),
    }
}

/// What crosses the network for anybody to read, and how to fix it.
pub fn exposure(settings: &Settings) -> Option<String> {
    let readable = Some(settings).filter(|settings| !settings.is_cut_within_password())?;
    let options = PgConnectOptions::from_str(readable.url.expose_secret()).ok()?;
    let host = options.get_host();
    let encrypted = matches!(options.get_ssl_mode(), PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    // A socket in the file system goes nowhere.
    (!encrypted && !host.starts_with('/') && !tls::is_loopback(host)).then(|| {
        format!(
            "what goes to the database at {host} may go unencrypted, the login too; add ?sslmode=verify-full to \
             database.url"
        )
    })
}

/// The file of authorities that the URL names.
fn authorities(settings: &Settings) -> Option<String> {
    let url = url::Url::parse(settings.url.expose_secret()).ok()?;
    let mut pairs = url.query_pairs();
    pairs
        .find(|(name, _)| matches!(name.as_ref(), "sslrootcert" | "ssl-root-cert" | "ssl-ca"))
        .map(|(_, path)| path.into())
}

pub(crate) fn options(settings: &Settings) -> Result<PgConnectOptions, DatabaseError> {
    settings.validate().map_err(DatabaseError::failed)?;
    let options = PgConnectOptions::from_str(settings.url.expose_secret()).map_err(|error| {
        let detail = format!("database.url can't be read: {error}");
        DatabaseError::Failed { detail, cause: Some(error.into()) }
    })?;
    if let Some(Err(detail)) = authorities(settings).map(|path| tls::authorities(&path)) {
        let detail = format!("sslrootcert={detail}");
        return Err(DatabaseError::Untrusted { address: address(settings), detail, cause: None });
    }
    let named = options.get_application_name().is_some();
    let options = if named { options } else { options.application_name("assay") };
    // A pooler refuses what it can't hand on. PostgreSQL since 12 writes numbers in full without being told.
    Ok(options.extra_float_digits(None))
}
