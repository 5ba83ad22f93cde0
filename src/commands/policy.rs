//! `assay policy`: what follows from verdicts, by rules of the platform's own.

mod text;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::End;
use super::actor::actor;
use super::print::say;
use super::since::moment_of;
use crate::config::Config;
use crate::moment::moment;
use database::Database;
use domain::request::validate_tenant;
use moderation::{
    ActivationError, InForce, MAX_BYTES, NewActivation, Policy, Postgres, Put, Stored, Trial, TrialReport, Tried,
    Wanted, check,
};

/// Verdicts on their way from the database.
const ON_THEIR_WAY: usize = 256;
/// Changes that `show` lists.
const LISTED: u32 = 20;

/// Say what follows from verdicts: label, limit, review, block, by ordered rules of which the first that matches decides.
///
/// A policy is a file in TOML (docs/operators.md has an example). Workers follow the one in force as they follow models, and verdicts
/// carry what follows from them in `policy`; their `decision` is never touched. Its version is a digest of what it says.
#[derive(Debug, Parser)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  assay policy check policy.toml                    everything that is wrong with it, with the fix
  assay policy try policy.toml --since 7d           what it would have done with the verdicts of a week, and what would change
  assay policy put policy.toml
  assay policy activate 3f2a1b… --trial 9c0d… --reason 'label instead of block, as agreed'
  assay policy activate none --reason 'rules under review'
  assay policy show                                 which there are, and which was in force when
  assay policy show 3f2a1b… > policy.toml"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read a file and say everything that is wrong with it. Asks no server.
    Check {
        #[command(flatten)]
        file: File,
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Count what a policy would have done with verdicts in force, and what would change. Changes nothing.
    Try(TryOut),
    /// Store a policy, under the version that follows from what it says.
    Put {
        #[command(flatten)]
        file: File,
    },
    /// Put a stored policy in force, or none.
    Activate(Activate),
    /// List policies and since when which was in force, or print one.
    Show {
        /// The first digits of its digest.
        #[arg(value_name = "VERSION")]
        version: Option<String>,
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, ClapArgs)]
struct File {
    /// The policy in TOML; - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, ClapArgs)]
struct TryOut {
    #[command(flatten)]
    file: File,
    /// Verdicts recorded since then: 7d, 36h, 30m, or 2026-11-02T03:12:45Z.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = moment_of)]
    since: OffsetDateTime,
    /// … and before; now unless given.
    #[arg(long, value_name = "TIME", value_parser = moment_of)]
    until: Option<OffsetDateTime>,
    #[arg(long)]
    tenant: Option<String>,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Activate {
    /// The first digits of a stored policy's digest, or `none`.
    #[arg(value_name = "VERSION")]
    version: String,
    /// The digest that `assay policy try` printed for this policy, or its first digits.
    #[arg(long, value_name = "DIGEST")]
    trial: Option<String>,
    /// Why; it is kept.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    match &args.action {
        Action::Check { file, json } => say_check(file, *json),
        Action::Try(args) => try_out(args, config).await,
        Action::Put { file } => put(file, config).await,
        Action::Activate(args) => activate(args, config).await,
        Action::Show { version, json } => show(version.as_deref(), *json, config).await,
    }
}

impl File {
    fn name(&self) -> String {
        if self.file.as_os_str() == "-" { "standard input".into() } else { self.file.display().to_string() }
    }

    fn text(&self) -> Result<String, End> {
        let unreadable = |error: std::io::Error| End::usage(format!("{} can't be read: {error}", self.name()));
        let mut bytes = Vec::new();
        // One byte more than is allowed says that there are more.
        let most = MAX_BYTES as u64 + 1;
        match self.file.as_os_str() == "-" {
            true => std::io::stdin().take(most).read_to_end(&mut bytes),
            false => std::fs::File::open(&self.file).map_err(unreadable)?.take(most).read_to_end(&mut bytes),
        }
        .map_err(unreadable)?;
        String::from_utf8(bytes).map_err(|_| End::usage(format!("{} is not UTF-8", self.name())))
    }

