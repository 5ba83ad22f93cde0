//! Why somebody is not let in, or not let do something.

use std::net::IpAddr;

use database::DatabaseError;
use http::StatusCode;
use review::Denied;

#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("this access has ended: sign in again")]
    Ended,

    /// What may be done only with another kind of access.
    #[error("{0}")]
    Kind(&'static str),
    #[error("the token is not known: copy it again, or make a new one on the page of tokens")]
    UnknownToken,
    #[error("the token has {0}: make a new one on the page of tokens")]
    TokenEnded(&'static str),
    #[error("the header `Authorization` holds no token of this console: write `Bearer assay_…`")]
    NoToken,

    #[error(
        "the header `{header}` came from {peer}, which is none of the proxies in access.proxy.from: reach the console through the \
         proxy, or add that address there"
    )]
    UnknownProxy { header: String, peer: IpAddr },
    #[error(
        "the header `{header}` came without the proxy's secret, or with another one: have the proxy send what \
         access.proxy.secret_file holds in `{secret_header}`"
    )]
    ProxySecret { header: String, secret_header: String },
    #[error(
        "the header `{header}` {problem}: have the proxy replace what its clients send, and send one short line of text"
    )]
    ProxyHeader { header: String, problem: &'static str },

    #[error("there is no signing in here: access.oidc.issuer is empty")]
    NoIssuer,
    #[error(
        "the issuer {issuer} can't be asked: {detail}; try again, and if that does not help tell whoever runs the console"
    )]
    IssuerAway { issuer: String, detail: String },
    /// The issuer or the person said no.
    #[error("the issuer did not let you in: {0}; sign in again, or ask whoever runs it")]
    NotLetIn(String),
    /// Too late, in another browser, a second time, or not from here at all.
    #[error("this sign-in was not begun in this browser, is used already or took too long: sign in again")]
    UnknownSignIn,
    #[error(
        "the answer from the issuer is not to be trusted: {0}; sign in again, and if that does not help tell whoever runs the console"
    )]
    Untrusted(String),
    #[error("too many sign-ins are going on: try again in some minutes")]
    TooManySignIns,
    #[error("`next` is no page of this console: it must begin with one `/`")]
    Next,

    /// What was given to a form.
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error("there is no such token of yours, or it is revoked already")]
    NoSuchToken,
    #[error("{0}")]
    Settings(String),
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl AccessError {
    /// What to answer a request with.
    pub fn status(&self) -> StatusCode {
        match self {
            AccessError::Database(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            AccessError::Database(_) | AccessError::Settings(_) | AccessError::Random(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            AccessError::Ended
            | AccessError::UnknownToken
            | AccessError::TokenEnded(_)
            | AccessError::NoToken
            | AccessError::ProxySecret { .. } => StatusCode::UNAUTHORIZED,
            AccessError::Denied(_)
            | AccessError::Kind(_)
            | AccessError::UnknownProxy { .. }
            | AccessError::NotLetIn(_)
            | AccessError::Untrusted(_) => StatusCode::FORBIDDEN,
            AccessError::ProxyHeader { .. } | AccessError::UnknownSignIn | AccessError::Next => StatusCode::BAD_REQUEST,
            AccessError::IssuerAway { .. } | AccessError::TooManySignIns => StatusCode::SERVICE_UNAVAILABLE,
            AccessError::NoIssuer | AccessError::NoSuchToken => StatusCode::NOT_FOUND,
            AccessError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}
