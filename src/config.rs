//! The configuration: each part's own settings, put together in layers and checked against each other.
//!
//! Layers, later ones win: `configs/default.toml` (built in) < `--config FILE` < `ASSAY__SECTION__KEY`.

mod misnamed;
mod model_folder;
mod one_line;
mod renamed;
mod variable;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config as Layers, Environment, File, FileFormat};
use serde::Deserialize;

use variable::variable;

use crate::{admin, api, telemetry, worker};
use domain::ThresholdSettings;
use learn::retrain;
pub use one_line::restart_trimmed;
pub use renamed::Renamed;

/// The built-in layer; also the documentation of every key.
pub const DEFAULTS: &str = include_str!("../configs/default.toml");

/// Keys whose value in the environment is a comma-separated list.
const LISTS: &[&str] = &["objects.allowed_buckets", "broker.retry_delays_s", "broker.take_shards"];
/// Tables whose value in the environment is `name=value,name=value`; what it says of a name wins over the file.
const TABLES: &[&str] = &["broker.tenants"];
/// The same, where each name has a list: it may come several times.
const TABLES_OF_LISTS: &[&str] = &["objects.tenants"];
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub log: telemetry::Settings,
    pub traces: telemetry::exporter::Settings,
    pub admin: admin::Settings,
    pub api: api::Settings,
    pub console: console::Settings,
    pub access: access::Settings,
    pub review: review::ReviewSettings,
    pub broker: broker::Settings,
    pub objects: objects::Settings,
    pub database: database::Settings,
    pub labels: labels::Settings,
    pub registry: registry::Settings,
    pub imaging: imaging::Settings,
    pub detector: engine::Settings,
    pub thresholds: ThresholdSettings,
    pub worker: worker::Settings,
    pub training: retrain::TrainingSettings,
    pub retrain: retrain::Settings,
    pub retention: ledger::retention::Settings,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {} can't be read: {detail}", path.display())]
    File { path: PathBuf, detail: String },
    #[error(
        "the configuration is wrong: {0}; every key is explained in configs/default.toml (`assay doctor --defaults` prints it)"
    )]
    Wrong(String),
    #[error("the configuration holds keys of an older version: {}", renamed::words(.0))]
    Renamed(Vec<Renamed>),
    #[error("{0} holds a line end or another control character in its value; write it as one line")]
    NotOneLine(String),
    #[error("the configuration contradicts itself: {0}")]
    Contradiction(String),
}

