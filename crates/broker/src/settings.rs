//! `[broker]` of the configuration.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::queue::RequestQueue;
use domain::request::validate_tenant;

/// `[broker]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub url: SecretString,
    /// "" for the system's authorities.
    pub ca_file: String,
    /// Of the management plugin's HTTP API; "" for where it listens by default. Only `assay doctor` asks there.
    pub management_url: String,
    pub topology: TopologyMode,
    pub prefix: String,
    /// Over how many queues live requests are spread, and over how many those of the bulk.
    pub shards: u16,
    /// Which of them a worker takes; empty for all.
    pub take_shards: Vec<u16>,
    pub prefetch: u16,
    pub bulk_prefetch: u16,
    pub retry_delays_s: Vec<u32>,
    pub delivery_limit: u32,
    pub consumer_timeout_s: u64,
    pub connect_timeout_s: u64,
    pub publish_timeout_s: u64,
    /// Whether there is a queue of all outcomes from the start.
    pub results_queue: bool,
    /// What that queue keeps; 0 for no limit.
    pub results_max_messages: u64,
    pub results_max_age_s: u64,
    /// Most answers to messages that were not taken.
    pub rejections_per_s: u32,
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

/// What RabbitMQ takes as the time to live of a message: 2^32 - 1 milliseconds.
const MAX_AGE_S: u64 = u32::MAX as u64 / 1000;
/// Queues of a kind of requests: each has a channel in every worker that takes it.
pub(crate) const MAX_SHARDS: u16 = 64;
const MAX_MESSAGES: u64 = i64::MAX as u64;
const WRITE_ENCODED: &str = "in a user name and a password write @ as %40, # as %23, / as %2f and ? as %3f";

/// Whether a raw `#`, `/` or `?` in the password ended the host early, so that the rest of the password stands where path,
/// query and fragment are, and a piece of it may be taken for the host.
fn is_cut_within_password(url: &Url) -> bool {
    [url.path(), url.query().unwrap_or_default(), url.fragment().unwrap_or_default()]
        .iter()
        .any(|part| part.contains('@'))
}

impl Settings {
    /// Checks what the types don't; the error names the key and the fix.
    pub fn validate(&self) -> Result<(), String> {
        let url = Url::parse(self.url.expose_secret())
            .map_err(|error| format!("broker.url is no URL: {error}; {WRITE_ENCODED}"))?;
        if is_cut_within_password(&url) {
            return Err(format!("broker.url has an @ after the host: {WRITE_ENCODED}, in a vhost too"));
        }
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
        self.validate_shards()?;
        if self.results_max_age_s > MAX_AGE_S || self.results_max_messages > MAX_MESSAGES {
            return Err(format!(
                "broker.results_max_messages may be at most {MAX_MESSAGES} and broker.results_max_age_s {MAX_AGE_S}; 0 is no limit"
            ));
        }
        let management = Url::parse(&self.management_url).ok();
        let is_http = |url: &Url| url.scheme() == "http" && url.host_str().is_some() && url.password().is_none();
        if !self.management_url.is_empty() && !management.as_ref().is_some_and(is_http) {
            return Err(
                "broker.management_url must be http://host:port, without user and password (those of broker.url are \
                        used), or \"\" for port 15672 of the broker"
                    .into(),
            );
        }
        for (bucket, tenant) in &self.tenants {
            validate_tenant(tenant).map_err(|error| format!("broker.tenants.{bucket}: {error}"))?;
        }
        tls::check_authorities("broker.ca_file", &self.ca_file)
    }

    fn validate_shards(&self) -> Result<(), String> {
        let (shards, all) = (self.shards, &self.take_shards);
        if !(1..=MAX_SHARDS).contains(&shards) {
            return Err(format!("broker.shards = {shards} must be 1 to {MAX_SHARDS}"));
        }
        if let Some(beyond) = all.iter().find(|&&number| number >= shards) {
            return Err(format!(
                "broker.take_shards has {beyond}, and broker.shards = {shards} are numbered 0 to {}",
                shards - 1
            ));
        }
        let taken = if all.is_empty() { shards.into() } else { all.iter().collect::<BTreeSet<_>>().len() };
        for (key, prefetch) in [("prefetch", self.prefetch), ("bulk_prefetch", self.bulk_prefetch)] {
            if prefetch > 0 && usize::from(prefetch) < taken {
                return Err(format!(
                    "broker.{key} = {prefetch} is divided among {taken} queues and leaves nothing for some; raise it, or name \
                     fewer in broker.take_shards"
                ));
            }
        }
        Ok(())
    }

