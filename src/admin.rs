//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::worker;

/// `[admin]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub listen: String,
}

/// A process that can be asked how it is.
pub trait Watched: Send + Sync + 'static {
    /// Or why it should be started anew.
    fn alive(&self) -> Result<(), String>;

    /// Or why it can't do its work now.
    fn ready(&self) -> Result<(), String>;

    /// In the text format of Prometheus.
    fn metrics(&self) -> String;
}

impl Watched for worker::Condition {
    fn alive(&self) -> Result<(), String> {
        self.alive()
    }

    fn ready(&self) -> Result<(), String> {
        self.ready()
    }

    fn metrics(&self) -> String {
        self.metrics()
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{key} {address:?} can't be served: {cause}; choose a free address such as \"127.0.0.1:9464\", or \"\" for none"
)]
pub struct ListenError {
    key: &'static str,
    address: String,
    #[source]
    cause: std::io::Error,
}

/// Serves what the configuration says under `key` until `stop`; returns the address that it listens on, `None` if `listen` is empty.
pub async fn serve(
    (key, listen): (&'static str, &str),
    condition: Arc<dyn Watched>,
    stop: CancellationToken,
) -> Result<Option<SocketAddr>, ListenError> {
    if listen.is_empty() {
        return Ok(None);
    }
    let failed = |cause| ListenError { key, address: listen.into(), cause };
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(condition);
    tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the admin port stopped serving");
        }
    });
    Ok(Some(address))
}

async fn livez(State(condition): State<Arc<dyn Watched>>) -> Response {
    respond(condition.alive())
}

async fn readyz(State(condition): State<Arc<dyn Watched>>) -> Response {
    respond(condition.ready())
}

fn respond(check: Result<(), String>) -> Response {
    match check {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(condition): State<Arc<dyn Watched>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], condition.metrics()).into_response()
}