impl Config {
    /// Reads all layers.
    pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        let text = |(key, value): (OsString, OsString)| Some((key.into_string().ok()?, value.into_string().ok()?));
        Self::from_layers(file, std::env::vars_os().filter_map(text).collect())
    }

    fn from_layers(file: Option<&Path>, variables: HashMap<String, String>) -> Result<Config, ConfigError> {
        let mut variables = one_line::trim(variables, is_list).map_err(ConfigError::NotOneLine)?;
        let mut layers = Layers::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        let mut renamed = renamed::variables(&variables);
        if let Some(path) = file {
            let (text, table) = read(path)?;
            one_line::odd_key(&table).map_or(Ok(()), |key| Err(ConfigError::NotOneLine(key)))?;
            renamed.extend(renamed::keys(&table));
            layers = layers.add_source(File::from_str(&text, FileFormat::Toml));
        }
        if !renamed.is_empty() {
            return Err(ConfigError::Renamed(renamed));
        }
        for key in LISTS {
            let Some(text) = variables.remove(&variable(key)) else { continue };
            layers = layers.set_override(*key, members(&text).collect::<Vec<_>>()).expect("the key is well formed");
        }
        for key in TABLES {
            let Some(text) = variables.remove(&variable(key)) else { continue };
            let table: HashMap<String, String> = pairs(key, &text)?.into_iter().collect();
            layers = layers.set_override(*key, table).expect("the key is well formed");
        }
        for key in TABLES_OF_LISTS {
            let Some(text) = variables.remove(&variable(key)) else { continue };
            let mut table: HashMap<String, Vec<String>> = HashMap::new();
            for (name, value) in pairs(key, &text)? {
                table.entry(name).or_default().push(value);
            }
            layers = layers.set_override(*key, table).expect("the key is well formed");
        }
        let environment = Environment::with_prefix("ASSAY").prefix_separator("__").separator("__").try_parsing(true);
        let home = variables.get("ASSAY_HOME").cloned();
        let mut config: Config = layers
            .add_source(environment.source(Some(variables)))
            .build()
            .and_then(Layers::try_deserialize)
            .map_err(|error| ConfigError::Wrong(without_passwords(&error.to_string())))?;
        config.check().map_err(ConfigError::Contradiction)?;
        if !config.detector.is_stand_in() && !config.detector.is_registry() {
            let program = std::env::current_exe().ok();
            config.detector.model = model_folder::found(&config.detector.model, home.as_deref(), program.as_deref());
        }
        Ok(config)
    }

    /// What no single part can see.
    fn check(&self) -> Result<(), String> {
        self.traces.validate()?;
        self.broker.validate()?;
        self.database.validate()?;
        self.objects.validate()?;
        self.retrain.validate()?;
        self.registry.validate()?;
        self.retention.validate()?;
        self.review.validate().map_err(|error| error.to_string())?;
        let worker = &self.worker;
        let prefetch = self.broker.prefetch as usize;
        // One batch on the device, one forming, and an image in every intake slot.
        let largest_batch = worker.batch_for("cpu");
        let fills = 2 * largest_batch + worker.intake_slots;
        if prefetch < fills {
            return Err(format!(
                "broker.prefetch = {prefetch} can't keep the device busy: two batches of {largest_batch} and \
                 worker.intake_slots = {} need {fills}; raise the prefetch or lower the others",
                worker.intake_slots
            ));
        }
        if self.imaging.timeout_s == 0 {
            return Err("imaging.timeout_s must be at least 1 second".into());
        }
        if worker.intake_slots == 0 || worker.settle_batch == 0 {
            return Err("worker.intake_slots and worker.settle_batch must be at least 1".into());
        }
        if !(worker.grace_s.is_finite() && worker.grace_s > 0.0) {
            return Err(format!("worker.grace_s = {} must be a number of seconds above 0", worker.grace_s));
        }
        Ok(())
    }

    /// What crosses a network for anybody to read, with how to fix each.
    pub fn exposures(&self) -> impl Iterator<Item = String> {
        [self.broker.exposure(), database::exposure(&self.database)].into_iter().flatten()
    }

    /// Variables of the environment that look like settings and that nothing reads.
    pub fn misnamed_variables() -> Vec<String> {
        misnamed::remarks(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
    }

    /// What the worker's stages need to know of it all.
    pub fn plan(&self) -> worker::WorkerPlan {
        worker::WorkerPlan {
            worker: self.worker.clone(),
            thresholds: self.thresholds.clone(),
            allowed: self.objects.allowed(),
            max_object_bytes: self.objects.max_bytes,
            max_attempts: self.broker.max_attempts(),
            bulk: self.broker.bulk_prefetch > 0,
            prefetch: usize::from(self.broker.prefetch) + usize::from(self.broker.bulk_prefetch),
            outage_wait: Duration::from_secs(self.worker.outage_wait_s),
            consumer_timeout: Duration::from_secs(self.broker.consumer_timeout_s),
        }
    }

    /// What decoders are started with.
    pub fn decoders(&self) -> decoder::Settings {
        let timeout = Duration::from_secs(self.imaging.timeout_s);
        decoder::Settings::beside_this_program(self.imaging.limits(), self.objects.max_bytes, timeout)
    }

    /// Bytes that the worker and its decoders may hold beyond the model and libtorch: the formula of `configs/default.toml`.
    pub fn memory_bound(&self) -> u64 {
        let crops = (imaging::MAX_JUDGED * imaging::CROP_SIDE * imaging::CROP_SIDE * 3) as u64;
        let batch = self.worker.batch_for("cuda").max(self.worker.batch_for("cpu")) as u64;
        let slots = self.worker.intake_slots as u64;
        slots * (self.objects.max_bytes + crops)
            + self.worker.decoders() as u64 * decoder::memory_of_both(&self.imaging.limits(), self.objects.max_bytes)
            + 4 * batch * crops
            + (u64::from(self.broker.prefetch) + u64::from(self.broker.bulk_prefetch)) * broker::wire::MAX_BODY as u64
    }
}

