//! Finding submissions.

use axum::response::Response;
use serde_json::json;

use review::{By, SearchRow};

use super::asked::Asked;
use super::audit::Did;
use super::contexts::{Found, SearchPage};
use super::links;
use super::refusal::Refusal;
use super::state::Console;
use crate::pages::Page;

/// Of what is searched for, characters: as the page has it.
const MOST: usize = 1024;

pub(super) async fn show(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let by: By = asked.query.word("by")?.unwrap_or_default();
    let mut page = SearchPage { by: by.as_str(), q: asked.query.owned("q"), problem: None, results: None, more: false };
    if let Some(q) = page.q.clone() {
        // Written down before anything is found.
        let detail = json!({"by": by.as_str(), "q": q});
        console.record(asked, Did { what: "searched", detail: Some(detail), ..Did::default() }).await?;
        if q.chars().count() > MOST {
            page.problem = Some(format!("That is longer than {MOST} characters: nothing is called so."));
        } else {
            let found = console.server.reviews.search(&asked.caller()?, by, &q).await?;
            page.problem = found.problem;
            page.more = found.more;
            page.results = Some(found.results.into_iter().map(row).collect());
        }
    }
    console.page(asked, Page::Search, page).await
}

fn row(row: SearchRow) -> Found {
    let is_failure = row.failure.is_some();
    Found {
        href: match is_failure {
            true => links::history(&row.tenant, &row.submission_id),
            false => links::outcome(row.outcome.0),
        },
        submission_id: row.submission_id,
        tenant: row.tenant,
        generation: row.generation,
        decision: row.decision,
        failure: row.failure,
        synthetic: row.synthetic,
        at: row.at,
        key: row.key,
        review: row.review,
    }
}
