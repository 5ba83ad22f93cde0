//! `assay review`: the queue of the console, on the command line.

mod text;

use std::sync::Arc;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::End;
use super::actor::actor;
use super::print::say;
use super::since::moment_of;
use crate::config::Config;
use crate::console::Outbox;
use database::Database;
use domain::{LabelledOrigin, OutcomeId, ReviewGround};
use review::{Answer, Caller, ItemId, ItemState, ListFilter, NewVote, Postgres, Refused, RefusedKind, Source};

/// See what waits for people, vote, and see how often the detector is wrong.
///
/// What can be done here can be done in the console too, with the image in sight (`assay console`). Votes count once they can't be
/// undone any more (review.undo_s); a running console counts them, or `assay review collect`.
#[derive(Debug, Parser)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  assay review list --tenant acme
  assay review label ITEM synthetic --ground visible-artefact --generator midjourney
  assay review label ITEM cannot-tell
  assay review collect                    one round of what a console does: new items, votes that count, messages
  assay review golden OUTCOME real        an item whose answer is known, to measure reviewers by
  assay review numbers --since 30d --json"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Collect verdicts to be reviewed, count votes, send what follows from them; once.
    Collect {
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
    /// What waits, in the order in which it is reviewed.
    List(List),
    /// Vote on an item.
    Label(Vote),
    /// Take a vote back, as long as it does not count.
    Undo {
        #[arg(value_name = "VOTE")]
        vote: Uuid,
    },
    /// Make an item whose answer is known: each reviewer gets it once, among others.
    Golden {
        /// The id of the verdict.
        #[arg(value_name = "OUTCOME")]
        outcome: Uuid,
        #[arg(value_name = "ORIGIN")]
        origin: Origin,
    },
    /// Precision, misses and calibration from the audit sample, agreement and accuracy of reviewers.
    Numbers(Numbers),
}

