//! What reviews say of the detector and of reviewers.

use axum::response::Response;
use time::{Date, Duration, OffsetDateTime};

use review::Action;

use super::asked::Asked;
use super::audit::date;
use super::contexts::NumbersPage;
use super::refusal::Refusal;
use super::state::Console;
use crate::pages::Page;

/// Unless somebody asks for another day.
const WEEKS: i64 = 4;

pub(super) async fn show(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let since = match asked.query.get("since") {
        Some(text) => date(text).map_err(Refusal::bad_request)?,
        None => (OffsetDateTime::now_utc() - Duration::weeks(WEEKS)).date(),
    };
    let tenant = asked.query.owned("tenant");
    if let Some(tenant) = &tenant
        && asked.access()?.role_in(tenant).is_none()
    {
        return Err(Refusal::not_found());
    }
    let caller = asked.caller()?;
    let mut numbers = console.server.reviews.numbers(&caller, tenant.as_deref(), midnight(since)).await?;
    if asked.access()?.role().is_none_or(|role| role < Action::SeeReviewers.needs()) {
        (numbers.agreement, numbers.reviewers) = (None, None);
    }
    console.page(asked, Page::Numbers, NumbersPage::of(numbers, tenant, since.to_string())).await
}

fn midnight(day: Date) -> OffsetDateTime {
    day.midnight().assume_utc()
}
