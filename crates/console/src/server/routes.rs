//! What can be asked, and by whom: one line for each. What has no line here does not exist.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::Method;
use axum::response::Response;

use review::Action;

use super::asked::Asked;
use super::refusal::Refusal;
use super::state::Console;
use super::{account, acts, appeals, audit, filing, history, images, items, numbers, queue, search, sign_in, votes};

pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// A way to ask for something.
#[derive(Clone)]
pub struct Line {
    pub method: Method,
    /// With `{name}` for the parts that vary.
    pub path: &'static str,
    pub needs: Needs,
    pub(super) answer: fn(Arc<Console>, Asked) -> Answer,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Anybody,
    /// Whoever is signed in, though they have no role.
    SignedIn,
    /// Whoever may do this for some tenant; for which one is decided where the tenant is known.
    May(Action),
}

macro_rules! line {
    ($method:ident $path:literal, $needs:expr, $answer:path) => {
        Line {
            method: Method::$method,
            path: $path,
            needs: $needs,
            answer: |console, asked| Box::pin(async move { Box::pin($answer(&console, &asked)).await }),
        }
    };
}

/// All of them.
pub fn lines() -> Vec<Line> {
    use Needs::{Anybody, May, SignedIn};
    let see = May(Action::SeeItem);
    let claim = May(Action::Claim);
    let vote = May(Action::Vote);
    vec![
        line!(GET "/", May(Action::SeeQueue), queue::show),
        line!(POST "/review/next", claim, queue::next),
        line!(POST "/review/ahead", claim, queue::ahead),
        line!(POST "/review/leases", claim, queue::renew),
        line!(POST "/review/release", claim, queue::release),
        line!(GET "/items/{id}", see, items::show),
        line!(GET "/outcomes/{id}", see, items::show_outcome),
        line!(POST "/outcomes/{id}/appeal", May(Action::FileAppeal), filing::appeal),
        line!(POST "/outcomes/{id}/golden", May(Action::MakeGolden), filing::golden),
        line!(POST "/items/{id}/claim", claim, acts::claim),
        line!(POST "/items/{id}/shown", claim, acts::shown),
        line!(POST "/items/{id}/vote", vote, votes::vote),
        line!(POST "/votes/{id}/undo", vote, votes::undo),
        line!(POST "/items/{id}/skip", May(Action::Skip), acts::skip),
        line!(POST "/items/{id}/hold", May(Action::Hold), acts::hold),
        line!(POST "/items/{id}/escalate", May(Action::Escalate), acts::escalate),
        line!(POST "/items/{id}/assign", May(Action::Assign), acts::assign),
        line!(POST "/items/{id}/close", vote, acts::close),
        line!(POST "/items/{id}/rejudge", May(Action::Assign), acts::rejudge),
        line!(GET "/pictures/{id}/fit", see, images::fit),
        line!(GET "/pictures/{id}/actual", see, images::actual),
        line!(GET "/pictures/{id}/crops/{number}", see, images::crop),
        line!(GET "/pictures/{id}/evidence/fit", claim, images::evidence_fit),
        line!(GET "/pictures/{id}/evidence/actual", claim, images::evidence_actual),
        line!(GET "/appeals", claim, appeals::list),
        line!(GET "/appeals/{id}", claim, appeals::show),
        line!(POST "/appeals/{id}/decide", vote, appeals::decide),
        line!(GET "/search", May(Action::Search), search::show),
        line!(GET "/history", see, history::show),
        line!(GET "/numbers", May(Action::SeeNumbers), numbers::show),
        line!(GET "/audit", May(Action::ExportAuditLog), audit::show),
        line!(GET "/audit.jsonl", May(Action::ExportAuditLog), audit::export),
        line!(GET "/tokens", May(Action::SeeQueue), account::tokens),
        line!(POST "/tokens", May(Action::SeeQueue), account::make_token),
        line!(POST "/tokens/{id}/revoke", May(Action::SeeQueue), account::revoke_token),
        line!(GET "/help", SignedIn, account::help),
        line!(POST "/preferences", SignedIn, account::set_preferences),
        line!(POST "/logout", SignedIn, sign_in::sign_out),
        line!(GET "/login", Anybody, sign_in::show),
        line!(GET "/login/oidc", Anybody, sign_in::begin),
        line!(GET "/login/callback", Anybody, sign_in::finish),
        line!(GET "/static/{name}", Anybody, images::of_pages),
    ]
}
