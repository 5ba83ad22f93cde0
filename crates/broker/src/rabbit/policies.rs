//! What the broker's administrators have laid on our queues by policy. AMQP tells nothing of it; the management plugin's
//! HTTP API does.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lapin::uri::{AMQPScheme, AMQPUri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::settings::Settings;
use crate::topology::{Purpose, Topology};

/// Where the plugin listens unless it is told otherwise.
const PORT: u16 = 15672;
/// For one question.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Of one answer: what it says of a queue is some kilobytes.
const MAX_ANSWER: usize = 1 << 20;
/// Keys that make a queue do something else than it was declared for.
const KEYS: [(&str, &str); 8] = [
    ("message-ttl", "messages that wait longer leave it without an outcome"),
    ("max-length", "what comes beyond is dropped or refused"),
    ("max-length-bytes", "what comes beyond is dropped or refused"),
    ("overflow", "it decides what becomes of messages that have no room"),
    ("expires", "the queue is deleted when nobody uses it"),
    ("delivery-limit", "messages are given up after so many deliveries"),
    ("dead-letter-exchange", "messages that are given up go elsewhere"),
    ("dead-letter-routing-key", "messages that are given up go elsewhere"),
];

/// What the API says of one queue, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Queue {
    policy: Option<String>,
    operator_policy: Option<String>,
    /// An object; an empty list where nothing is laid on it.
    #[serde(default)]
    effective_policy_definition: Value,
}

/// Why the API told nothing, with the fix.
#[derive(Debug, thiserror::Error)]
#[error("policies on the queues were not looked at: {0}; `rabbitmqctl list_policies` shows them")]
pub struct NotLooked(String);

/// Says of each queue whose policy changes what the settings ask for how to fix it: for `assay doctor`.
pub async fn policies(settings: &Settings) -> Result<Vec<String>, NotLooked> {
    let topology = Topology::new(settings);
    let api = Api::of(settings)?;
    let mut remarks = Vec::new();
    for (name, purpose) in topology.purposes() {
        if let Some(queue) = api.queue(&name).await? {
            remarks.extend(remark(&name, purpose, &queue));
        }
    }
    Ok(remarks)
}

/// What of a policy is not as the queue was declared, and the fix.
fn remark(name: &str, purpose: Purpose, queue: &Queue) -> Option<String> {
    let nothing = Map::new();
    let laid = queue.effective_policy_definition.as_object().unwrap_or(&nothing);
    // The queue of the outcomes is bounded by the settings too, and loses nothing that the database does not have.
    let bounds_are_welcome = matches!(purpose, Purpose::Results(_));
    let mut found = String::new();
    for (key, effect) in KEYS {
        let Some(value) = laid.get(key) else { continue };
        if bounds_are_welcome && matches!(key, "message-ttl" | "max-length" | "max-length-bytes" | "overflow") {
            continue;
        }
        let _ = write!(found, "{}{key} = {value} ({effect})", if found.is_empty() { "" } else { ", " });
    }
    let names = [queue.policy.as_deref(), queue.operator_policy.as_deref()];
    let names: Vec<String> = names.into_iter().flatten().map(|name| format!("{name:?}")).collect();
    (!found.is_empty()).then(|| {
        format!(
            "the policy {} lays on {name}: {found}. Give the policy a pattern that leaves this queue out (`rabbitmqctl \
             list_policies`, `list_operator_policies`)",
            names.join(" with ")
        )
    })
}

/// The plugin's API, with the login of the broker's URL.
struct Api {
    client: Client<HttpConnector, Empty<Bytes>>,
    /// Without a slash at its end.
    address: String,
    vhost: String,
    authorization: String,
}

impl Api {
    fn of(settings: &Settings) -> Result<Api, NotLooked> {
        let broker: AMQPUri = settings.url.expose_secret().parse().map_err(NotLooked)?;
        let address = address(&settings.management_url, &broker)?;
        let user = &broker.authority.userinfo;
        let authorization = format!("Basic {}", BASE64.encode(format!("{}:{}", user.username, user.password)));
        Ok(Api {
            client: Client::builder(TokioExecutor::new()).build_http(),
            address,
            vhost: broker.vhost,
            authorization,
        })
    }

