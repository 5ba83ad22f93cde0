//! Personal tokens, preferences, help.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use access::{AccessError, NewToken, Token};
use review::Role;

use super::asked::Asked;
use super::contexts::{Form, MadeToken, TokenRow, TokensPage};
use super::outward::see_other;
use super::refusal::Refusal;
use super::state::Console;
use crate::pages::Page;

#[derive(Serialize)]
struct Nothing {}

pub(super) async fn tokens(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    show(console, asked, StatusCode::OK, None, Form::default()).await
}

/// The answer is the page itself: the secret is nowhere else.
pub(super) async fn make_token(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let made = match new(asked) {
        Ok(new) => console.server.gate.make_token(asked.access()?, &new).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok((token, secret)) => {
            let made = MadeToken { name: token.name, secret, expires_at: token.expires_at };
            show(console, asked, StatusCode::OK, Some(made), Form::default()).await
        }
        Err(error @ AccessError::Invalid { .. }) => {
            let field = |name: &str| asked.form.owned(name);
            let (name, role, days) = (field("name"), field("role"), field("days"));
            let form = Form { errors: vec![error.to_string()], name, role, days, ..Form::default() };
            show(console, asked, StatusCode::UNPROCESSABLE_ENTITY, None, form).await
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn revoke_token(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    console.server.gate.revoke_token(asked.access()?, asked.id()?).await?;
    see_other("/tokens")
}

pub(super) async fn help(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    console.page(asked, Page::Help, Nothing {}).await
}

pub(super) async fn set_preferences(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let access = asked.access()?;
    let mut prefs = access.prefs.clone();
    let settings = &console.server.settings;
    let mut set = |name: &str| prefs.insert(name.into(), Value::Bool(asked.form.is_on(name)));
    set("keys");
    // A browser leaves out what the organisation decides; what the person wanted before stays.
    if settings.blur.fixed().is_none() {
        set("blur");
    }
    if settings.grey.fixed().is_none() {
        set("grey");
    }
    console.server.gate.set_prefs(access, &prefs).await?;
    see_other("/help")
}

fn new(asked: &Asked) -> Result<NewToken, AccessError> {
    let invalid = |field, problem: &str| AccessError::Invalid { field, problem: problem.into() };
    let role = asked.form.get("role").and_then(|role| role.parse().ok());
    let days = asked.form.get("days").and_then(|days| days.parse().ok());
    Ok(NewToken {
        name: asked.form.owned("name").unwrap_or_default(),
        role: role.ok_or_else(|| invalid("role", "choose one of those that are offered"))?,
        days: days.ok_or_else(|| invalid("days", "write a whole number"))?,
    })
}

async fn show(
    console: &Console,
    asked: &Asked,
    status: StatusCode,
    made: Option<MadeToken>,
    form: Form,
) -> Result<Response, Refusal> {
    let access = asked.access()?;
    let tokens = console.server.gate.tokens(access).await?;
    let own = access.role();
    let context = TokensPage {
        tokens: tokens.into_iter().map(|token| row(token, &access.person)).collect(),
        made,
        role_choices: Role::ALL.into_iter().filter(|role| Some(*role) <= own).map(Role::as_str).collect(),
        max_days: console.server.gate.tokens_max_days(),
        form,
    };
    console.page_of(asked, status, Page::Tokens, context).await
}

fn row(token: Token, person: &str) -> TokenRow {
    TokenRow {
        id: token.id,
        // An admin sees those of others.
        name: if token.owner.person == person { token.name } else { format!("{} ({})", token.name, token.owner.name) },
        role: token.role.map_or("none", Role::as_str),
        created_at: token.made_at,
        last_used_at: token.last_used_at,
        expires_at: token.expires_at,
        state: token.state.as_str(),
    }
}