    /// The policy and the text that it was read from, if nothing is wrong with it.
    fn policy(&self) -> Result<(Policy, String), End> {
        let text = self.text()?;
        let wrong = |what: String| End::usage(format!("{} is no policy:\n{what}", self.name()));
        let policy = Policy::read(&text).map_err(|errors| wrong(errors.to_string()))?;
        let findings: Vec<String> = check(&policy).iter().map(ToString::to_string).collect();
        if findings.is_empty() { Ok((policy, text)) } else { Err(wrong(findings.join("\n"))) }
    }
}

fn say_check(file: &File, json: bool) -> Result<(), End> {
    if !json {
        let (policy, _) = file.policy()?;
        say!("{}: version {}, {} rules, each of which can match", file.name(), policy.version(), policy.rules().len());
        return Ok(());
    }
    let text = file.text()?;
    let (version, faults, findings) = match Policy::read(&text) {
        Ok(policy) => (Some(policy.version().to_string()), json!([]), json!(check(&policy))),
        Err(errors) => (None, json!(errors), json!([])),
    };
    let sound = version.is_some() && findings.as_array().is_some_and(Vec::is_empty);
    say!("{}", json!({"version": version, "faults": faults, "findings": findings}));
    if sound { Ok(()) } else { Err(End::usage(format!("{} is no policy", file.name()))) }
}

async fn try_out(args: &TryOut, config: &Config) -> Result<(), End> {
    let (policy, _) = args.file.policy()?;
    let now = OffsetDateTime::now_utc();
    let until = args.until.unwrap_or(now).min(now);
    if args.since >= until {
        return Err(End::usage(format!("--since {} is not before --until {}", moment(args.since), moment(until))));
    }
    if let Some(tenant) = &args.tenant {
        validate_tenant(tenant).map_err(|error| End::usage(format!("--tenant: {error}")))?;
    }
    let policies = open(config).await?;
    // Without a look at years in which there was nothing.
    let since = policies.earliest().await?.map_or(args.since, |earliest| earliest.max(args.since)).min(until);
    let whose = args.tenant.as_ref().map_or("all tenants".into(), |tenant| format!("the tenant {tenant}"));
    // With the day, so that another one's trial is another trial.
    let today = OffsetDateTime::now_utc().date();
    let selection =
        format!("verdicts in force of {whose}, recorded from {} to {}, on {today}", moment(args.since), moment(until));
    let mut trial = Trial::of(&policy, selection);
    let (sender, mut verdicts) = mpsc::channel::<InForce>(ON_THEIR_WAY);
    let bar = bar();
    let reading = async {
        let sender = sender;
        policies.verdicts((since, until), args.tenant.as_deref(), &sender).await
    };
    let counting = async {
        while let Some(one) = verdicts.recv().await {
            trial.count(Tried { verdict: &one.verdict, before: one.before(), label: one.label });
            bar.inc(1);
        }
    };
    let (read, ()) = tokio::join!(reading, counting);
    bar.finish_and_clear();
    read?;
    let report = trial.report();
    policies.keep_trial(&report, &actor()).await?;
    tell(&report, args.json)
}

fn tell(report: &TrialReport, json: bool) -> Result<(), End> {
    if json {
        say!("{}", serde_json::to_string(report).map_err(End::work)?);
    } else {
        text::lines(report).iter().for_each(|line| say!("{line}"));
    }
    Ok(())
}

async fn put(file: &File, config: &Config) -> Result<(), End> {
    let (policy, text) = file.policy()?;
    let put = open(config).await?.put(&policy, &text, &actor()).await?;
    let known = if put == Put::Known { "is there already" } else { "is stored" };
    say!(
        "policy {} {known}; `assay policy try {} --since 7d`, then `assay policy activate {} --trial DIGEST --reason TEXT`",
        policy.version(),
        file.name(),
        policy.version()
    );
    Ok(())
}

async fn activate(args: &Activate, config: &Config) -> Result<(), End> {
    let policies = open(config).await?;
    let before = policies.activations(1).await?.pop().and_then(|last| last.policy);
    let to = match (args.version.as_str(), &args.trial) {
        ("none", _) => Wanted::Nothing,
        (_, None) => {
            return Err(End::usage(
                "--trial is missing: `assay policy try FILE --since 7d` says what the policy would have done, and prints the digest \
                 of that",
            ));
        }
        (version, Some(trial)) => Wanted::Policy { version: version.into(), trial: trial.clone() },
    };
    let change = NewActivation { to, replaces: before.clone(), actor: actor(), reason: args.reason.clone() };
    let made = policies.activate(&change).await?;
    let named =
        |digest: &Option<String>| digest.as_deref().map_or("none".to_string(), |digest| digest[..12].to_string());
    say!(
        "policy in force: {} (before: {}); workers follow within {} s",
        named(&made.policy),
        named(&before),
        config.registry.poll_s
    );
    Ok(())
}

async fn show(version: Option<&str>, json: bool, config: &Config) -> Result<(), End> {
    let policies = open(config).await?;
    let Some(version) = version else {
        let (stored, activations) = (policies.stored().await?, policies.activations(LISTED).await?);
        if json {
            let listed = |one: &Stored| json!({"version": one.version(), "digest": one.digest, "actor": one.actor, "put_at": moment(one.put_at)});
            let stored: Vec<_> = stored.iter().map(listed).collect();
            say!("{}", json!({"policies": stored, "activations": activations}));
        } else {
            text::of_all(&stored, &activations).iter().for_each(|line| say!("{line}"));
        }
        return Ok(());
    };
    let found = match policies.named(version).await?.as_slice() {
        [one] => one.clone(),
        [] => return Err(ActivationError::Unknown(version.into()).into()),
        _ => return Err(ActivationError::Ambiguous(version.into()).into()),
    };
    if json {
        say!("{}", serde_json::to_string(&found).map_err(End::work)?);
    } else {
        say!("{}", found.text.trim_end());
    }
    Ok(())
}

async fn open(config: &Config) -> Result<Postgres, End> {
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    Ok(Postgres::on(&database))
}

fn bar() -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.with_style(ProgressStyle::with_template("{spinner} {pos} verdicts, {per_sec}").expect("the template is right"))
}

impl From<ActivationError> for End {
    fn from(error: ActivationError) -> End {
        match error {
            ActivationError::Database(error) => error.into(),
            error => End::work(error),
        }
    }
}
