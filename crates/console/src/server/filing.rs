//! What is begun from the history of a submission: an appeal on behalf of whoever uploaded it, and an item whose answer is known.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use domain::{ImageRef, LabelledOrigin, OutcomeId, Verdict};
use review::{AppealRefused, NewAppeal, Via};

use super::asked::Asked;
use super::audit::Did;
use super::contexts::Form;
use super::history::history_page;
use super::links;
use super::outward::see_other;
use super::refusal::Refusal;
use super::state::Console;

/// Of an object's key, bytes: as the page has it.
const MOST_KEY: usize = 1024;

pub(super) async fn appeal(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let verdict = verdict(console, asked).await?;
    let evidence = match evidence(console, asked, &verdict) {
        Ok(evidence) => evidence,
        Err(problem) => return Box::pin(again(console, asked, &verdict, problem)).await,
    };
    let caller = asked.caller()?;
    let new = NewAppeal {
        outcome: verdict.verdict_id,
        tenant: Some(verdict.tenant.clone()),
        text: asked.form.get("text").unwrap_or_default().to_string(),
        evidence,
        via: Via::Console,
        filed_by: Some(caller.pseudonym.clone()),
    };
    match console.server.reviews.file_appeal_by(&caller, &new).await {
        Ok(filed) => {
            let detail = json!({"appeal": filed.appeal, "outcome": verdict.verdict_id});
            console.record(asked, of("filed", &verdict, detail)).await?;
            see_other(&links::appeal(filed.appeal))
        }
        Err(AppealRefused::Database(error)) => Err(error.into()),
        Err(AppealRefused::Unknown(_)) => Err(Refusal::not_found()),
        Err(AppealRefused::Denied(denied)) => Err(Refusal::forbidden(denied.to_string())),
        Err(refused) => Box::pin(again(console, asked, &verdict, refused.to_string())).await,
    }
}

pub(super) async fn golden(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let verdict = verdict(console, asked).await?;
    let origin = match asked.form.get("origin") {
        Some("real") => LabelledOrigin::Real,
        Some("synthetic") => LabelledOrigin::Synthetic,
        _ => {
            let problem = "say what it is known to be: real or synthetic".to_string();
            return Box::pin(again(console, asked, &verdict, problem)).await;
        }
    };
    let made = console.server.reviews.golden(&asked.caller()?, verdict.verdict_id, origin).await;
    if let Err(review::Refused::NotInForce) = made {
        let problem = "it is an item with another known answer already, or the verdict is gone".to_string();
        return Box::pin(again(console, asked, &verdict, problem)).await;
    }
    let item = made?;
    let detail = json!({"outcome": verdict.verdict_id, "item": item, "origin": origin});
    console.record(asked, of("made_golden", &verdict, detail)).await?;
    see_other(&links::history(&verdict.tenant, &verdict.submission_id))
}

/// Of one of this person's tenants.
async fn verdict(console: &Console, asked: &Asked) -> Result<Verdict, Refusal> {
    let found = console.server.reviews.verdict(&asked.caller()?, OutcomeId(asked.id()?)).await?;
    found.ok_or_else(Refusal::not_found)
}

/// In the bucket of the image that was judged, where the tenant's objects may be read.
fn evidence(console: &Console, asked: &Asked, verdict: &Verdict) -> Result<Option<ImageRef>, String> {
    let Some(key) = asked.form.get("evidence") else { return Ok(None) };
    if key.len() > MOST_KEY {
        return Err(format!("the key of the evidence has {} bytes: S3 has none of more than {MOST_KEY}", key.len()));
    }
    let bucket = &verdict.image.bucket;
    console.server.pictures.admits(&verdict.tenant, bucket, key)?;
    Ok(Some(ImageRef { bucket: bucket.clone(), key: key.into(), ..ImageRef::default() }))
}

fn of(what: &'static str, verdict: &Verdict, detail: serde_json::Value) -> Did {
    Did {
        what,
        tenant: Some(verdict.tenant.clone()),
        submission: Some(verdict.submission_id.clone()),
        detail: Some(detail),
        ..Did::default()
    }
}

/// The history with what was filled in, and what is wrong with it.
async fn again(console: &Console, asked: &Asked, verdict: &Verdict, problem: String) -> Result<Response, Refusal> {
    let problem = Refusal::invalid(problem);
    if asked.is_script() {
        return Err(problem);
    }
    let form = Form {
        errors: vec![problem.words_of_it().into()],
        text: asked.form.owned("text"),
        evidence: asked.form.owned("evidence"),
        ..Form::default()
    };
    let of = (verdict.tenant.as_str(), verdict.submission_id.as_str());
    Box::pin(history_page(console, asked, of, (StatusCode::UNPROCESSABLE_ENTITY, form))).await
}
