//! What one test has for itself on the real servers: queue names, a schema, keys; and real workers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use assay::config::Config;
use broker::rabbit::{RabbitSubmitter, Reader, survey};
use broker::wire::{Message, Properties};
use broker::{RequestQueue, Submitter};
use domain::Outcome;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use super::children::Child;
use super::rabbit;
use super::servers::{Servers, servers, unique};

pub const BUCKET: &str = "uploads";
const DEADLINE: Duration = Duration::from_secs(180);

/// Its names begin with `name`; everything under them is deleted by [`Site::close`].
pub struct Site {
    servers: &'static Servers,
    pub name: String,
    pub broker: broker::Settings,
    submitter: RabbitSubmitter,
    folder: PathBuf,
}

impl Site {
    pub async fn open() -> Site {
        Site::with_shards(1).await
    }

    /// With each kind of requests on so many queues.
    pub async fn with_shards(shards: u16) -> Site {
        Site::named(unique("site"), servers().rabbitmq_url().into(), shards).await
    }

    /// In a vhost of this name, which is there.
    pub async fn in_vhost(name: &str) -> Site {
        let mut url = url::Url::parse(servers().rabbitmq_url()).unwrap();
        url.set_path(name);
        Site::named(name.into(), url.into(), 1).await
    }

    async fn named(name: String, broker_url: String, shards: u16) -> Site {
        let servers = servers();
        let mut broker = Config::load(None).unwrap().broker;
        broker.url = broker_url.into();
        broker.prefix.clone_from(&name);
        broker.retry_delays_s = vec![1];
        broker.shards = shards;
        database::migrate(&servers.database_settings(&name)).await.unwrap();
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir(&folder).unwrap();
        let submitter = RabbitSubmitter::connect(&broker).await.unwrap();
        Site { servers, name, broker, submitter, folder }
    }

