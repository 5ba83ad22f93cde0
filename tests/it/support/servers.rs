//! RabbitMQ, PostgreSQL and S3 for the tests, apart from those of `make up`: started once for each test process,
//! and left running for the next.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use database::Pooler;
use objects::s3::S3;

use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use uuid::Uuid;

/// The first of their ports, unless ASSAY_TEST_BASE_PORT names another: for two checkouts on one machine.
const BASE_PORT: &str = "21800";

pub struct Servers {
    settings: HashMap<String, String>,
    others: HashMap<String, String>,
}

/// The servers, running.
pub fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join(".local/test");
        let base_port = std::env::var("ASSAY_TEST_BASE_PORT").unwrap_or_else(|_| BASE_PORT.into());
        let started = script(root)
            .args(["up", "--pooler", "--base-port", &base_port, "--dir"])
            .arg(&folder)
            .output()
            .expect("python3 starts the servers");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let env = folder.join("env");
        Servers { settings: read_env(&env), others: read_lines(&env, "# export ") }
    })
}

pub(super) fn script(root: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg(root.join("deploy/local/servers.py")).current_dir(root);
    command
}

/// Lines like `export KEY='value'`.
pub(super) fn read_env(path: &PathBuf) -> HashMap<String, String> {
    read_lines(path, "export ")
}

fn read_lines(path: &PathBuf, begin: &str) -> HashMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let pairs = text.lines().filter_map(|line| line.strip_prefix(begin)?.split_once('='));
    pairs.map(|(key, value)| (key.to_string(), value.trim_matches('\'').to_string())).collect()
}

impl Servers {
    /// A setting as `source .local/test/env` would make it.
    pub fn setting(&self, key: &str) -> &str {
        self.settings.get(key).unwrap_or_else(|| panic!("{key} is not in .local/test/env"))
    }

    /// The setting for the same servers by TLS, with an S3 key that may only read.
    pub fn other(&self, key: &str) -> &str {
        self.others.get(key).unwrap_or_else(|| panic!("there is no other {key} in .local/test/env"))
    }

    pub fn rabbitmq_url(&self) -> &str {
        self.setting("ASSAY__BROKER__URL")
    }

    pub fn database_url(&self) -> &str {
        self.setting("ASSAY__DATABASE__URL")
    }

    pub fn database_settings(&self, schema: &str) -> database::Settings {
        database::Settings {
            url: SecretString::from(self.database_url()),
            schema: schema.into(),
            connections: 8,
            timeout_s: 10,
            pooler: Pooler::None,
        }
    }

    pub fn objects_settings(&self) -> objects::Settings {
        objects::Settings {
            endpoint: self.setting("ASSAY__OBJECTS__ENDPOINT").into(),
            ca_file: String::new(),
            region: self.setting("ASSAY__OBJECTS__REGION").into(),
            path_style: true,
            allowed_buckets: Vec::new(),
            tenants: BTreeMap::new(),
            max_bytes: 20 << 20,
            connect_timeout_s: 3,
            timeout_s: 30,
            tries: 3,
        }
    }

    pub fn s3(&self) -> S3 {
        let secret = SecretString::from(self.setting("AWS_SECRET_ACCESS_KEY"));
        S3::with_credentials(&self.objects_settings(), self.setting("AWS_ACCESS_KEY_ID"), &secret)
    }
}

/// A name that no other test has.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}

/// Runs a test in a schema of its own, and drops the schema however the test ends.
pub async fn in_own_schema<Test>(test: impl FnOnce(database::Settings) -> Test)
where
    Test: Future<Output = ()> + Send + 'static,
{
    let schema = unique("test");
    let ended = tokio::spawn(test(servers().database_settings(&schema))).await;
    let mut connection = PgConnection::connect(servers().database_url()).await.unwrap();
    connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await.unwrap();
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}
