//! Who did what: written down with each request, shown to those who may see it, and given out whole.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use time::macros::format_description;
use time::{Date, OffsetDateTime};
use tokio::sync::mpsc;
use uuid::Uuid;

use access::audit::From as Place;
use access::{AuditFilter, AuditRow, Entry};
use review::{Action, ItemView, Tenants};

use super::asked::Asked;
use super::contexts::{AuditEntry, AuditFilter as Filter, AuditPage};
use super::links;
use super::refusal::Refusal;
use super::state::Console;
use crate::pages::Page;

const ON_A_PAGE: u16 = 100;
/// Lines that are read ahead of whoever receives an export.
const AHEAD: usize = 64;
/// The words of the log, for the filter.
const KINDS: [&str; 21] = [
    "saw",
    "sent",
    "history",
    "searched",
    "claimed",
    "voted",
    "undid",
    "skipped",
    "held",
    "escalated",
    "assigned",
    "closed",
    "rejudged",
    "filed",
    "made_golden",
    "log",
    "exported",
    "signed_in",
    "signed_out",
    "made_token",
    "revoked_token",
];

/// Something that somebody did.
#[derive(Debug, Default)]
pub(super) struct Did {
    pub(super) what: &'static str,
    pub(super) tenant: Option<String>,
    pub(super) item: Option<Uuid>,
    pub(super) submission: Option<String>,
    pub(super) detail: Option<Value>,
}

impl Did {
    pub(super) fn to(what: &'static str, view: &ItemView) -> Did {
        Did {
            what,
            tenant: Some(view.tenant.clone()),
            item: Some(view.id.0),
            submission: Some(view.submission_id.clone()),
            detail: None,
        }
    }
}

impl Console {
    /// Writes it down; whoever's deed can't be written down is shown nothing.
    pub(super) async fn record(&self, asked: &Asked, did: Did) -> Result<(), Refusal> {
        let entry = Entry {
            what: did.what.into(),
            tenant: did.tenant,
            item_id: did.item,
            submission_id: did.submission,
            detail: did.detail,
        };
        Ok(self.server.gate.record(asked.access()?, &entry).await?)
    }

    /// The log of one submission; `None` for those who may not see it.
    pub(super) async fn trail(
        &self,
        asked: &Asked,
        tenant: &str,
        submission: &str,
    ) -> Result<Option<Vec<AuditEntry>>, Refusal> {
        if !asked.has_role(tenant, Action::ExportAuditLog.needs()) {
            return Ok(None);
        }
        let filter =
            AuditFilter { tenant: Some(tenant.into()), submission: Some(submission.into()), ..AuditFilter::default() };
        let page = self.server.gate.audit_log(asked.access()?, &filter, Place::Newest, ON_A_PAGE).await?;
        Ok(Some(page.entries.into_iter().map(entry).collect()))
    }
}

pub(super) async fn show(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let given = given(asked);
    let access = asked.access()?;
    let tenants = match access.tenants(Action::ExportAuditLog.needs()) {
        Tenants::All => Vec::new(),
        Tenants::These(these) => these.into_iter().collect(),
    };
    let mut context = AuditPage {
        export_href: links::with_query("/audit.jsonl", &fields(&given)),
        kinds: KINDS.to_vec(),
        tenants,
        problem: None,
        entries: Vec::new(),
        newer: None,
        older: None,
        filter: given,
    };
    match filter(&context.filter) {
        Err(problem) => context.problem = Some(problem),
        Ok(filter) => {
            let page = console.server.gate.audit_log(access, &filter, place(asked)?, ON_A_PAGE).await?;
            let href = |place: Option<Place>| place.and_then(|place| turned(&context.filter, place));
            (context.newer, context.older) = (href(page.newer), href(page.older));
            context.entries = page.entries.into_iter().map(entry).collect();
        }
    }
    console.record(asked, Did { what: "log", tenant: context.filter.tenant.clone(), ..Did::default() }).await?;
    console.page(asked, Page::Audit, context).await
}

