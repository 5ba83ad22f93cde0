//! `[broker]` of the configuration.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::queue::Lane;
use domain::request::validate_tenant;

/// `[broker]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub url: SecretString,
    /// "" for the system's authorities.
    pub ca_file: String,
    pub topology: TopologyMode,
    pub prefix: String,
    pub prefetch: u16,
    pub bulk_prefetch: u16,
    pub retry_delays_s: Vec<u32>,
    pub delivery_limit: u32,
    pub consumer_timeout_s: u64,
    pub connect_timeout_s: u64,
    pub publish_timeout_s: u64,
    /// Bucket → tenant, for the request forms that name no tenant.
    #[serde(default)]
    pub tenants: BTreeMap<String, String>,
}

/// What is done about queues and exchanges at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopologyMode {
    /// Declare what is missing.
    Declare,
    /// Check that all is there.
    Verify,
    /// Trust that all is there.
    None,
}

impl Settings {
    /// Checks what the types don't; the error names the key and the fix.
    pub fn validate(&self) -> Result<(), String> {
        let url = Url::parse(self.url.expose_secret()).map_err(|error| format!("broker.url is no URL: {error}"))?;
        if !matches!(url.scheme(), "amqp" | "amqps") || url.host_str().is_none_or(str::is_empty) {
            return Err(format!(
                "broker.url = {:?} must be amqp://user:password@host/vhost or amqps://…",
                self.address()
            ));
        }
        if self.prefetch == 0 {
            return Err("broker.prefetch = 0 would take any number of messages; name how many".into());
        }
        if self.prefix.is_empty() || self.prefix.len() > 64 {
            return Err("broker.prefix must be 1 to 64 bytes long: it begins every queue name".into());
        }
        for (bucket, tenant) in &self.tenants {
            validate_tenant(tenant).map_err(|error| format!("broker.tenants.{bucket}: {error}"))?;
        }
        tls::check_authorities("broker.ca_file", &self.ca_file)
    }

    /// Says if the password crosses a network unencrypted, and the fix.
    pub fn exposure(&self) -> Option<String> {
        let url = Url::parse(self.url.expose_secret()).ok()?;
        let host = url.host_str()?;
        let plain = url.scheme() == "amqp" && url.password().is_some() && !tls::is_loopback(host);
        plain.then(|| format!("the password in broker.url goes to {host} unencrypted; use amqps://"))
    }

    /// The URL without its password, for people.
    pub fn address(&self) -> String {
        match Url::parse(self.url.expose_secret()) {
            Ok(mut url) => {
                // Fails only for a URL that can't have a password.
                let _ = url.set_password(None);
                url.set_query(None);
                url.set_fragment(None);
                // A password with a slash that isn't written %2f.
                if url.path().contains('@') {
                    url.set_path("");
                }
                url.to_string()
            }
            Err(_) => "broker.url".into(),
        }
    }

    pub(crate) fn prefetch_of(&self, lane: Lane) -> u16 {
        match lane {
            Lane::Live => self.prefetch,
            Lane::Bulk => self.bulk_prefetch,
        }
    }

    /// Attempts before a transient error becomes a failure: the first, and one after each delay.
    pub fn max_attempts(&self) -> u32 {
        self.retry_delays_s.len() as u32 + 1
    }
}
