//! Every request comes by here: its name and its origin are looked at, who is asking is found, the table of routes is asked, and what
//! comes back is dressed in the headers that all answers have.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use tower_http::csrf::CsrfLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use uuid::Uuid;

use access::{Access, Mode};

use super::address::{BindError, Names};
use super::asked::{Asked, is_script};
use super::forms::Fields;
use super::links;
use super::outward::see_other;
use super::refusal::Refusal;
use super::routes::{Line, Needs, lines};
use super::state::{Console, Server};

/// Of a form, bytes. A comment of 1,000 characters takes at most 12,000 of them.
const MOST_BODY: usize = 64 << 10;
/// For one answer. The script waits for 15 s.
const TIMEOUT: Duration = Duration::from_secs(30);

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// On every answer.
const HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri \
         'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];
/// Unless an answer says otherwise.
const CACHE_CONTROL: (&str, &str) = ("cache-control", "no-store");

/// The console as a service, for a listener at this address.
pub fn router(server: Server, bound: SocketAddr) -> Result<Router, BindError> {
    if matches!(server.gate.mode(), Mode::Trial { .. }) && !bound.ip().is_loopback() {
        return Err(BindError::TrialBeyondLoopback(bound));
    }
    let names = Names::new(&server.settings.public_url, bound)?;
    let csrf = CsrfLayer::new().add_trusted_origin(&names.origin);
    let csrf = csrf.map_err(|_| BindError::PublicUrl(names.origin.clone()))?;
    let console = Arc::new(Console::new(server, names));
    let mut router = Router::new();
    for line in lines() {
        let filter = MethodFilter::try_from(line.method.clone()).expect("the table has methods that are known");
        let path = line.path;
        let line = Arc::new(line);
        let answer = move |State(console): State<Arc<Console>>, request: Request| {
            let line = Arc::clone(&line);
            async move { Box::pin(answer(&line, console, request)).await }
        };
        router = router.route(path, on(filter, answer));
    }
    let mut router = router
        .with_state(Arc::clone(&console))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(csrf)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(from_fn_with_state(Arc::clone(&console), at_the_door));
    for (name, value) in HEADERS {
        router = router
            .layer(SetResponseHeaderLayer::overriding(HeaderName::from_static(name), HeaderValue::from_static(value)));
    }
    let (name, value) = CACHE_CONTROL;
    let cache = SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value));
    Ok(router.layer(cache))
}

/// Refuses what comes under a name that isn't ours, or changes something and does not say where it comes from; gives words to refusals
/// that have none.
async fn at_the_door(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let script = is_script(request.headers());
    let number = Uuid::new_v4().to_string();
    if !is_ours(&console.names, &request) {
        return console.refused(&Refusal::of(StatusCode::MISDIRECTED_REQUEST), None, script, &number);
    }
    if !request.method().is_safe() && comes_from_nowhere(request.headers()) {
        let refusal = Refusal::forbidden("the browser did not say which page this came from")
            .mend("Open the console by its address, and use its pages.");
        return console.refused(&refusal, None, script, &number);
    }
    let response = next.run(request).await;
    let status = response.status();
    let is_bare = !response.headers().contains_key(CONTENT_TYPE);
    if !is_bare || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let refusal = match status {
        StatusCode::FORBIDDEN => Refusal::forbidden("this was sent by a page that is not the console’s")
            .mend("Open the console by its address, and use its pages."),
        StatusCode::SERVICE_UNAVAILABLE => Refusal::away("the answer took too long"),
        status => Refusal::of(status),
    };
    console.refused(&refusal, None, script, &number)
}

fn is_ours(names: &Names, request: &Request) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| host.to_str().ok());
    // A request to a proxy names the host in its first line, too.
    let asked = request.uri().authority().map(|authority| authority.as_str());
    host.is_some_and(|host| names.has(host)) && asked.is_none_or(|host| names.has(host))
}

/// Browsers always say it. Scripts do not, and come with a token, which no browser sends by itself.
fn comes_from_nowhere(headers: &HeaderMap) -> bool {
    !headers.contains_key(FETCH_SITE) && !headers.contains_key(ORIGIN) && !headers.contains_key(AUTHORIZATION)
}