#[derive(Debug, ClapArgs)]
struct List {
    #[arg(long)]
    tenant: Option<String>,
    /// appeal, policy, audit or uncertain.
    #[arg(long)]
    source: Option<Source>,
    /// open, done or closed.
    #[arg(long, default_value = "open")]
    state: State,
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Vote {
    #[arg(value_name = "ITEM")]
    item: Uuid,
    #[arg(value_name = "ANSWER")]
    answer: AnswerWord,
    /// Why; not with cannot-tell.
    #[arg(long)]
    ground: Option<GroundWord>,
    /// Which generator made it, of a synthetic image.
    #[arg(long, value_name = "LABEL")]
    generator: Option<String>,
    /// In your words; of an appeal the reason, which is told.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(Debug, ClapArgs)]
struct Numbers {
    /// Verdicts and votes since then: 90d, 36h, or 2026-11-02T03:12:45Z.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = moment_of)]
    since: OffsetDateTime,
    #[arg(long)]
    tenant: Option<String>,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Origin {
    Real,
    Synthetic,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Open,
    Done,
    Closed,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AnswerWord {
    Real,
    Synthetic,
    CannotTell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GroundWord {
    Provenance,
    KnownSource,
    UploadersOriginal,
    VisibleArtefact,
    ByEye,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    let reviews = Postgres::on(&database, config.review.clone());
    if let Action::Collect { json } = &args.action {
        return collect(&reviews, &database, config, *json).await;
    }
    let access = access::command(&database, &actor()).await?;
    let caller = Caller { access: access.id, person: access.person, pseudonym: access.pseudonym };
    match &args.action {
        Action::Collect { .. } => Ok(()),
        Action::List(args) => list(&reviews, &caller, args).await,
        Action::Label(args) => label(&reviews, &caller, args).await,
        Action::Undo { vote } => {
            reviews.undo(&caller, *vote).await?;
            say!("the vote is taken back; the item is yours until its lease ends");
            Ok(())
        }
        Action::Golden { outcome, origin } => {
            let item = reviews.golden(&caller, OutcomeId(*outcome), LabelledOrigin::from(*origin)).await?;
            say!("{}", item.0);
            Ok(())
        }
        Action::Numbers(args) => {
            let numbers = reviews.numbers(&caller, args.tenant.as_deref(), args.since).await?;
            match args.json {
                true => say!("{}", json!(numbers)),
                false => text::numbers(&numbers),
            }
            Ok(())
        }
    }
}

async fn collect(reviews: &Postgres, database: &Database, config: &Config, json: bool) -> Result<(), End> {
    let collected = reviews.collect().await?;
    let counted = reviews.count_votes().await?;
    let expired = reviews.expire().await?;
    let ledger = Arc::new(ledger::postgres::Postgres::on(database));
    let mut outbox = Outbox::new(reviews.clone(), ledger, config.broker.clone());
    let sent = outbox.send().await;
    outbox.close().await;
    let sent = sent?;
    if json {
        say!("{}", json!({"collected": collected, "counted": counted, "not_reviewed": expired, "sent": sent}));
        return Ok(());
    }
    say!(
        "{} new items of {} verdicts; {} votes counted, {} items resolved; {} items waited for too long; {sent} messages sent",
        collected.items,
        collected.verdicts,
        counted.counted,
        counted.resolved,
        expired
    );
    Ok(())
}

async fn list(reviews: &Postgres, caller: &Caller, args: &List) -> Result<(), End> {
    let state = match args.state {
        State::Open => ItemState::Open,
        State::Done => ItemState::Done,
        State::Closed => ItemState::Closed,
    };
    let filter = ListFilter { tenant: args.tenant.clone(), source: args.source, state: Some(state), most: args.limit };
    let items = reviews.list(caller, &filter).await?;
    match args.json {
        true => say!("{}", json!({"items": items})),
        false => text::items(&items),
    }
    Ok(())
}

async fn label(reviews: &Postgres, caller: &Caller, args: &Vote) -> Result<(), End> {
    let item = ItemId(args.item);
    let claim = reviews.claim(caller, item).await?;
    reviews.shown(caller, item, claim.lease).await?;
    let vote = NewVote {
        item,
        lease: claim.lease,
        vote: Uuid::new_v4(),
        answer: args.answer.into(),
        ground: args.ground.map(Into::into),
        generator: args.generator.clone(),
        comment: args.comment.clone(),
    };
    let cast = reviews.vote(caller, &vote).await;
    if let Err(refused) = cast {
        reviews.release(caller, &[claim.lease]).await?;
        return Err(refused.into());
    }
    say!("{}", vote.vote);
    let seconds = reviews.settings().undo_s;
    tracing::info!(vote = %vote.vote, "it counts in {seconds} s; until then `assay review undo VOTE` takes it back");
    Ok(())
}

impl From<Origin> for LabelledOrigin {
    fn from(origin: Origin) -> LabelledOrigin {
        match origin {
            Origin::Real => LabelledOrigin::Real,
            Origin::Synthetic => LabelledOrigin::Synthetic,
        }
    }
}

impl From<AnswerWord> for Answer {
    fn from(answer: AnswerWord) -> Answer {
        match answer {
            AnswerWord::Real => Answer::Real,
            AnswerWord::Synthetic => Answer::Synthetic,
            AnswerWord::CannotTell => Answer::CannotTell,
        }
    }
}

impl From<GroundWord> for ReviewGround {
    fn from(ground: GroundWord) -> ReviewGround {
        match ground {
            GroundWord::Provenance => ReviewGround::Provenance,
            GroundWord::KnownSource => ReviewGround::KnownSource,
            GroundWord::UploadersOriginal => ReviewGround::UploadersOriginal,
            GroundWord::VisibleArtefact => ReviewGround::VisibleArtefact,
            GroundWord::ByEye => ReviewGround::ByEye,
        }
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> End {
        match refused {
            Refused::Database(error) => error.into(),
            other if other.kind() == RefusedKind::Invalid => End::usage(other),
            other => End::work(other),
        }
    }
}
