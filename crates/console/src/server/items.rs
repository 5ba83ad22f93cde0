//! Looking at one item.

use axum::http::StatusCode;
use axum::response::Response;

use domain::OutcomeId;
use review::{ItemId, ItemKind, ItemState, ItemView, Role, Sight};

use super::asked::Asked;
use super::audit::Did;
use super::contexts::{Assignee, Form, GonePage, ItemPage};
use super::links;
use super::looking::{Seen, found, judged};
use super::outward::see_other;
use super::refusal::Refusal;
use super::state::Console;
use crate::pages::Page;

pub(super) async fn show(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let view = console.item(asked, asked.item()?).await?;
    if let Some(appeal) = view.appeal {
        return see_other(&links::appeal(appeal));
    }
    console.note_seen(asked, &view).await?;
    Box::pin(console.item_page(asked, &view, StatusCode::OK, Form::default())).await
}

/// By the outcome: to look at, never to vote on.
pub(super) async fn show_outcome(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let outcome = OutcomeId(asked.id()?);
    let caller = asked.caller()?;
    let reviews = &console.server.reviews;
    let view = match reviews.item(&caller, ItemId::of(outcome, ItemKind::Review)).await? {
        Some(view) => ItemView { lease: None, ..view },
        None => console.view_of(asked, outcome).await?,
    };
    console.record(asked, Did::to("saw", &view)).await?;
    Box::pin(console.item_page(asked, &view, StatusCode::OK, Form::default())).await
}

impl Console {
    /// An item of this person's tenants.
    pub(super) async fn item(&self, asked: &Asked, item: ItemId) -> Result<ItemView, Refusal> {
        self.server.reviews.item(&asked.caller()?, item).await?.ok_or_else(Refusal::not_found)
    }

    /// It is on a screen from now on; if it is this person's to vote on, the time begins.
    pub(super) async fn note_seen(&self, asked: &Asked, view: &ItemView) -> Result<(), Refusal> {
        if let Some(lease) = view.lease {
            // A lease that was lost meanwhile is told by the vote.
            let shown = self.server.reviews.shown(&asked.caller()?, view.id, lease).await;
            if let Err(review::Refused::Database(error)) = shown {
                return Err(error.into());
            }
        }
        self.record(asked, Did::to("saw", view)).await
    }

    /// The item, or what is there instead of its picture.
    pub(super) async fn item_page(
        &self,
        asked: &Asked,
        view: &ItemView,
        status: StatusCode,
        form: Form,
    ) -> Result<Response, Refusal> {
        let seen = self.seen(asked, view).await?;
        if seen.item.picture.is_none() {
            return Box::pin(self.gone_page(asked, view, seen)).await;
        }
        let assignees = self.assignees(asked, view).await?;
        let generators = self.server.generators.clone();
        let context = ItemPage { item: seen.item, generators, assignees, form };
        Box::pin(self.page_of(asked, status, Page::Item, context)).await
    }

    async fn gone_page(&self, asked: &Asked, view: &ItemView, seen: Seen) -> Result<Response, Refusal> {
        let Seen { item, verdict, trouble } = seen;
        if let Some(trouble) = &trouble {
            tracing::info!(request = asked.request, item = %view.id, %trouble, "no picture of an item");
        }
        let context = GonePage {
            item,
            why: trouble.as_ref().map_or("erased", |trouble| trouble.why()),
            judged: verdict.as_ref().map(judged),
            found: trouble.as_ref().and_then(found),
            may_rejudge: asked.has_role(&view.tenant, Role::Lead),
        };
        Box::pin(self.page(asked, Page::Gone, context)).await
    }

    /// To whom a lead may give it.
    async fn assignees(&self, asked: &Asked, view: &ItemView) -> Result<Vec<Assignee>, Refusal> {
        if view.lease.is_none() || !asked.has_role(&view.tenant, Role::Lead) {
            return Ok(Vec::new());
        }
        let people = self.server.gate.people(Role::Reviewer, &view.tenant).await?;
        Ok(people.into_iter().map(|who| Assignee { id: who.pseudonym, name: who.name }).collect())
    }

    /// Of a verdict that nobody was asked to review.
    pub(super) async fn view_of(&self, asked: &Asked, outcome: OutcomeId) -> Result<ItemView, Refusal> {
        let caller = asked.caller()?;
        let reviews = &self.server.reviews;
        let verdict = reviews.verdict(&caller, outcome).await?.ok_or_else(Refusal::not_found)?;
        let role = asked.access()?.role_in(&verdict.tenant).ok_or_else(Refusal::not_found)?;
        let blind = reviews.open_blind(&caller, &verdict.tenant, &verdict.submission_id).await?;
        Ok(ItemView {
            id: ItemId(outcome.0),
            kind: ItemKind::Review,
            appeal: None,
            outcome,
            generation: verdict.generation,
            decision: verdict.decision,
            model_version: verdict.model.version,
            image_sha256: verdict.image.sha256,
            decided_at: verdict.decided_at,
            age_s: age(verdict.decided_at),
            tenant: verdict.tenant,
            submission_id: verdict.submission_id,
            source: if blind { review::ShownSource::Blind } else { review::ShownSource::Uncertain },
            state: ItemState::Closed,
            closed_why: None,
            because: None,
            role,
            lease: None,
            is_held_for_later: false,
            may_claim: false,
            why_no_vote: Some("Nobody was asked to review this verdict.".into()),
            sight: if blind { Sight::Blind } else { Sight::Open },
            votes: Vec::new(),
        })
    }

    /// Where somebody goes once they are done with an item: to the next one, or to the start page.
    pub(super) async fn next_address(&self, asked: &Asked) -> Result<String, Refusal> {
        match self.server.reviews.next(&asked.caller()?, false).await? {
            Some(claim) => self.address(asked, claim.item, claim.is_appeal).await,
            None => Ok("/".into()),
        }
    }

    pub(super) async fn address(&self, asked: &Asked, item: ItemId, is_appeal: bool) -> Result<String, Refusal> {
        if !is_appeal {
            return Ok(links::item(item.0));
        }
        let view = self.item(asked, item).await?;
        Ok(view.appeal.map_or_else(|| links::item(item.0), links::appeal))
    }
}

fn age(since: time::OffsetDateTime) -> u64 {
    (time::OffsetDateTime::now_utc() - since).whole_seconds().try_into().unwrap_or(0)
}
