//! `assay doctor`: what is wrong, and how to fix it.

mod port;

use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;

use super::print::say;
use super::{End, model};
use crate::config::{Config, DEFAULTS};
use broker::rabbit;
use broker::topology::Depth;
use database::Database;
use decoder::{Attempt, IdleDecoder, Pool, Protections};
use engine::Detector;
use engine::kernels;
use imaging::Crop;
use ledger::Ledger;
use ledger::maintenance::FEWEST_AHEAD;
use objects::s3::S3;
use objects::{Objects, StoreError};

/// Check the configuration, decoder, admin port, broker, database, buckets, registry, device and model, and say how to fix what is
/// wrong.
///
/// Ends with the code of the worst finding: 3 if a dependency is unreachable, 2 for a configuration to correct.
/// Where broker.topology is "declare", queues that are missing are declared, as a worker would at its start.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay doctor
  assay doctor --config production.toml --json
  assay doctor --defaults > my.toml                     every key with its default and what it means")]
pub(super) struct Args {
    /// Print the built-in configuration, every key explained, and check nothing.
    #[arg(long)]
    pub defaults: bool,
    /// One JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

/// One thing looked at.
struct Finding {
    subject: String,
    took: Duration,
    result: Result<String, End>,
}

pub(super) fn print_defaults() {
    say!("{}", DEFAULTS.trim_end());
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let mut findings = vec![Finding::now("configuration", Ok(memory(config)))];
    findings.push(Finding::of("decoder", decoder(config)).await);
    findings.push(Finding::of("admin port", port::check(&config.admin)).await);
    findings.extend(broker(config).await);
    findings.push(Finding::of("database", Box::pin(database(config))).await);
    findings.extend(buckets(config).await);
    findings.push(Finding::of("registry", Box::pin(registry(config))).await);
    findings.push(Finding::of("model", Box::pin(model(config))).await);
    if args.json {
        say!("{}", json!({ "checks": findings.iter().map(Finding::document).collect::<Vec<_>>() }));
    } else {
        findings.iter().for_each(|finding| say!("{}", finding.line()));
    }
    let worst = findings.into_iter().filter_map(|finding| finding.result.err()).max_by_key(End::code);
    match worst {
        Some(end) => Err(end.silent()),
        None => Ok(()),
    }
}

impl Finding {
    fn now(subject: impl Into<String>, result: Result<String, End>) -> Finding {
        Finding { subject: subject.into(), took: Duration::ZERO, result }
    }

    async fn of(subject: impl Into<String>, check: impl Future<Output = Result<String, End>>) -> Finding {
        let started = Instant::now();
        let result = check.await;
        Finding { subject: subject.into(), took: started.elapsed(), result }
    }

    fn words(&self) -> (bool, &str) {
        match &self.result {
            Ok(words) => (true, words),
            Err(end) => (false, end.message().unwrap_or_default()),
        }
    }

    fn line(&self) -> String {
        let (well, words) = self.words();
        let mark = if well { "ok   " } else { "WRONG" };
        // What follows the first line stands below it.
        let words = words.replace('\n', &format!("\n{:30}", ""));
        format!("{mark}  {:<14}  {:>4} ms  {words}", self.subject, self.took.as_millis())
    }

