//! Appeals: the list, one of them, and the decision.

use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use domain::Decision;
use review::{AppealChoice, AppealState, AppealView, ClaimRefused, ItemView, NewVote, Refused, RefusedKind};

use super::asked::Asked;
use super::contexts::{Appeal, AppealPage, AppealRow, AppealsPage, Choice, DecidedAppeal, Form, Picture};
use super::links;
use super::looking::{Seen, picture, words};
use super::refusal::Refusal;
use super::state::Console;
use super::votes::{comment_of, ground, not_taken, taken};
use crate::pages::Page;

pub(super) async fn list(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let (state, name) = match asked.query.get("state") {
        None | Some("open") => (AppealState::Open, "open"),
        Some("decided") => (AppealState::Decided, "decided"),
        Some(_) => return Err(Refusal::bad_request("`state` is neither open nor decided")),
    };
    let number = asked.query.word::<u32>("page")?.unwrap_or(0);
    let found = console.server.reviews.appeals(&asked.caller()?, state, number).await?;
    let at = |number: u32| links::with_query("/appeals", &[("state", Some(name)), ("page", Some(&number.to_string()))]);
    let row = |row: review::AppealRow| AppealRow {
        id: row.id,
        submission_id: row.submission_id,
        tenant: row.tenant,
        decision: row.decision.map_or("hidden", Decision::as_str),
        beginning: row.beginning,
        at: row.at,
        state: row.state,
        why_not: row.why_not,
    };
    let context = AppealsPage {
        state: name,
        appeals: found.appeals.into_iter().map(row).collect(),
        newer: found.has_newer.then(|| at(number.saturating_sub(1))),
        older: found.has_older.then(|| at(number.saturating_add(1))),
    };
    console.page(asked, Page::Appeals, context).await
}

pub(super) async fn show(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let appeal = console.appeal(asked, asked.id()?).await?;
    let view = console.item(asked, appeal.item).await?;
    console.note_seen(asked, &view).await?;
    Box::pin(console.appeal_page(asked, appeal.id, &view, StatusCode::OK, Form::default())).await
}

pub(super) async fn decide(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let (lease, vote) = (asked.form.id("lease")?, asked.form.id("vote")?);
    let appeal = console.appeal(asked, asked.id()?).await?;
    let new = match filled(asked, &appeal) {
        Ok((answer, ground, reason)) => {
            NewVote { item: appeal.item, lease, vote, answer, ground, generator: None, comment: Some(reason) }
        }
        Err(problem) => return Box::pin(again(console, asked, &appeal, problem)).await,
    };
    match console.server.reviews.vote(&asked.caller()?, &new).await {
        Ok(cast) => taken(console, asked, &new, cast).await,
        Err(refused) if refused.kind() == RefusedKind::Invalid => {
            Box::pin(again(console, asked, &appeal, refused.to_string())).await
        }
        Err(refused @ Refused::Claim(ClaimRefused::NotHeld)) => Err(console.not_held(asked, &appeal, refused).await?),
        Err(refused) => Err(not_taken(refused)),
    }
}

type Filled = (review::Answer, Option<review::ReviewGround>, String);

fn filled(asked: &Asked, appeal: &AppealView) -> Result<Filled, String> {
    let choice = asked.form.get("result").ok_or("choose the decision first")?;
    let choice: AppealChoice = choice.parse().map_err(|()| "the decision is none that is known: choose one")?;
    let answer = choice.answer(appeal.decision).ok_or("this decision is none on this verdict: choose another")?;
    let ground = ground(&asked.form)?.filter(|_| answer.origin().is_some());
    if answer.origin().is_some() && ground.is_none() {
        return Err("choose the ground: why it is so, or by eye".into());
    }
    let reason = comment_of(&asked.form, "reason")?.ok_or("write the reason: it is sent to the platform")?;
    Ok((answer, ground, reason))
}

async fn again(console: &Console, asked: &Asked, appeal: &AppealView, problem: String) -> Result<Response, Refusal> {
    let problem = Refusal::invalid(problem);
    if asked.is_script() {
        return Err(problem);
    }
    let view = console.item(asked, appeal.item).await?;
    if view.lease.is_none() {
        return Err(
            Refusal::conflict("your claim on it has ended, so nothing was recorded").link("/", "Back to the queue")
        );
    }
    let field = |name: &str| asked.form.owned(name);
    let form = Form {
        errors: vec![problem.words_of_it().into()],
        result: field("result"),
        ground: field("ground"),
        reason: field("reason"),
        ..Form::default()
    };
    Box::pin(console.appeal_page(asked, appeal.id, &view, StatusCode::UNPROCESSABLE_ENTITY, form)).await
}

impl Console {
    /// Whoever reviewed it first never held it, and is told that.
    async fn not_held(&self, asked: &Asked, appeal: &AppealView, refused: Refused) -> Result<Refusal, Refusal> {
        let barred = ClaimRefused::ReviewedBefore;
        let why = self.item(asked, appeal.item).await?.why_no_vote;
        Ok(if why == Some(barred.to_string()) { Refused::Claim(barred).into() } else { not_taken(refused) })
    }

    pub(super) async fn appeal(&self, asked: &Asked, appeal: Uuid) -> Result<AppealView, Refusal> {
        self.server.reviews.appeal(&asked.caller()?, appeal).await?.ok_or_else(Refusal::not_found)
    }

    /// On the same screen as other items; where there is no picture it says so, since an appeal is decided all the same.
    pub(super) async fn appeal_page(
        &self,
        asked: &Asked,
        appeal: Uuid,
        view: &ItemView,
        status: StatusCode,
        form: Form,
    ) -> Result<Response, Refusal> {
        let appeal = self.appeal(asked, appeal).await?;
        let Seen { mut item, verdict, .. } = self.seen(asked, view).await?;
        if verdict.is_none() {
            item.picture_problem = Some("What was known of this submission is not kept any more.".into());
        }
        let (evidence, evidence_problem) = self.evidence(&appeal).await;
        let choices = item.lease.is_some().then(|| choices(appeal.decision));
        let decided = appeal.decided.map(|decided| DecidedAppeal {
            result: decided.result,
            at: decided.at,
            who: decided.who.join(", "),
            ground: decided.ground,
            reason: decided.reason,
        });
        let appeal =
            Appeal { id: appeal.id, at: appeal.at, text: appeal.text, evidence, evidence_problem, decided, choices };
        Box::pin(self.page_of(asked, status, Page::Appeal, AppealPage { item, appeal, form })).await
    }

    async fn evidence(&self, appeal: &AppealView) -> (Option<Picture>, Option<String>) {
        let Some(image) = &appeal.evidence else { return (None, None) };
        match self.server.pictures.evidence_outline(&appeal.tenant, image).await {
            Ok(outline) => (Some(picture(&format!("/pictures/{}/evidence", appeal.id), outline)), None),
            Err(trouble) => (None, Some(words(&trouble))),
        }
    }
}

fn choices(decision: Decision) -> Vec<Choice> {
    let text = |choice: AppealChoice| match choice {
        AppealChoice::Uphold => format!("Uphold: stays {}", decision.as_str()),
        AppealChoice::OverturnReal => "Overturn: real".into(),
        AppealChoice::OverturnSynthetic => "Overturn: synthetic".into(),
    };
    let all = AppealChoice::of_verdict(decision).iter();
    all.map(|choice| Choice { value: choice.as_str(), text: text(*choice) }).collect()
}