    /// `None` where there is no such queue.
    async fn queue(&self, name: &str) -> Result<Option<Queue>, NotLooked> {
        let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let uri = format!("{}/api/queues/{}/{}", self.address, part(&self.vhost), part(name));
        match tokio::time::timeout(TIMEOUT, self.ask(&uri)).await {
            Err(_) => Err(self.silent(&format!("no answer within {} s", TIMEOUT.as_secs()))),
            Ok(Err(error)) => Err(self.silent(&error.to_string())),
            Ok(Ok((StatusCode::NOT_FOUND, _))) => Ok(None),
            Ok(Ok((StatusCode::OK, body))) => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| NotLooked(format!("what {} says of {name} can't be read: {error}", self.address))),
            Ok(Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _))) => Err(NotLooked(format!(
                "{} refuses the user of broker.url; give it the tag `monitoring` (`rabbitmqctl set_user_tags USER monitoring`)",
                self.address
            ))),
            Ok(Ok((status, _))) => Err(self.silent(&status.to_string())),
        }
    }

    async fn ask(&self, uri: &str) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
        let request = Request::get(uri).header(AUTHORIZATION, &self.authorization).body(Empty::new())?;
        // hyper's own words say too little: that it could not connect, and not why.
        let answer = self.client.request(request).await.map_err(|error| match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        })?;
        let status = answer.status();
        Ok((status, Limited::new(answer.into_body(), MAX_ANSWER).collect().await?.to_bytes()))
    }

    fn silent(&self, why: &str) -> NotLooked {
        NotLooked(format!(
            "the management plugin's API at {} does not answer ({why}); set broker.management_url to where it listens",
            self.address
        ))
    }
}

/// The setting, or where the plugin listens by default; without a slash at its end.
fn address(setting: &str, broker: &AMQPUri) -> Result<String, NotLooked> {
    if !setting.is_empty() {
        return Ok(setting.trim_end_matches('/').into());
    }
    // Whoever took care that the password crosses no network in clear does not want it sent there.
    match broker.scheme {
        AMQPScheme::AMQP => Ok(format!("http://{}:{PORT}", broker.authority.host)),
        AMQPScheme::AMQPS => {
            Err(NotLooked("set broker.management_url to an http:// address of the management plugin".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::topology::Kept;

    fn queue(policy: &str, laid: &Value) -> Queue {
        serde_json::from_value(json!({"policy": policy, "effective_policy_definition": laid, "type": "quorum"}))
            .unwrap()
    }

    #[test]
    fn what_changes_a_queue_is_named_and_what_does_not_is_not() {
        let found = remark(
            "assay.images",
            Purpose::Input,
            &queue("ttl", &json!({"message-ttl": 60000, "overflow": "drop-head"})),
        );
        let found = found.unwrap();
        for part in ["\"ttl\"", "assay.images", "message-ttl = 60000", "overflow = \"drop-head\"", "list_policies"] {
            assert!(found.contains(part), "{found}");
        }
        assert_eq!(
            remark("assay.images", Purpose::Input, &queue("ha", &json!({"queue-leader-locator": "balanced"}))),
            None
        );
        assert_eq!(remark("assay.images", Purpose::Input, &queue("none", &json!([]))), None);
        let results = Purpose::Results(Kept { messages: 1, age_s: 1 });
        assert_eq!(remark("assay.results", results, &queue("ttl", &json!({"max-length": 5}))), None);
        assert!(remark("assay.results", results, &queue("gone", &json!({"expires": 5}))).is_some());
    }

    #[test]
    fn the_password_goes_in_clear_only_where_it_does_so_already_or_was_sent_by_hand() {
        let at = |setting: &str, broker: &str| address(setting, &broker.parse().unwrap()).ok();
        assert_eq!(at("", "amqp://u:p@broker/v").as_deref(), Some("http://broker:15672"));
        assert_eq!(at("", "amqps://u:p@broker/v"), None);
        assert_eq!(at("http://other:1/", "amqps://u:p@broker/v").as_deref(), Some("http://other:1"));
    }
}
