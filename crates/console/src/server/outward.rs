//! Answers: pages, JSON for the script, and ways to go on.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use access::Access;
use review::Role;

use super::asked::Asked;
use super::contexts::{Can, Common, Pending, Prefs, User, Whole};
use super::refusal::Refusal;
use super::state::Console;
use crate::pages::Page;

impl Console {
    /// A page for somebody who is known, with their vote that can still be undone.
    pub(super) async fn page(&self, asked: &Asked, page: Page, own: impl Serialize) -> Result<Response, Refusal> {
        self.page_of(asked, StatusCode::OK, page, own).await
    }

    pub(super) async fn page_of(
        &self,
        asked: &Asked,
        status: StatusCode,
        page: Page,
        own: impl Serialize,
    ) -> Result<Response, Refusal> {
        let pending = self.server.reviews.pending(&asked.caller()?).await?;
        let pending = pending.map(|vote| Pending {
            vote: vote.vote,
            answer: vote.answer,
            submission_id: vote.submission_id,
            ms_left: vote.ms_left,
        });
        let common = Common { pending, ..self.common(Some(asked.access()?), page) };
        self.rendered(status, page, &common, own)
    }

    /// A page for whoever it is.
    pub(super) fn page_for_anybody(&self, page: Page, own: impl Serialize) -> Result<Response, Refusal> {
        self.rendered(StatusCode::OK, page, &self.common(None, page), own)
    }

    /// A refusal, as whoever is asking reads it. It needs no database.
    pub(super) fn refused(&self, refusal: &Refusal, who: Option<&Access>, is_script: bool, request: &str) -> Response {
        if let Some(cause) = refusal.cause() {
            tracing::error!(request, status = refusal.status.as_u16(), cause, "a request could not be answered");
        }
        let told = refusal.told(request);
        let made = if is_script {
            json_of(refusal.status, &told)
        } else {
            self.rendered(refusal.status, Page::Error, &self.common(who, Page::Error), &told)
        };
        made.unwrap_or_else(|refusal| {
            tracing::error!(request, cause = refusal.cause(), "the page for an error can't be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        })
    }

    fn rendered(
        &self,
        status: StatusCode,
        page: Page,
        common: &Common,
        own: impl Serialize,
    ) -> Result<Response, Refusal> {
        let html = self.pages.render(page, Whole { common, own }).map_err(Refusal::fault)?;
        Ok((status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
    }

    fn common(&self, who: Option<&Access>, page: Page) -> Common {
        let Some(access) = who else { return Common::default() };
        let role = access.role();
        let has = |needed: Role| role.is_some_and(|role| role >= needed);
        Common {
            user: Some(User { name: access.name.clone(), role: role.map_or("none", Role::as_str) }),
            can: Some(Can {
                review: has(Role::Reviewer),
                appeals: has(Role::Reviewer),
                audit: has(review::Action::ExportAuditLog.needs()),
                tokens: has(Role::Viewer),
                reviewers: has(review::Action::SeeReviewers.needs()),
            }),
            page: in_navigation(page),
            prefs: Some(self.prefs(access)),
            trial: self.is_trial(),
            notice: None,
            pending: None,
        }
    }

    fn prefs(&self, access: &Access) -> Prefs {
        let settings = &self.server.settings;
        let wanted = |name: &str, otherwise: bool| {
            access.prefs.get(name).and_then(serde_json::Value::as_bool).unwrap_or(otherwise)
        };
        Prefs {
            blur: settings.blur.fixed().unwrap_or_else(|| wanted("blur", false)),
            grey: settings.grey.fixed().unwrap_or_else(|| wanted("grey", false)),
            keys: wanted("keys", true),
            blur_fixed: settings.blur.fixed().is_some(),
            grey_fixed: settings.grey.fixed().is_some(),
        }
    }
}

fn in_navigation(page: Page) -> Option<&'static str> {
    match page {
        Page::Queue | Page::Item | Page::Gone => Some("queue"),
        Page::Appeals | Page::Appeal => Some("appeals"),
        Page::Search | Page::History => Some("search"),
        Page::Numbers => Some("numbers"),
        Page::Audit => Some("audit"),
        Page::Tokens => Some("tokens"),
        Page::Help => Some("help"),
        Page::Login | Page::Error => None,
    }
}

/// For the script.
pub(super) fn json(value: &impl Serialize) -> Result<Response, Refusal> {
    json_of(StatusCode::OK, value)
}

fn json_of(status: StatusCode, value: &impl Serialize) -> Result<Response, Refusal> {
    let text = serde_json::to_string(value).map_err(Refusal::fault)?;
    Ok((status, [(CONTENT_TYPE, "application/json")], text).into_response())
}

/// There: by GET.
pub(super) fn see_other(address: &str) -> Result<Response, Refusal> {
    let address = HeaderValue::from_str(address).map_err(Refusal::fault)?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, address)]).into_response())
}

/// The same, with a cookie.
pub(super) fn see_other_with(address: &str, cookie: &str) -> Result<Response, Refusal> {
    let cookie = HeaderValue::from_str(cookie).map_err(Refusal::fault)?;
    let mut response = see_other(address)?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

pub(super) fn nothing() -> Response {
    Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty()).unwrap_or_default()
}