/// The text of a file of settings, if it is TOML. An error names the place, but does not show what stands there: it may
/// be a password.
fn read(path: &Path) -> Result<(String, toml::Table), ConfigError> {
    let failed = |detail: String| ConfigError::File { path: path.to_owned(), detail };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let table = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        failed(format!("line {line}: {}", error.message()))
    })?;
    Ok((text, table))
}

/// A URL may stand where it should not, and be quoted for it: what lies between `user:` and `@` is taken out.
fn without_passwords(text: &str) -> String {
    let ends = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '`');
    let hide = |word: &str| {
        let begin = word.find("://").map_or(0, |at| at + 3);
        let (colon, at) = (word[begin..].find(':').map(|at| begin + at), word.rfind('@'));
        match (colon, at) {
            (Some(colon), Some(at)) if colon < at => format!("{}…{}", &word[..=colon], &word[at..]),
            _ => word.to_string(),
        }
    };
    text.split_inclusive(ends).map(hide).collect()
}

/// Whether the variable's value has members, which may stand on lines of their own.
fn is_list(name: &str) -> bool {
    [LISTS, TABLES, TABLES_OF_LISTS].concat().iter().any(|key| variable(key).eq_ignore_ascii_case(name))
}

fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|member| !member.is_empty())
}

fn pairs(key: &str, text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let pair = |member: &str| {
        let (name, value) = member.split_once('=')?;
        Some((name.trim().to_string(), value.trim().to_string()))
    };
    let wrong = |member: &str| {
        let holds = without_passwords(&format!("{member:?}"));
        ConfigError::Wrong(format!("{} holds {holds}; write NAME=VALUE,NAME=VALUE", variable(key)))
    };
    members(text).map(|member| pair(member).ok_or_else(|| wrong(member))).collect()
}