    fn document(&self) -> serde_json::Value {
        let (well, words) = self.words();
        let code = self.result.as_ref().err().map_or(0, End::code);
        json!({ "subject": self.subject, "ok": well, "exit_code": code, "detail": words, "ms": self.took.as_millis() as u64 })
    }
}

/// With what is no contradiction and may all the same be a mistake.
fn memory(config: &Config) -> String {
    let mebibytes = config.memory_bound() >> 20;
    let mut lines = vec![format!("consistent; beyond the model and libtorch a worker holds at most {mebibytes} MiB")];
    lines.extend(config.exposures().chain(Config::misnamed_variables()).map(|remark| format!("MIND: {remark}")));
    lines.join("\n")
}

/// The broker, and a finding of its own for each thing there that should be otherwise though workers can work.
async fn broker(config: &Config) -> Vec<Finding> {
    let started = Instant::now();
    let survey = match rabbit::survey(&config.broker).await {
        Ok(survey) => survey,
        Err(error) => {
            return vec![Finding { subject: "broker".into(), took: started.elapsed(), result: Err(error.into()) }];
        }
    };
    let row = |depth: &Depth| format!("{} {} ({} consumers)", depth.queue, depth.ready, depth.consumers);
    let queues: Vec<_> = survey.depths.iter().map(row).collect();
    let mut well = format!("answers; messages ready:\n{}", queues.join("\n"));
    let policies = rabbit::policies(&config.broker).await.unwrap_or_else(|why| {
        well += &format!("\nMIND: {why}");
        Vec::new()
    });
    let mut findings = vec![Finding { subject: "broker".into(), took: started.elapsed(), result: Ok(well) }];
    let remarks = survey.remarks.into_iter().map(|remark| ("results", remark));
    let remarks = remarks.chain(policies.into_iter().map(|remark| ("policies", remark)));
    findings.extend(remarks.map(|(subject, remark)| Finding::now(subject, Err(End::usage(remark)))));
    findings
}

/// Whether a worker finds its model there; of a registry that is not used only what it would say.
async fn registry(config: &Config) -> Result<String, End> {
    let looked = model::registered::survey(config).await;
    match looked {
        Ok(words) => Ok(words),
        Err(end) if config.detector.is_registry() => Err(end),
        Err(end) => {
            let why = end.message().unwrap_or_default();
            Ok(format!(
                "not in use: detector.model = {:?} names a folder. It would not do: {why}",
                config.detector.model
            ))
        }
    }
}

async fn database(config: &Config) -> Result<String, End> {
    let settings = &config.database;
    let database = Database::connect(settings).await?;
    database.check().await?;
    let well = format!("{}, schema {:?}: answers and is migrated", database::address(settings), settings.schema);
    let ledger = ledger::postgres::Postgres::on(&database);
    // Who may not read the ledger has no business with it.
    let Ok(ahead) = ledger.partitions_ahead().await else { return Ok(well) };
    let Ok(pairing) = ledger.pairing().await else { return Ok(well) };
    if pairing.without_key + pairing.without_row > 0 {
        return Err(End::work(format!(
            "{well}; but of {} keys and rows of the last day {} rows have no key and {} keys no row: the ledger was changed by \
             other hands than Assay's, or lost rows; compare it with a backup",
            pairing.looked_at, pairing.without_key, pairing.without_row
        )));
    }
    let few = if ahead < FEWEST_AHEAD { "; MIND: `assay ledger maintain` once a day makes them" } else { "" };
    Ok(format!("{well}\n{ahead} partitions are ahead{few}; {} keys and rows belong together", pairing.looked_at))
}

/// Starts a decoder, has it decode, and tells what the kernel keeps it from.
async fn decoder(config: &Config) -> Result<String, End> {
    let settings = config.decoders();
    let tried = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        let pool = Pool::open(settings)?;
        let start = started.elapsed();
        pool.decode(&imaging::sample()).map_err(End::work)?;
        let (protections, attempts) = pool.probe().map_err(End::work)?;
        let words = describe_decoder(start, &pool.idle_decoders(), &protections, &attempts);
        Ok(format!("{words}\n{}", heic(&pool)))
    });
    tried.await.map_err(End::work)?
}

/// What decodes HEIC here, if anything does.
fn heic(pool: &Pool) -> String {
    let (library, attempts) = match pool.probe_libheif() {
        Ok((library, _, attempts)) => (library, attempts),
        Err(decoder::Error::NotStarted(error)) => {
            let detail = error.detail;
            return format!("MIND: HEIC, iPhones' photographs, end as unsupported_format: {detail}\n{HEIC_FIX}");
        }
        Err(error) => return format!("MIND: the decoder of HEIC does not work: {error}"),
    };
    let mut lines = vec![format!("HEIC by {library}, in a decoder of its own that is kept from the same")];
    let open = attempts.iter().filter(|attempt| !attempt.refused);
    lines.extend(open.map(|attempt| format!("NOT REFUSED: {} ({})", attempt.action, attempt.result)));
    lines.join("\n")
}