    /// Says if the password crosses a network unencrypted, and the fix.
    pub fn exposure(&self) -> Option<String> {
        let url = Url::parse(self.url.expose_secret()).ok().filter(|url| !is_cut_within_password(url))?;
        let host = url.host_str()?;
        let plain = url.scheme() == "amqp" && url.password().is_some() && !tls::is_loopback(host);
        plain.then(|| format!("the password in broker.url goes to {host} unencrypted; use amqps://"))
    }

    /// The URL without its password, for people.
    pub fn address(&self) -> String {
        match Url::parse(self.url.expose_secret()) {
            Ok(mut url) if !is_cut_within_password(&url) => {
                // Fails only for a URL that can't have a password.
                let _ = url.set_password(None);
                url.set_query(None);
                url.set_fragment(None);
                url.to_string()
            }
            _ => "broker.url".into(),
        }
    }

    /// Explains a vhost that nobody meant: a slash at the end names the one whose name is empty.
    pub(crate) fn about_vhost(&self) -> Option<&'static str> {
        let url = Url::parse(self.url.expose_secret()).ok()?;
        (url.path() == "/").then_some(
            "the slash at the end of broker.url names the vhost \"\"; leave it off, or write /%2f, for the vhost /",
        )
    }

    pub(crate) fn prefetch_of(&self, request_queue: RequestQueue) -> u16 {
        match request_queue {
            RequestQueue::Live => self.prefetch,
            RequestQueue::Bulk => self.bulk_prefetch,
        }
    }

    /// Attempts before a transient error becomes a failure: the first, and one after each delay.
    pub fn max_attempts(&self) -> u32 {
        self.retry_delays_s.len() as u32 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Settings {
        Settings {
            url: SecretString::from(url),
            ca_file: String::new(),
            topology: TopologyMode::Declare,
            prefix: "assay".into(),
            shards: 1,
            take_shards: Vec::new(),
            prefetch: 1,
            bulk_prefetch: 1,
            retry_delays_s: Vec::new(),
            delivery_limit: 1,
            management_url: String::new(),
            consumer_timeout_s: 1,
            connect_timeout_s: 1,
            publish_timeout_s: 1,
            results_queue: true,
            results_max_messages: 1,
            results_max_age_s: 1,
            rejections_per_s: 1,
            tenants: BTreeMap::new(),
        }
    }

    #[test]
    fn no_piece_of_a_password_is_shown_wherever_it_cuts_the_url() {
        for url in [
            "amqp://user:12#34@host.example/v",
            "amqp://user:12@34#56@host.example/v",
            "amqp://user:hu@34/56@host.example/v",
            "amqp://user:12?34@host.example/v",
            "amqp://user:12/34@host.example",
            "amqp://user:hu#34@host.example",
        ] {
            let settings = settings(url);
            let error = settings.validate().unwrap_err();
            let said = format!("{error} {} {:?}", settings.address(), settings.exposure());
            assert!(error.contains("%23"), "{error}");
            let said = said.replace("%23", "").replace("%40", "");
            for piece in ["12", "34", "56", "hu"] {
                assert!(!said.contains(piece), "{url}: {said}");
            }
        }
        let raw = settings("amqp://user:p@ss@host.example/v");
        assert_eq!((raw.validate(), raw.address()), (Ok(()), "amqp://user@host.example/v".into()));
    }

    #[test]
    fn shards_that_are_none_and_a_prefetch_that_leaves_some_out_are_refused() {
        let said = |shards, take: &[u16], prefetch| {
            let given = settings("amqp://host");
            let given = Settings { shards, take_shards: take.to_vec(), prefetch, bulk_prefetch: 0, ..given };
            given.validate().err().unwrap_or_default()
        };
        assert!(said(0, &[], 1).contains("broker.shards = 0") && said(65, &[], 99).contains("1 to 64"));
        assert!(said(4, &[1, 4], 9).contains("broker.take_shards has 4"));
        assert!(said(4, &[], 3).contains("broker.prefetch = 3 is divided among 4 queues"));
        assert_eq!((said(4, &[1, 1], 1), said(4, &[], 4)), (String::new(), String::new()));
    }

    #[test]
    fn a_vhost_without_a_name_is_explained() {
        assert!(settings("amqp://u:p@host:5672/").about_vhost().unwrap().contains("%2f"));
        for meant in ["amqp://u:p@host:5672", "amqp://u:p@host/%2f", "amqp://u:p@host/v"] {
            assert_eq!(settings(meant).about_vhost(), None);
        }
    }
}