#[cfg(test)]
mod tests {
    use super::renamed::RENAMED;
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let path = std::env::temp_dir().join(format!("assay-config-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&path, file).unwrap();
        let variables = environment.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let config = Config::from_layers(Some(&path), variables);
        std::fs::remove_file(path).unwrap();
        config
    }

    #[test]
    fn the_defaults_are_whole() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.broker.prefix, "assay");
        assert_eq!(config.objects.allowed_buckets, Vec::<String>::new());
    }

    #[test]
    fn the_file_wins_over_defaults_and_the_environment_over_both() {
        let file = "[broker]\nprefix = \"staging\"\nprefetch = 200\n[broker.tenants]\nuploads = \"acme\"";
        let environment = [("ASSAY__BROKER__PREFETCH", "300"), ("ASSAY__OBJECTS__ALLOWED_BUCKETS", "uploads,avatars")];
        let config = load(file, &environment).unwrap();
        assert_eq!((config.broker.prefix.as_str(), config.broker.prefetch), ("staging", 300));
        assert_eq!(config.objects.allowed_buckets, ["uploads", "avatars"]);
        assert_eq!(config.broker.tenants["uploads"], "acme");
    }

    #[test]
    fn a_list_in_the_environment_may_have_any_length() {
        let delays = |text: &str| {
            load("", &[("ASSAY__BROKER__RETRY_DELAYS_S", text)]).map(|config| config.broker.retry_delays_s)
        };
        assert_eq!(delays("7").unwrap(), [7]);
        assert_eq!(delays("7,8,9").unwrap(), [7, 8, 9]);
        assert!(delays("-1").unwrap_err().to_string().contains("retry_delays_s"));
        let buckets =
            load("", &[("ASSAY__OBJECTS__ALLOWED_BUCKETS", "2024")]).map(|config| config.objects.allowed_buckets);
        assert_eq!(buckets.unwrap(), ["2024"]);
    }

    #[test]
    fn tables_in_the_environment_win_name_by_name() {
        let file = "[objects]\nallowed_buckets = [\"uploads\", \"b\"]\n[objects.tenants]\nAcme = [\"uploads/acme/\"]\n\
                    other = [\"uploads/other/\"]\n[broker.tenants]\n\"my.bucket\" = \"acme\"";
        let environment = [
            ("ASSAY__OBJECTS__TENANTS", "Acme=uploads/a/, Acme=b/,*=b/shared/"),
            ("ASSAY__BROKER__TENANTS", "uploads=globex,b.c=other"),
        ];
        let config = load(file, &environment).unwrap();
        assert_eq!(config.objects.tenants["Acme"], ["uploads/a/", "b/"]);
        assert_eq!(config.objects.tenants["other"], ["uploads/other/"]);
        assert_eq!(config.objects.tenants["*"], ["b/shared/"]);
        let tenants: Vec<_> =
            config.broker.tenants.iter().map(|(bucket, tenant)| format!("{bucket}={tenant}")).collect();
        assert_eq!(tenants, ["b.c=other", "my.bucket=acme", "uploads=globex"]);
        let wrong = load("", &[("ASSAY__OBJECTS__TENANTS", "acme")]).unwrap_err().to_string();
        assert!(wrong.contains("ASSAY__OBJECTS__TENANTS") && wrong.contains("NAME=VALUE"), "{wrong}");
        let contradiction = load("", &[("ASSAY__OBJECTS__TENANTS", "acme=uploads/")]).unwrap_err().to_string();
        assert!(contradiction.contains("objects.allowed_buckets"), "{contradiction}");
    }

    #[test]
    fn a_password_of_digits_stays_text() {
        let url = "postgres://u:12345@h/d";
        assert!(load("", &[("ASSAY__DATABASE__URL", url), ("ASSAY__BROKER__PREFIX", "123")]).is_ok());
    }

    #[test]
    fn unknown_keys_and_contradictions_are_refused_by_name() {
        let error = |file: &str| load(file, &[]).unwrap_err().to_string();
        assert!(error("[broker]\nprefech = 1").contains("prefech"), "{}", error("[broker]\nprefech = 1"));
        assert!(error("[brokers]\nprefetch = 1").contains("brokers"));
        assert!(error("[broker]\nprefetch = 4").contains("broker.prefetch = 4"));
        assert!(error("[broker]\nprefetch = \"many\"").contains("prefetch"));
        let typo = load("", &[("ASSAY__OBJECTS__MAX_BYTE", "1")]).unwrap_err().to_string();
        assert!(typo.contains("max_byte"), "{typo}");
    }

    #[test]
    fn keys_of_an_older_version_are_refused_with_their_new_names() {
        let error = |file: &str, environment: &[(&str, &str)]| load(file, environment).unwrap_err().to_string();
        let file = error("[ledger]\nurl = \"postgres://u:hush@h/d\"\npatience_s = 5", &[]);
        assert!(
            file.ends_with("ledger.url is database.url now, ledger.patience_s is worker.outage_wait_s now"),
            "{file}"
        );
        for (before, now) in RENAMED {
            let (before, now) = (variable(before), variable(now));
            let text = error("", &[(&before, "postgres://u:hush@h/d")]);
            assert!(text.contains(&format!("{before} is {now} now")) && !text.contains("hush"), "{text}");
        }
        assert!(error("", &[("assay__ledger__url", "x")]).contains("ASSAY__DATABASE__URL"));
        // A key that never was is an unknown one.
        assert!(error("[ledger]\nurls = 1", &[]).contains("ledger"));
    }

    #[test]
    fn a_password_that_leaves_the_machine_unencrypted_is_told_of() {
        let exposed = |broker: &str, database: &str| {
            let file = format!("[broker]\nurl = \"{broker}\"\n[database]\nurl = \"{database}\"");
            load(&file, &[]).unwrap().exposures().collect::<Vec<_>>().join("\n")
        };
        let (near, far) = ("amqp://u:p@127.0.0.1/", "postgres://u:p@db.example/d");
        let verified = "postgres://u:p@db.example/d?sslmode=verify-full";
        assert_eq!(exposed(near, "postgres://u:p@localhost/d?sslmode=disable"), "");
        assert_eq!(exposed("amqps://u:p@rabbit.example/", verified), "");
        for mode in ["", "?sslmode=disable", "?sslmode=prefer"] {
            assert!(exposed(near, &format!("{far}{mode}")).contains("sslmode=verify-full"), "{mode}");
        }
        let both = exposed("amqp://u:p@rabbit.example/", far);
        assert!(both.contains("amqps://") && both.contains("rabbit.example") && both.contains("db.example"), "{both}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let config =
            load("[database]\nurl = \"postgres://u:hush@h/d\"\n[broker]\nurl = \"amqp://u:hush@h\"", &[]).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
    }
}