const HEIC_FIX: &str =
    "to have them judged, install libheif 1.15 or newer (Debian: libheif1) and keep assay-decoder-heif beside assay";

fn describe_decoder(start: Duration, idle: &[IdleDecoder], protections: &Protections, attempts: &[Attempt]) -> String {
    let kilobytes: u64 = idle.iter().map(|decoder| decoder.resident >> 10).sum();
    let seccomp = if protections.seccomp { "seccomp" } else { "no seccomp" };
    let landlock = protections.landlock.map_or("no Landlock".into(), |abi| format!("Landlock {abi}"));
    let memory = protections.memory >> 20;
    let start = start.as_secs_f64() * 1e3;
    let mut lines =
        vec![format!("{seccomp}, {landlock}, at most {memory} MiB; starts in {start:.1} ms, rests at {kilobytes} kB")];
    let (refused, open): (Vec<_>, Vec<_>) = attempts.iter().partition(|attempt| attempt.refused);
    let result = if open.is_empty() { "passed" } else { "FAILED" };
    lines.push(format!(
        "sandbox self-test {result}: {} of {} forbidden actions are refused",
        refused.len(),
        attempts.len()
    ));
    lines.extend(open.iter().map(|attempt| format!("NOT REFUSED: {} ({})", attempt.action, attempt.result)));
    lines.extend(protections.missing.iter().map(|why| format!("missing: {why}")));
    lines.join("\n")
}

async fn buckets(config: &Config) -> Vec<Finding> {
    if config.objects.allowed_buckets.is_empty() {
        let empty = "objects.allowed_buckets is empty, so every submission would fail: name the buckets to read";
        return vec![Finding::now("buckets", Err(End::usage(empty)))];
    }
    let store = S3::connect(&config.objects).await;
    let mut findings = Vec::new();
    for bucket in &config.objects.allowed_buckets {
        let check = async { store.check(bucket).await.map(|()| "can be read".into()).map_err(of_bucket) };
        findings.push(Finding::of(format!("bucket {bucket}"), check).await);
    }
    findings
}

/// A bucket of the configuration that is not there, or may not be read, is to be corrected there or in its rights.
fn of_bucket(error: StoreError) -> End {
    match error {
        StoreError::Bucket { .. } => End::usage(error),
        other => other.into(),
    }
}

async fn model(config: &Config) -> Result<String, End> {
    let settings = model::registered::resolved(config.detector.clone(), config).await?;
    let thresholds = config.thresholds.clone();
    let tried = tokio::task::spawn_blocking(move || {
        let mut detector = engine::open(&settings)?;
        thresholds.check(detector.card().policy.thresholds).map_err(End::usage)?;
        let crop = Crop::blank();
        // The first image takes longer: the device chooses its algorithms.
        detector.score(&[&crop]).map_err(End::work)?;
        let started = Instant::now();
        detector.score(&[&crop]).map_err(End::work)?;
        let said = describe(detector.as_ref(), started.elapsed());
        // On a CPU the kernels are chosen by measurement; the stand-in has none.
        let measured = detector.device() == "cpu" && !settings.is_stand_in();
        Ok(if measured { format!("{said}\n{}", kernels::measured().in_words()) } else { said })
    });
    tried.await.map_err(End::work)?
}

fn describe(detector: &dyn Detector, image: Duration) -> String {
    let card = detector.card();
    let trained = if card.trained { "trained" } else { "UNTRAINED: its verdicts say nothing about the images" };
    format!(
        "{} on {}, {:.0} ms for an image\n{trained}; labels {}; sha256 {}",
        card.version,
        detector.engine(),
        image.as_secs_f64() * 1e3,
        card.labels.id,
        card.sha256
    )
}
