//! Asking the issuer, by HTTP: over TLS or on loopback, without redirects, for so long and so much.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::{HttpRequest, HttpResponse};
use rustls::{ClientConfig, RootCertStore};

use crate::settings::is_protected;

/// For one question and its whole answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of an answer, bytes: an issuer's keys are some thousands.
const MOST: usize = 512 * 1024;
const AUTHORITIES: &str = "access.oidc.ca_file";

#[derive(Clone)]
pub(crate) struct Web {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoAnswer(String);

impl Web {
    /// Trusts the authorities in this file, or the system's for "".
    pub(crate) fn new(ca_file: &str) -> Result<Web, String> {
        let provider = rustls::crypto::ring::default_provider();
        let builder = match ca_file {
            "" => HttpsConnectorBuilder::new().with_provider_and_native_roots(provider).map_err(|error| {
                format!("the system's authorities can't be read: {error}; install ca-certificates, or name a file in {AUTHORITIES}")
            })?,
            file => {
                let mut roots = RootCertStore::empty();
                for authority in tls::authorities(file).map_err(|problem| format!("{AUTHORITIES}: {problem}"))? {
                    roots.add(authority).map_err(|error| format!("{AUTHORITIES}: {error}"))?;
                }
                let config = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
                let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(config)
            }
        };
        let connector = builder.https_or_http().enable_http1().build();
        Ok(Web { client: Client::builder(TokioExecutor::new()).pool_idle_timeout(TIMEOUT).build(connector) })
    }

    pub(crate) async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        let address = without_query(request.uri());
        // The issuer names its own addresses.
        if !is_protected(&request.uri().to_string()) {
            return Err(NoAnswer(format!("{address} is not asked, since it is not an https:// address")));
        }
        let answer = async {
            let answer = self.client.request(request.map(|body| Full::new(Bytes::from(body)))).await;
            let answer = answer.map_err(|error| NoAnswer(format!("{address}: {}", why(&error))))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MOST).collect().await;
            let body =
                body.map_err(|error| NoAnswer(format!("{address}: the answer broke off, or is too long: {error}")))?;
            Ok(HttpResponse::from_parts(parts, body.to_bytes().into()))
        };
        let in_time = tokio::time::timeout(TIMEOUT, answer).await;
        in_time.map_err(|_| NoAnswer(format!("{address} did not answer within {} s", TIMEOUT.as_secs())))?
    }
}

fn without_query(uri: &http::Uri) -> String {
    let text = uri.to_string();
    text.split('?').next().unwrap_or_default().into()
}

fn why(error: &(dyn Error + 'static)) -> String {
    if let Some(reason) = tls::failure(error, AUTHORITIES) {
        return format!("it is not trusted: {reason}");
    }
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}