    /// Stores an object under a key of the site's own, which it gives.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> String {
        let key = format!("{}/{key}", self.name);
        let store = self.servers.s3();
        store.client().put_object().bucket(BUCKET).key(&key).body(bytes.into()).send().await.unwrap();
        key
    }

    /// The bytes of an object.
    pub async fn get(&self, key: &str) -> Vec<u8> {
        let object = self.servers.s3().client().get_object().bucket(BUCKET).key(key).send().await.unwrap();
        object.body.collect().await.unwrap().to_vec()
    }

    /// Deletes an object that was [put](Site::put).
    pub async fn remove(&self, key: &str) {
        self.servers.s3().client().delete_object().bucket(BUCKET).key(key).send().await.unwrap();
    }

    pub async fn submit(&self, documents: impl IntoIterator<Item = Value>) {
        let bodies = documents.into_iter().map(|document| document.to_string().into_bytes());
        self.submit_raw(bodies).await;
    }

    pub async fn submit_raw(&self, bodies: impl IntoIterator<Item = Vec<u8>>) {
        self.send(bodies.into_iter().map(|body| Message { body, properties: Properties::default() })).await;
    }

    pub async fn send(&self, messages: impl IntoIterator<Item = Message>) {
        let messages: Vec<_> = messages.into_iter().collect();
        for some in messages.chunks(RabbitSubmitter::MAX_IN_FLIGHT) {
            let sent = some.iter().map(|message| self.submitter.submit(RequestQueue::Live, message));
            futures_util::future::try_join_all(sent).await.unwrap();
        }
    }

    /// The binary, set up for this place and a scripted detector.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        let setting = |key: &str| self.servers.setting(key).to_string();
        command
            .envs(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"].map(|key| (key, setting(key))))
            .env("ASSAY__BROKER__URL", self.broker.url.expose_secret())
            .env("ASSAY__BROKER__PREFIX", &self.name)
            .env("ASSAY__BROKER__RETRY_DELAYS_S", "1")
            .env("ASSAY__BROKER__SHARDS", self.broker.shards.to_string())
            .env("ASSAY__DATABASE__URL", setting("ASSAY__DATABASE__URL"))
            .env("ASSAY__DATABASE__SCHEMA", &self.name)
            .env("ASSAY__OBJECTS__ENDPOINT", setting("ASSAY__OBJECTS__ENDPOINT"))
            .env("ASSAY__OBJECTS__ALLOWED_BUCKETS", BUCKET)
            .env("ASSAY__DETECTOR__MODEL", "scripted")
            .env("ASSAY__ADMIN__LISTEN", "127.0.0.1:0")
            .current_dir(&self.folder);
        command
    }

    /// Where the commands run, and what is kept until the site is closed.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A worker as a process of its own, once it is ready.
    pub async fn worker(&self, settings: &[(&str, &str)]) -> Worker {
        let worker = Worker::start(self, "worker", settings);
        let ready = async {
            while worker.get("/readyz").is_none_or(|answer| !answer.starts_with("HTTP/1.1 200")) {
                assert!(worker.child_is_there(), "the worker ended: {}", worker.log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, ready).await.unwrap_or_else(|_| panic!("never ready: {}", worker.log()));
        worker
    }

    /// A worker that may never be ready.
    pub fn starting_worker(&self, settings: &[(&str, &str)]) -> Worker {
        Worker::start(self, "worker", settings)
    }

    /// `assay api` as a process of its own, which need not serve yet.
    pub fn api(&self, settings: &[(&str, &str)]) -> Worker {
        Worker::start(self, "api", settings)
    }

    /// Outcomes in the database so far.
    pub async fn recorded(&self) -> usize {
        let rows = self.query(&format!("SELECT count(*) AS rows FROM {}.outcomes", self.name)).await;
        rows[0].get::<i64, _>("rows") as usize
    }

    pub async fn query(&self, sql: &str) -> Vec<sqlx::postgres::PgRow> {
        let mut connection = PgConnection::connect(self.servers.database_url()).await.unwrap();
        connection.fetch_all(AssertSqlSafe(sql.to_string())).await.unwrap()
    }

    /// Waits until so many outcomes are recorded.
    pub async fn until_recorded(&self, outcomes: usize) {
        let wait = async {
            while self.recorded().await < outcomes {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            panic!("{} outcomes of {outcomes} after {DEADLINE:?}", self.recorded().await);
        }
    }

    /// Messages that wait in the live queue and its retry schedule, and what lies among the results and the dead.
    pub async fn depth(&self, queue: &str) -> usize {
        let name = format!("{}.{queue}", self.name);
        let depths = survey(&self.broker).await.unwrap().depths;
        depths.iter().find(|depth| depth.queue == name).unwrap_or_else(|| panic!("no queue {name}")).ready as usize
    }

    /// Reads the results queue until every one of these submissions is among them, then until it is empty.
    pub async fn published(&self, ids: &BTreeSet<String>) -> BTreeMap<String, Vec<Outcome>> {
        // Before somebody reads: what is under way to a reader is not counted.
        let all = self.depth("results").await;
        let mut reader = Reader::of_results(&self.broker).await.unwrap();
        let mut published: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
        let mut read = 0;
        let reading = async {
            while read < all || published.len() < ids.len() {
                let letter = reader.next().await.unwrap();
                let outcome: Outcome = serde_json::from_slice(&letter.message.body).unwrap();
                assert_eq!(letter.message.properties.message_id, Some(outcome.id().to_string()));
                letter.acknowledge().await.unwrap();
                published.entry(outcome.key().submission_id).or_default().push(outcome);
                read += 1;
            }
        };
        if tokio::time::timeout(DEADLINE, reading).await.is_err() {
            let missing: Vec<_> = ids.iter().filter(|id| !published.contains_key(*id)).take(5).collect();
            panic!("{} of {} were published; missing for instance {missing:?}", published.len(), ids.len());
        }
        reader.close().await;
        published
    }

    /// Deletes the queues, the schema and the files.
    pub async fn close(self) {
        self.submitter.close().await;
        rabbit::delete(&self.broker).await;
        self.query(&format!("DROP SCHEMA {} CASCADE", self.name)).await;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A native request for a key.
pub fn request(id: &str, key: &str) -> Value {
    json!({"submission_id": id, "image": {"bucket": BUCKET, "key": key}})
}

/// A running `assay worker`, or `assay api`. Dropping it kills it.
pub struct Worker {
    child: std::process::Child,
    log: PathBuf,
}

impl Worker {
    fn start(site: &Site, what: &str, settings: &[(&str, &str)]) -> Worker {
        let log = site.folder.join(format!("{what}-{}.log", unique("n")));
        let mut command = site.command();
        command
            .arg(what)
            .env("ASSAY__ADMIN__LISTEN", "127.0.0.1:0")
            .env("ASSAY__LOG__FORMAT", "json")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        Worker { child: command.spawn().unwrap(), log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The first line of the log with this message.
    fn logged(&self, message: &str) -> Option<Value> {
        let log = self.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == message)
    }

    /// The admin port's whole answer, if there is one yet.
    pub fn get(&self, path: &str) -> Option<String> {
        self.get_at("admin port: /livez /readyz /metrics", path, "")
    }

    /// The whole answer at the address that this line of the log names. Each header ends with a line end.
    pub fn get_at(&self, message: &str, path: &str, headers: &str) -> Option<String> {
        let line = self.logged(message)?;
        let mut stream = TcpStream::connect(line["address"].as_str()?).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: assay\r\n{headers}Connection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// A metric's value, by its name and labels as they are printed.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").expect("metrics are served");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_string));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// `VmRSS`, `VmHWM` and so on of the worker and its decoders together, in bytes.
    pub fn memory(&self, field: &str) -> u64 {
        let id = self.child.id();
        Child::with_id(id).memory(field) + self.decoders().iter().map(|decoder| decoder.memory(field)).sum::<u64>()
    }

    pub fn decoders(&self) -> Vec<Child> {
        Child::all_of(self.child.id())
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn child_is_there(&self) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: the process is a child that nobody has waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    }

    /// Waits for the end; panics when there is none within `most`.
    pub async fn ended(&mut self, most: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < most, "the worker did not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
