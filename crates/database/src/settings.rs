//! `[database]` of the configuration.

use secrecy::SecretString;
use serde::Deserialize;

/// Where everything lies that is kept in PostgreSQL, and how it is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub url: SecretString,
    pub schema: String,
    pub connections: u32,
    pub timeout_s: u64,
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
        Ok(())
    }
}