pub(super) async fn export(console: &Arc<Console>, asked: &Asked) -> Result<Response, Refusal> {
    let given = given(asked);
    let filter = filter(&given).map_err(Refusal::invalid)?;
    let detail = json!({"what": given.what, "who": given.who, "from": given.from, "to": given.to, "submission": given.submission});
    let did = Did { what: "exported", tenant: given.tenant.clone(), detail: Some(detail), ..Did::default() };
    console.record(asked, did).await?;
    // It is read as fast as it is received, so that nothing of it piles up here.
    let (sender, mut receiver) = mpsc::channel::<AuditRow>(AHEAD);
    let access = asked.access()?.clone();
    let (lines, mut ready) = mpsc::channel::<Bytes>(AHEAD);
    let console = Arc::clone(console);
    tokio::spawn(async move {
        if let Err(error) = console.server.gate.export_audit_log(&access, &filter, &sender).await {
            tracing::error!(%error, "an export of the audit log ended early");
        }
    });
    tokio::spawn(async move {
        while let Some(row) = receiver.recv().await {
            let Ok(mut line) = serde_json::to_vec(&row) else { continue };
            line.push(b'\n');
            if lines.send(line.into()).await.is_err() {
                return;
            }
        }
    });
    let body = Body::from_stream(futures_util::stream::poll_fn(move |context| {
        ready.poll_recv(context).map(|line| line.map(Ok::<_, Infallible>))
    }));
    let headers =
        [(CONTENT_TYPE, "application/x-ndjson"), (CONTENT_DISPOSITION, "attachment; filename=\"assay-audit.jsonl\"")];
    Ok((headers, body).into_response())
}

fn given(asked: &Asked) -> Filter {
    let field = |name: &str| asked.query.owned(name);
    Filter {
        who: field("who"),
        what: field("what"),
        tenant: field("tenant"),
        from: field("from"),
        to: field("to"),
        submission: field("submission"),
    }
}

fn fields(given: &Filter) -> [(&'static str, Option<&str>); 6] {
    [
        ("who", given.who.as_deref()),
        ("what", given.what.as_deref()),
        ("tenant", given.tenant.as_deref()),
        ("from", given.from.as_deref()),
        ("to", given.to.as_deref()),
        ("submission", given.submission.as_deref()),
    ]
}

fn filter(given: &Filter) -> Result<AuditFilter, String> {
    let day = |text: &Option<String>| text.as_deref().map(date).transpose();
    let last = day(&given.to)?.map(|day| day.next_day().unwrap_or(day));
    Ok(AuditFilter {
        who: given.who.clone(),
        what: given.what.clone(),
        tenant: given.tenant.clone(),
        from: day(&given.from)?.map(|day| day.midnight().assume_utc()),
        to: last.map(|day| day.midnight().assume_utc()),
        submission: given.submission.clone(),
    })
}

/// As the field of a form gives it.
pub(super) fn date(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| format!("`{text}` is no day: give one such as {}", OffsetDateTime::now_utc().date()))
}

fn place(asked: &Asked) -> Result<Place, Refusal> {
    let number = |name| asked.query.word::<i64>(name);
    Ok(match (number("older_than")?, number("newer_than")?) {
        (Some(id), _) => Place::OlderThan(id),
        (None, Some(id)) => Place::NewerThan(id),
        (None, None) => Place::Newest,
    })
}

/// The same filter at another place.
fn turned(given: &Filter, place: Place) -> Option<String> {
    let (name, id) = match place {
        Place::Newest => return None,
        Place::OlderThan(id) => ("older_than", id.to_string()),
        Place::NewerThan(id) => ("newer_than", id.to_string()),
    };
    let mut all = fields(given).to_vec();
    all.push((name, Some(&id)));
    Some(links::with_query("/audit", &all))
}

fn entry(row: AuditRow) -> AuditEntry {
    let href = match (&row.tenant, &row.submission_id) {
        (Some(tenant), Some(submission)) => Some(links::history(tenant, submission)),
        _ => None,
    };
    AuditEntry {
        at: row.at,
        who: row.who.name,
        what: row.what,
        tenant: row.tenant,
        href,
        about: row.submission_id,
        detail: row.detail.map(|detail| detail.to_string()),
    }
}
