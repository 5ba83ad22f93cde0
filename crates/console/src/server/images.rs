//! Pictures of items, and the files that pages refer to.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use domain::{OutcomeId, Verdict};
use pictures::{Kind, Picture, Trouble};
use review::ItemId;

use super::asked::Asked;
use super::looking::words;
use super::refusal::Refusal;
use super::state::Console;
use crate::statics::statics;

pub(super) async fn fit(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    judged(console, asked, Kind::Fit).await
}

pub(super) async fn actual(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    judged(console, asked, Kind::Actual).await
}

pub(super) async fn crop(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let number = asked.path.get("number").and_then(|number| number.parse().ok());
    judged(console, asked, Kind::Crop(number.ok_or_else(Refusal::not_found)?)).await
}

pub(super) async fn evidence_fit(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    evidence(console, asked, Kind::Fit).await
}

pub(super) async fn evidence_actual(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    evidence(console, asked, Kind::Actual).await
}

async fn judged(console: &Console, asked: &Asked, kind: Kind) -> Result<Response, Refusal> {
    let verdict = verdict(console, asked).await?;
    sent(asked, console.server.pictures.picture(&verdict.tenant, &verdict.image, kind).await)
}

async fn evidence(console: &Console, asked: &Asked, kind: Kind) -> Result<Response, Refusal> {
    let appeal = console.appeal(asked, asked.id()?).await?;
    let image = appeal.evidence.ok_or_else(Refusal::not_found)?;
    sent(asked, console.server.pictures.evidence(&appeal.tenant, &image, kind).await)
}

/// Of an item or an outcome of this person's tenants.
async fn verdict(console: &Console, asked: &Asked) -> Result<Verdict, Refusal> {
    let (caller, id) = (asked.caller()?, asked.id()?);
    let reviews = &console.server.reviews;
    let outcome = match reviews.item(&caller, ItemId(id)).await? {
        Some(view) => view.outcome,
        None => OutcomeId(id),
    };
    reviews.verdict(&caller, outcome).await?.ok_or_else(Refusal::not_found)
}

fn sent(asked: &Asked, made: Result<Picture, Trouble>) -> Result<Response, Refusal> {
    let refusal = match made {
        Ok(picture) => return Ok(([(CONTENT_TYPE, picture.content_type)], picture.bytes).into_response()),
        Err(trouble) => {
            tracing::info!(request = asked.request, %trouble, "no picture");
            let status = match &trouble {
                Trouble::Changed { .. } => StatusCode::CONFLICT,
                Trouble::Unreachable(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::NOT_FOUND,
            };
            Refusal::of(status).what(words(&trouble))
        }
    };
    Err(refusal)
}

/// A file of the pages: kept by browsers, and asked for anew each time.
pub(super) async fn of_pages(_: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let name = asked.path.get("name").map(String::as_str).unwrap_or_default();
    let file = statics().into_iter().find(|file| file.name == name).ok_or_else(Refusal::not_found)?;
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(file.text)[..16]));
    let known = asked.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == etag));
    let etag = HeaderValue::from_str(&etag).map_err(Refusal::fault)?;
    let headers = [
        (ETAG, etag),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_TYPE, HeaderValue::from_static(file.content_type)),
    ];
    Ok(if is_known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, file.text).into_response()
    })
}
