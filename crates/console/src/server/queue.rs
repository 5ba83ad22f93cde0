//! The start page, the next image, and the claims of a page.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use super::asked::Asked;
use super::audit::Did;
use super::contexts::{Form, QueuePage};
use super::outward::{json, nothing, see_other};
use super::refusal::Refusal;
use super::state::Console;
use crate::pages::Page;

#[derive(Serialize)]
struct Lost {
    lost: Vec<Uuid>,
}

pub(super) async fn show(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let state = console.server.reviews.queue(&asked.caller()?).await?;
    console.page(asked, Page::Queue, QueuePage::from(state)).await
}

pub(super) async fn next(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    see_other(&console.next_address(asked).await?)
}

/// One more, for a page that shows another one still.
pub(super) async fn ahead(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let reviews = &console.server.reviews;
    let Some(claim) = reviews.next(&asked.caller()?, true).await? else { return Ok(nothing()) };
    let view = console.item(asked, claim.item).await?;
    console.record(asked, Did::to("sent", &view)).await?;
    match view.appeal {
        Some(appeal) => Box::pin(console.appeal_page(asked, appeal, &view, StatusCode::OK, Form::default())).await,
        None => Box::pin(console.item_page(asked, &view, StatusCode::OK, Form::default())).await,
    }
}

pub(super) async fn renew(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let leases = asked.form.ids("lease")?;
    let lost = console.server.reviews.renew(&asked.caller()?, &leases).await?;
    json(&Lost { lost })
}

pub(super) async fn release(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let leases = asked.form.ids("lease")?;
    console.server.reviews.release(&asked.caller()?, &leases).await?;
    Ok(nothing())
}
