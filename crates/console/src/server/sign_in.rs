//! Coming and going.

use axum::response::Response;

use super::asked::Asked;
use super::contexts::LoginPage;
use super::links;
use super::outward::{see_other, see_other_with};
use super::refusal::Refusal;
use super::state::Console;
use crate::pages::Page;

pub(super) async fn show(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    console.login_page(asked.query.get("next"), None)
}

/// To the issuer.
pub(super) async fn begin(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let next = links::within(asked.query.get("next"));
    let (address, cookie) = console.server.gate.begin_sign_in(next).await?;
    see_other_with(address.as_str(), &cookie)
}

/// Back from the issuer.
pub(super) async fn finish(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    match console.server.gate.finish_sign_in(&asked.raw_query, &asked.headers).await {
        Ok((_, cookie, next)) => see_other_with(links::within(Some(&next)), &cookie),
        Err(error) if error.status().is_server_error() => Err(error.into()),
        Err(error) => console.login_page(None, Some(error.to_string())),
    }
}

pub(super) async fn sign_out(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    if console.is_trial() {
        return see_other("/");
    }
    let cookie = console.server.gate.sign_out(asked.access()?).await?;
    see_other_with("/login", &cookie)
}

impl Console {
    fn login_page(&self, next: Option<&str>, problem: Option<String>) -> Result<Response, Refusal> {
        let gate = &self.server.gate;
        let address = || links::with_query("/login/oidc", &[("next", Some(links::within(next)))]);
        let context = LoginPage {
            sign_in_href: gate.sign_in_is_possible().then(address),
            issuer_name: gate.issuer_name().map(Into::into),
            problem,
        };
        self.page_for_anybody(Page::Login, context)
    }
}
