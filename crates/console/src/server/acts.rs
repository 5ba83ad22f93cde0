//! What is done with an item beside voting on it.

use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use review::{Caller, ItemId, Person, Role};

use super::asked::Asked;
use super::audit::Did;
use super::outward::{self, nothing, see_other};
use super::refusal::Refusal;
use super::state::Console;
use super::votes::comment;

#[derive(Serialize)]
struct Done {}

pub(super) async fn claim(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let item = asked.item()?;
    let view = console.item(asked, item).await?;
    let claim = console.server.reviews.claim(&asked.caller()?, item).await?;
    console.record(asked, Did::to("claimed", &view)).await?;
    see_other(&console.address(asked, claim.item, claim.is_appeal).await?)
}

/// What was sent ahead is on the screen.
pub(super) async fn shown(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let (item, lease) = (asked.item()?, asked.form.id("lease")?);
    let view = console.item(asked, item).await?;
    console.server.reviews.shown(&asked.caller()?, item, lease).await?;
    console.record(asked, Did::to("saw", &view)).await?;
    Ok(nothing())
}

pub(super) async fn skip(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let (caller, item, lease) = held(asked)?;
    console.server.reviews.skip(&caller, item, lease).await?;
    done(console, asked, "skipped", None).await
}

pub(super) async fn hold(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let (caller, item, lease) = held(asked)?;
    console.server.reviews.hold(&caller, item, lease, comment(&asked.form)?.as_deref()).await?;
    done(console, asked, "held", None).await
}

pub(super) async fn escalate(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let (caller, item, lease) = held(asked)?;
    console.server.reviews.escalate(&caller, item, lease, comment(&asked.form)?.as_deref()).await?;
    done(console, asked, "escalated", None).await
}

pub(super) async fn assign(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let (caller, item, lease) = held(asked)?;
    let view = console.item(asked, item).await?;
    let chosen = asked.form.get("assignee").ok_or_else(|| Refusal::invalid("choose first whom to assign it to"))?;
    let people = console.server.gate.people(Role::Lead, &view.tenant).await?;
    let lead = people.into_iter().find(|who| who.pseudonym == chosen).map(|who| (who, Role::Lead));
    let who = match lead {
        Some(lead) => Some(lead),
        None => {
            let people = console.server.gate.people(Role::Reviewer, &view.tenant).await?;
            people.into_iter().find(|who| who.pseudonym == chosen).map(|who| (who, Role::Reviewer))
        }
    };
    let (who, role) =
        who.ok_or_else(|| Refusal::invalid("whom you chose may not review here any more: choose another"))?;
    let to = Person { name: who.person, role };
    console.server.reviews.assign(&caller, item, lease, &to, comment(&asked.form)?.as_deref()).await?;
    done(console, asked, "assigned", Some(json!({"to": who.pseudonym}))).await
}

pub(super) async fn close(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let (caller, item, lease) = held(asked)?;
    let why = asked.form.get("why").ok_or_else(|| Refusal::bad_request("the field `why` is missing"))?;
    console.server.reviews.close(&caller, item, lease, why).await?;
    done(console, asked, "closed", Some(json!({"why": why}))).await
}

pub(super) async fn rejudge(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let (caller, item, lease) = held(asked)?;
    console.server.reviews.rejudge(&caller, item, lease).await?;
    done(console, asked, "rejudged", None).await
}

fn held(asked: &Asked) -> Result<(Caller, ItemId, uuid::Uuid), Refusal> {
    Ok((asked.caller()?, asked.item()?, asked.form.id("lease")?))
}

/// Writes it down, and goes on.
async fn done(
    console: &Console,
    asked: &Asked,
    what: &'static str,
    detail: Option<Value>,
) -> Result<Response, Refusal> {
    let view = console.item(asked, asked.item()?).await?;
    console.record(asked, Did { detail, ..Did::to(what, &view) }).await?;
    if asked.is_script() { outward::json(&Done {}) } else { see_other(&console.next_address(asked).await?) }
}