async fn answer(line: &Line, console: Arc<Console>, request: Request) -> Response {
    let number = Uuid::new_v4().to_string();
    let (mut parts, body) = request.into_parts();
    let script = is_script(&parts.headers);
    let Ok(_place) = console.places.acquire().await else {
        return console.refused(&Refusal::away("the console is ending"), None, script, &number);
    };
    let access = match admitted(line, &console, &parts).await {
        Ok(access) => access,
        Err((access, refusal)) if refusal.status == StatusCode::UNAUTHORIZED => {
            return unknown(&console, &parts, access.as_deref(), &refusal, &number);
        }
        Err((access, refusal)) => return console.refused(&refusal, access.as_deref(), script, &number),
    };
    let asked = match read(&mut parts, body, access.clone(), number.clone()).await {
        Ok(asked) => asked,
        Err(refusal) => return console.refused(&refusal, access.as_ref(), script, &number),
    };
    let answered = (line.answer)(Arc::clone(&console), asked).await;
    let response = answered.unwrap_or_else(|refusal| console.refused(&refusal, access.as_ref(), script, &number));
    tracing::debug!(request = number, method = %line.method, path = line.path, status = response.status().as_u16(), "answered");
    response
}

/// Who is asking, if the table lets them; with a refusal, who it was.
async fn admitted(
    line: &Line,
    console: &Console,
    parts: &Parts,
) -> Result<Option<Access>, (Option<Box<Access>>, Refusal)> {
    if line.needs == Needs::Anybody {
        return Ok(None);
    }
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let peer: IpAddr = peer.ok_or_else(|| (None, Refusal::fault("the listener does not say who is connected")))?;
    let found = console.server.gate.access(&parts.headers, peer.to_canonical()).await;
    let access = found.map_err(|error| (None, error.into()))?;
    let access = access.ok_or_else(|| (None, Refusal::of(StatusCode::UNAUTHORIZED)))?;
    match line.needs {
        Needs::Anybody | Needs::SignedIn => Ok(Some(access)),
        Needs::May(action) => match access.role() {
            Some(role) if role >= action.needs() => Ok(Some(access)),
            Some(role) => {
                let what = format!("this needs the role {}, and yours is {role}", action.needs());
                Err((Some(Box::new(access)), Refusal::forbidden(what)))
            }
            None => {
                let refusal = Refusal::forbidden("you are known here, and have no role");
                Err((Some(Box::new(access)), refusal))
            }
        },
    }
}

/// Who opens a page is sent to sign in; the script, a picture and whatever changes something are told why not.
fn unknown(console: &Console, parts: &Parts, who: Option<&Access>, refusal: &Refusal, number: &str) -> Response {
    let destination = parts.headers.get(FETCH_DEST).and_then(|value| value.to_str().ok());
    let is_page = matches!(parts.method, Method::GET | Method::HEAD)
        && !parts.headers.contains_key(AUTHORIZATION)
        && destination.is_none_or(|destination| destination == "document");
    let script = is_script(&parts.headers);
    let next = parts.uri.path_and_query().map_or("/", |asked| asked.as_str());
    if is_page && !script {
        let login = links::with_query("/login", &[("next", Some(links::within(Some(next))))]);
        if let Ok(response) = see_other(&login) {
            return response;
        }
    }
    let refusal = refusal.clone().link("/login", "Sign in");
    console.refused(&refusal, who, script, number)
}

async fn read(parts: &mut Parts, body: Body, access: Option<Access>, request: String) -> Result<Asked, Refusal> {
    let path = RawPathParams::from_request_parts(parts, &()).await;
    let path = path.map_err(|_| Refusal::not_found())?;
    let path: HashMap<String, String> = path.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let raw_query = parts.uri.query().unwrap_or_default().to_string();
    let form = if parts.method == Method::POST { form(&parts.headers, body).await? } else { Fields::default() };
    Ok(Asked {
        access,
        path,
        query: Fields::read(raw_query.as_bytes())?,
        raw_query,
        form,
        headers: std::mem::take(&mut parts.headers),
        request,
    })
}

async fn form(headers: &HeaderMap, body: Body) -> Result<Fields, Refusal> {
    let too_long = || Refusal::of(StatusCode::PAYLOAD_TOO_LARGE);
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let stated = text(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if stated.is_some_and(|length| length > MOST_BODY) {
        return Err(too_long());
    }
    let bytes = to_bytes(body, MOST_BODY).await.map_err(|_| too_long())?;
    let kind = text(CONTENT_TYPE).unwrap_or_default();
    if !bytes.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Refusal::bad_request("it is no form: send `application/x-www-form-urlencoded`"));
    }
    Fields::read(&bytes)
}
