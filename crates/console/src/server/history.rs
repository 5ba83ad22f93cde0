//! All that is known of a submission.

use axum::response::Response;

use review::History;

use super::asked::Asked;
use super::audit::Did;
use super::contexts::{
    Generation, HistoryAppeal, HistoryGeneration, HistoryLabel, HistoryPage, HistoryPolicy, HistoryReview,
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
    let history = console.server.reviews.history(&asked.caller()?, tenant, submission).await?;
    let history = history.ok_or_else(Refusal::not_found)?;
    // The trail of what a blind review hides says something of it, too.
    let trail = if history.hidden { None } else { console.trail(asked, tenant, submission).await? };
    let did =
        Did { what: "history", tenant: Some(tenant.into()), submission: Some(submission.into()), ..Did::default() };
    console.record(asked, did).await?;
    let context = HistoryPage { trail, ..page(tenant, submission, history) };
    console.page(asked, Page::History, context).await
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
    }
}
