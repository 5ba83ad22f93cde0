//! A console of one's own, with people, items and a browser.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use access::{Gate, Mode, Proxy, RoleRule};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use console::{Server, server};
use database::{Database, Pooler};
use domain::{Outcome, OutcomeId, SubmissionKey, Verdict};
use ledger::Ledger;
use objects::Allowed;
use pictures::Pictures;
use review::{ItemId, ItemKind, Postgres, ReviewSettings, Role};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tower::ServiceExt;
use uuid::Uuid;

pub(crate) const HERE: &str = "127.0.0.1:9466";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BUCKET: &str = "uploads";

/// Everything of one test.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) reviews: Postgres,
    pub(crate) database: Database,
    pub(crate) objects: Arc<objects::memory::Memory>,
    pictures: Pictures,
    ledger: ledger::postgres::Postgres,
}

/// Somebody with a browser.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    user: String,
    groups: String,
}

/// What was answered.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Runs a test over a schema of its own, and drops it however the test ends.
pub(crate) fn in_world<Test>(mode: Mode, settings: ReviewSettings, test: impl FnOnce(World) -> Test)
where
    Test: Future<Output = ()> + Send + 'static,
{
    let given = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make test` sets it"));
    let (url, decoder) = (given("ASSAY_TEST_DATABASE_URL"), given("ASSAY_TEST_DECODER"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let schema = format!("test_{}", Uuid::new_v4().simple());
        let database = database::Settings {
            url: SecretString::from(url.as_str()),
            schema: schema.clone(),
            connections: 6,
            timeout_s: 20,
            pooler: Pooler::None,
        };
        database::migrate(&database).await.unwrap();
        let database = Database::connect(&database).await.unwrap();
        let world = world(database, mode, settings, PathBuf::from(decoder)).await;
        let ended = tokio::spawn(test(world)).await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await.unwrap();
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    });
}

/// With people who sign in, votes that count at once, and nothing drawn at random.
pub(crate) fn in_usual_world<Test>(test: impl FnOnce(World) -> Test)
where
    Test: Future<Output = ()> + Send + 'static,
{
    in_world(Mode::Configured, usual(), test);
}

pub(crate) fn usual() -> ReviewSettings {
    ReviewSettings { audit_share: 0.0, double_share: 0.0, golden_share: 0.0, ..ReviewSettings::default() }
}

async fn world(database: Database, mode: Mode, settings: ReviewSettings, decoder: PathBuf) -> World {
    let objects = Arc::new(objects::memory::Memory::new());
    objects.create_bucket(BUCKET);
    let limits = imaging::Limits { max_pixels: 50_000_000, max_decoded_bytes: 512 << 20 };
    let beside = decoder::Settings::beside_this_program(limits, 64 << 20, Duration::from_secs(60));
    let pool = decoder::Pool::open(decoder::Settings { program: decoder, ..beside });
    let allowed = Allowed { buckets: vec![BUCKET.into()], tenants: Default::default() };
    let of_pictures = pictures::Settings::new(64 << 20);
    let pictures = Pictures::new(objects.clone(), Arc::new(pool.unwrap()), allowed, &of_pictures);
    let reviews = Postgres::on(&database, settings);
    let ledger = ledger::postgres::Postgres::on(&database);
    let mut world = World { router: Router::new(), reviews, database, objects, pictures, ledger };
    let server = world.server(mode, server::Settings::default()).await;
    world.router = server::router(server, HERE.parse().unwrap()).unwrap();
    world
}

/// A proxy says who it is, and a group is a role for a tenant: `lead-acme`.
fn doors() -> access::Settings {
    let secret = std::env::temp_dir().join(format!("assay-console-{}", Uuid::new_v4()));
    std::fs::write(&secret, SECRET).unwrap();
    let proxy = Proxy {
        from: vec!["127.0.0.0/8".parse().unwrap()],
        secret_file: secret.to_str().unwrap().into(),
        secret_header: "X-Secret".into(),
        user_header: "X-User".into(),
        groups_header: "X-Groups".into(),
    };
    let rule = |role: Role, tenant: &str| RoleRule {
        group: Some(format!("{role}-{}", if tenant == "*" { "all" } else { tenant })),
        person: None,
        role,
        tenants: vec![tenant.into()],
    };
    let tenants = ["acme", "globex", "*"];
    let roles = Role::ALL.into_iter().flat_map(|role| tenants.map(|tenant| rule(role, tenant))).collect();
    access::Settings { proxy, roles, ..access::Settings::default() }
}

impl World {
    /// Another console on the same store.
    pub(crate) async fn server(&self, mode: Mode, settings: server::Settings) -> Server {
        Server {
            reviews: Postgres::on(&self.database, self.reviews.settings().clone()),
            gate: Gate::open(&doors(), &self.database, mode).await.unwrap(),
            pictures: self.pictures.clone(),
            generators: vec!["flux-1".into(), "midjourney".into()],
            settings,
        }
    }

    pub(crate) fn browser(&self, user: &str, groups: &str) -> Browser {
        Browser { router: self.router.clone(), user: user.into(), groups: groups.into() }
    }

    /// A verdict on an image that is there.
    pub(crate) async fn verdict(&self, tenant: &str, submission: &str, decision: &str, metadata: Value) -> OutcomeId {
        let key = format!("{tenant}/{submission}.png");
        let bytes = png(submission);
        self.objects.put(BUCKET, &key, bytes.clone());
        let verdict = verdict(tenant, submission, decision, &key, &bytes, &metadata);
        let id = verdict.verdict_id;
        self.ledger.record(&[Outcome::Verdict(Box::new(verdict))]).await.unwrap();
        id
    }

    /// Uncertain verdicts of a tenant, as items that wait.
    pub(crate) async fn items(&self, tenant: &str, submissions: &[&str]) -> Vec<ItemId> {
        let mut items = Vec::new();
        for submission in submissions {
            let outcome = self.verdict(tenant, submission, "uncertain", json!({"post": submission})).await;
            items.push(ItemId::of(outcome, ItemKind::Review));
        }
        self.reviews.collect().await.unwrap();
        items
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.database.connection().await.unwrap();
        let done = connection.execute(AssertSqlSafe(sql.to_string())).await;
        self.database.conclude(connection, done).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let mut connection = self.database.connection().await.unwrap();
        let found = database::query_scalar(AssertSqlSafe(sql.to_string())).fetch_one(&mut *connection).await;
        self.database.conclude(connection, found).await.unwrap()
    }

    /// As if the time in which votes can be undone were over.
    pub(crate) async fn count_votes(&self) -> review::Counted {
        self.execute(
            "UPDATE reviews SET counts_at = counts_at - interval '1 hour', cast_at = cast_at - interval '1 hour'",
        )
        .await;
        self.reviews.count_votes().await.unwrap()
    }
}

impl Browser {
    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.send(self.request("GET", path).header("sec-fetch-dest", "document"), "").await
    }

    /// A form, as a browser sends it.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answered {
        self.send(self.form(path), &encoded(fields)).await
    }

    /// A form, as the script sends it.
    pub(crate) async fn script(&self, path: &str, fields: &[(&str, &str)]) -> Answered {
        self.send(self.form(path).header(header::ACCEPT, "application/json"), &encoded(fields)).await
    }

    fn form(&self, path: &str) -> axum::http::request::Builder {
        let request = self.request("POST", path).header("sec-fetch-site", "same-origin");
        let request = request.header(header::ORIGIN, format!("http://{HERE}"));
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, HERE);
        match self.user.as_str() {
            "" => request,
            user => request.header("x-secret", SECRET).header("x-user", user).header("x-groups", &self.groups),
        }
    }

    pub(crate) async fn send(&self, request: axum::http::request::Builder, body: &str) -> Answered {
        let peer: SocketAddr = "127.0.0.1:40000".parse().unwrap();
        let request = request.extension(ConnectInfo(peer)).body(Body::from(body.to_string())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 64 << 20).await.unwrap().to_vec();
        Answered { status: parts.status, headers: parts.headers, body }
    }

    /// Claims the next item; the page of it.
    pub(crate) async fn next(&self) -> Option<Answered> {
        let answered = self.post("/review/next", &[]).await;
        assert_eq!(answered.status, StatusCode::SEE_OTHER, "{}", answered.text());
        match answered.location() {
            "/" => None,
            there => Some(self.get(there).await),
        }
    }
}

impl Answered {
    /// With slashes as they are: pages escape them.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).replace("&#x2f;", "/")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn location(&self) -> &str {
        self.headers[header::LOCATION].to_str().unwrap()
    }

    /// The value of an attribute on the page's article, or of a hidden field.
    pub(crate) fn value(&self, before: &str) -> Option<String> {
        let text = self.text();
        let from = text.find(before)? + before.len();
        Some(text[from..].split('"').next().unwrap().to_string())
    }

    pub(crate) fn item(&self) -> String {
        self.value("data-item=\"").unwrap_or_else(|| panic!("no item on {}", self.text()))
    }

    pub(crate) fn lease(&self) -> Option<String> {
        self.value("data-lease=\"")
    }

    pub(crate) fn vote(&self) -> String {
        self.value("name=\"vote\" value=\"").unwrap_or_else(|| panic!("no vote on {}", self.text()))
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// An image of its own for each name.
pub(crate) fn png(name: &str) -> Vec<u8> {
    let shade = Sha256::digest(name);
    let pixels: Vec<u8> = (0..320 * 280 * 3).map(|at| shade[at % 32].wrapping_add((at / 960) as u8)).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 320, 280);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

fn verdict(tenant: &str, submission: &str, decision: &str, key: &str, bytes: &[u8], metadata: &Value) -> Verdict {
    let at = time::OffsetDateTime::now_utc();
    let at = at.format(&time::format_description::well_known::Rfc3339).unwrap();
    let id = OutcomeId::of(&SubmissionKey { tenant: tenant.into(), submission_id: submission.into(), generation: 0 });
    let synthetic = match decision {
        "real" => 0.125,
        "synthetic" => 0.875,
        _ => 0.59375,
    };
    let document = json!({
        "schema": "assay.verdict.v1", "verdict_id": id, "submission_id": submission, "tenant": tenant,
        "image": {
            "bucket": BUCKET, "key": key, "version_id": null, "etag": null, "sha256": hex::encode(Sha256::digest(bytes)),
            "bytes": bytes.len(), "format": "png", "width": 320, "height": 280,
        },
        "decision": decision,
        "score": {"synthetic": synthetic, "logit": 0.5, "calibrated": true, "threshold_low": 0.25, "threshold_high": 0.75},
        "generator": null,
        "model": {"version": "2026.11.77", "sha256": "0".repeat(64), "labels": "generators-1", "trained": true},
        "quality": [], "frames": null, "provenance": null, "purpose": "live", "generation": 0,
        "reused_from": null, "supersedes": null, "previous": null, "policy": null, "attempt": 1,
        "timing_ms": {"queue": null, "fetch": 1, "decode": 1, "batch": 1, "infer": 1, "record": 1},
        "batch_size": 1, "decided_at": at, "worker": {"version": "0.1.0", "device": "cpu"}, "metadata": metadata,
    });
    serde_json::from_value(document).unwrap()
}
