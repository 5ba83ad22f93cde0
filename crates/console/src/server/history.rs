//! All that is known of a submission.

use axum::http::StatusCode;
use axum::response::Response;

use review::{Action, History};

use super::asked::Asked;
use super::audit::Did;
use super::contexts::{
    Filing, Form, Generation, HistoryAppeal, HistoryGeneration, HistoryLabel, HistoryPage, HistoryPolicy, HistoryReview,
};
use super::links;
use super::looking::{generation, label};
use super::refusal::Refusal;
use super::state::Console;
use crate::pages::Page;

pub(super) async fn show(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let missing = |name: &str| Refusal::bad_request(format!("the address has no `{name}`"));
    let tenant = asked.query.get("tenant").ok_or_else(|| missing("tenant"))?;
    let submission = asked.query.get("submission").ok_or_else(|| missing("submission"))?;
    Box::pin(history_page(console, asked, (tenant, submission), (StatusCode::OK, Form::default()))).await
}

/// With what was sent from it, if that could not be done.
pub(super) async fn history_page(
    console: &Console,
    asked: &Asked,
    (tenant, submission): (&str, &str),
    (status, form): (StatusCode, Form),
) -> Result<Response, Refusal> {
    let history = console.server.reviews.history(&asked.caller()?, tenant, submission).await?;
    let history = history.ok_or_else(Refusal::not_found)?;
    // The trail of what a blind review hides says something of it, too.
    let trail = if history.hidden { None } else { console.trail(asked, tenant, submission).await? };
    let did =
        Did { what: "history", tenant: Some(tenant.into()), submission: Some(submission.into()), ..Did::default() };
    console.record(asked, did).await?;
    let is_kept = history.erased_at.is_none() && !history.hidden;
    let filing = offered(asked, tenant, &history).filter(|_| is_kept);
    let context = HistoryPage { trail, filing, form, ..page(tenant, submission, history) };
    console.page_of(asked, status, Page::History, context).await
}

/// What may be begun from a history, by the verdict in force.
fn offered(asked: &Asked, tenant: &str, history: &History) -> Option<Filing> {
    let latest = history.generations.first().filter(|latest| latest.failure.is_none())?;
    let is_appealed = history.appeals.iter().any(|appeal| appeal.outcome == latest.outcome);
    let may = |action: Action| asked.has_role(tenant, action.needs());
    let filing = Filing {
        outcome_id: latest.outcome.0,
        may_appeal: may(Action::FileAppeal) && !is_appealed,
        may_golden: may(Action::MakeGolden),
    };
    (filing.may_appeal || filing.may_golden).then_some(filing)
}

fn page(tenant: &str, submission: &str, history: History) -> HistoryPage {
    let hidden = history.hidden;
    let generations = history.generations.into_iter().map(|mut of| HistoryGeneration {
        policy: of.policy.take().map(|policy| HistoryPolicy { action: policy.action, rule: policy.rule }),
        outcome_id: of.outcome.0,
        href: of.failure.is_none().then(|| links::outcome(of.outcome.0)),
        generation: match generation(of) {
            // Which model it was, or that people decided, says something too.
            of if hidden => Generation { by: Some("hidden".into()), ..of },
            of => of,
        },
    });
    let labels = history.labels.into_iter().map(|mut of| HistoryLabel {
        drawn_as: of.drawn_as.take(),
        reason: of.reason.take(),
        label: label(of),
    });
    let reviews = history.reviews.into_iter().map(|of| HistoryReview {
        answer: of.answer,
        ground: of.ground,
        generator: of.generator,
        who: of.who,
        at: of.at,
        blind: of.blind,
        state: of.state,
        comment: of.comment,
    });
    let appeals = history.appeals.into_iter().map(|of| HistoryAppeal { id: of.id, at: of.at, state: of.state });
    HistoryPage {
        tenant: tenant.into(),
        submission_id: submission.into(),
        erased_at: history.erased_at,
        hidden,
        generations: generations.collect(),
        labels: labels.collect(),
        reviews: reviews.collect(),
        appeals: appeals.collect(),
        trail: None,
        filing: None,
        form: Form::default(),
    }
}
