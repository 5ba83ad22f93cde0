//! A database of one's own, an issuer, and a browser that shows nothing. Addresses are given by the tests.

#![allow(dead_code, unreachable_pub, reason = "each file of tests uses a part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use access::{Access, Gate, Mode, Oidc, RoleRule, Settings};
use bytes::Bytes;
use database::{Database, Pooler};
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use review::Role;
use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use url::Url;
use uuid::Uuid;

/// Nothing listens there: the browser stops before it.
pub const BACK: &str = "http://127.0.0.1:9/login/callback";
pub const HERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Where the tests' PostgreSQL is.
pub fn database_url() -> String {
    std::env::var("ASSAY_TEST_DATABASE_URL")
        .expect("ASSAY_TEST_DATABASE_URL names the tests' PostgreSQL: `make test` sets it")
}

/// Runs a test in a schema of its own, and drops the schema however the test ends.
pub async fn in_own_schema<Test>(url: &str, test: impl FnOnce(Database) -> Test)
where
    Test: Future<Output = ()> + Send + 'static,
{
    let schema = format!("test_{}", Uuid::new_v4().simple());
    let settings = database::Settings {
        url: SecretString::from(url),
        schema: schema.clone(),
        connections: 4,
        timeout_s: 10,
        pooler: Pooler::None,
    };
    database::migrate(&settings).await.unwrap();
    let database = Database::connect(&settings).await.unwrap();
    database.check().await.unwrap();
    let ended = tokio::spawn(test(database)).await;
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await.unwrap();
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}

pub async fn execute(database: &Database, sql: &str) {
    let mut connection = database.connection().await.unwrap();
    let done = connection.execute(AssertSqlSafe(sql.to_string())).await;
    database.conclude(connection, done).await.unwrap();
}

pub async fn count(database: &Database, sql: &str) -> i64 {
    let mut connection = database.connection().await.unwrap();
    let found = database::query_scalar(AssertSqlSafe(sql.to_string())).fetch_one(&mut *connection).await;
    database.conclude(connection, found).await.unwrap()
}

pub fn rule(group: &str, role: Role, tenants: &[&str]) -> RoleRule {
    let tenants = tenants.iter().map(ToString::to_string).collect();
    RoleRule { group: Some(group.into()), person: None, role, tenants }
}

/// The rules that the tests' people meet.
pub fn rules() -> Vec<RoleRule> {
    vec![
        rule("moderators", Role::Reviewer, &["acme"]),
        rule("leads", Role::Lead, &["acme"]),
        rule("beta-viewers", Role::Viewer, &["beta"]),
        rule("admins", Role::Admin, &["*"]),
    ]
}

/// Signs people in at an issuer whose client is `assay`.
pub fn settings(issuer: &str, secret_file: &str) -> Settings {
    let oidc = Oidc {
        issuer: issuer.into(),
        client_id: "assay".into(),
        client_secret_file: secret_file.into(),
        redirect_url: BACK.into(),
        scopes: vec!["profile".into(), "groups".into()],
        ..Oidc::default()
    };
    Settings { oidc, roles: rules(), ..Settings::default() }
}

pub fn secret_file(secret: &str) -> String {
    let path = std::env::temp_dir().join(format!("assay-access-{}", Uuid::new_v4()));
    std::fs::write(&path, secret).unwrap();
    path.to_str().unwrap().into()
}

/// The trial's access opens everything: by it the tests prepare.
pub async fn trial(database: &Database, name: &str) -> (Gate, Access) {
    let gate = Gate::open(&Settings::default(), database, Mode::Trial { name: name.into() }).await.unwrap();
    let access = gate.access(&HeaderMap::new(), HERE).await.unwrap().unwrap();
    (gate, access)
}

/// `tests/issuer`, running until it is dropped.
pub struct Issuer {
    child: Child,
    pub address: String,
}

impl Issuer {
    pub fn start() -> Issuer {
        static INSTALLED: Once = Once::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/issuer");
        INSTALLED.call_once(|| {
            if !folder.join("node_modules/oidc-provider").is_dir() {
                let npm = Command::new("npm")
                    .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                    .current_dir(&folder)
                    .output();
                let npm = npm.expect("npm is there");
                assert!(npm.status.success(), "{}", String::from_utf8_lossy(&npm.stderr));
            }
        });
        let mut command = Command::new("node");
        command.args(["issuer.js", BACK]).current_dir(&folder);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node is there");
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("http://127.0.0.1:"), "the issuer did not start: {address:?}");
        Issuer { child, address: address.trim().into() }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Follows the issuer's redirects with its cookies, until one leads back.
pub struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    /// Of the issuer.
    cookies: BTreeMap<String, String>,
    /// Of the console, as it sends them.
    pub ours: BTreeMap<String, String>,
}

impl Browser {
    pub fn new() -> Browser {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Browser { client, cookies: BTreeMap::new(), ours: BTreeMap::new() }
    }

    /// Takes a value of `Set-Cookie` of the console's.
    pub fn take(&mut self, set_cookie: &str) {
        keep(&mut self.ours, set_cookie);
    }

    pub fn headers(&self) -> HeaderMap {
        let line = self.ours.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&line).unwrap())])
    }

    /// Signs in as somebody; the query that the issuer sends back with.
    pub async fn go(&mut self, mut to: Url, hint: &str) -> String {
        to.query_pairs_mut().append_pair("login_hint", hint);
        for _ in 0..10 {
            let cookies =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let request = Request::get(to.as_str()).header(COOKIE, cookies).body(Full::default()).unwrap();
            let answer = self.client.request(request).await.unwrap();
            for cookie in answer.headers().get_all(SET_COOKIE) {
                keep(&mut self.cookies, cookie.to_str().unwrap());
            }
            let Some(location) = answer.headers().get(LOCATION) else {
                let status = answer.status();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                panic!("{to}: {status} {}", String::from_utf8_lossy(&body));
            };
            to = to.join(location.to_str().unwrap()).unwrap();
            if to.as_str().starts_with(BACK) {
                return to.query().unwrap_or_default().into();
            }
        }
        panic!("the issuer sends in circles")
    }

    /// The issuer does not know the person again, and the next sign-in may be another's.
    pub fn forget_the_issuer(&mut self) {
        self.cookies.clear();
    }

    /// All of it; the access and where it leads.
    pub async fn sign_in(&mut self, gate: &Gate, hint: &str, next: &str) -> (Access, String) {
        let (to, cookie) = gate.begin_sign_in(next).await.unwrap();
        self.take(&cookie);
        let query = self.go(to, hint).await;
        let (access, cookie, next) = gate.finish_sign_in(&query, &self.headers()).await.unwrap();
        self.take(&cookie);
        (access, next)
    }
}

fn keep(cookies: &mut BTreeMap<String, String>, set_cookie: &str) {
    let (name, value) = set_cookie.split(';').next().unwrap().split_once('=').unwrap();
    cookies.insert(name.trim().into(), value.trim().into());
}
