//! `GET /v1/submissions/{tenant}/{id}`: what became of a submission, for services that ask instead of listening.
//!
//! Read-only. A request brings a bearer token of its tenant; what is wrong is said as `application/problem+json` (RFC 9457).

mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::submission::{LookUpError, Submissions};
pub use tokens::{Access, Tokens};

/// `[api]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it is served.
    pub listen: String,
    /// Lines `TENANT TOKEN`.
    pub tokens_file: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("api.listen {address:?} can't be served: {cause}; choose a free address such as \"127.0.0.1:9465\"")]
pub struct ListenError {
    address: String,
    #[source]
    cause: std::io::Error,
}

/// What the routes answer from.
pub struct Api {
    pub submissions: Submissions,
    pub tokens: Tokens,
    /// The description of the interface, as it is served.
    pub openapi: String,
}

/// Binds the address; what it gives serves until `stop`.
pub async fn bind(
    listen: &str,
    api: Api,
    stop: CancellationToken,
) -> Result<(SocketAddr, impl Future<Output = std::io::Result<()>>), ListenError> {
    let failed = |cause| ListenError { address: listen.into(), cause };
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let served = axum::serve(listener, routes(api)).with_graceful_shutdown(stop.cancelled_owned());
    Ok((address, served.into_future()))
}

fn routes(api: Api) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/v1/openapi.json", get(openapi))
        // An id may be the key of an object, with its slashes.
        .route("/v1/submissions/{tenant}/{*submission_id}", get(submission))
        .fallback(async || {
            problem(
                StatusCode::NOT_FOUND,
                "there is only /v1/submissions/{tenant}/{submission_id}; see /v1/openapi.json",
            )
        })
        .with_state(Arc::new(api))
}

async fn openapi(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.openapi.clone()).into_response()
}

async fn submission(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match api.tokens.access(authorization, &tenant) {
        Access::Granted => {}
        Access::Other => return problem(StatusCode::FORBIDDEN, "this token is of another tenant"),
        Access::Unknown => {
            let mut answer = problem(
                StatusCode::UNAUTHORIZED,
                "a header `Authorization: Bearer TOKEN` with a token of api.tokens_file is wanted",
            );
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return answer;
        }
    }
    match api.submissions.look_up(&tenant, &id).await {
        Ok(found) if found.outcomes.is_empty() => problem(
            StatusCode::NOT_FOUND,
            "there is no outcome of this submission: it still waits, or was never sent, or could not be read",
        ),
        Ok(found) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            match serde_json::to_string(&found.of_its_tenant_alone()) {
                Ok(text) => (headers, text).into_response(),
                Err(error) => failed(&error),
            }
        }
        Err(LookUpError::Impossible(detail)) => problem(StatusCode::BAD_REQUEST, &detail),
        Err(LookUpError::Database(error)) if error.is_transient() => {
            tracing::warn!(%error, "a submission can't be looked up now");
            let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, "the database can't be asked now; ask again");
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            answer
        }
        Err(error) => failed(&error),
    }
}

/// What it is stands in the log, not in the answer: it is nothing that a client can change.
fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(error = %error, "a submission can't be looked up");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the submission can't be looked up; the log of `assay api` says why")
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("error");
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
