//! What follows from a resolution: one label, and messages that are sent later.

use serde_json::json;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::outbox;
use super::row::{Row, generation};
use crate::resolution::{Resolution, Unresolved};
use crate::views::{Counted, ItemKind, OutboxKind};
use crate::vote::Vote;
use database::{query, query_scalar};
use domain::{AppealDecided, LabelledOrigin, ReviewDecision};
use labels::{Label, Source as LabelSource};

/// Longest reason of a label, in characters.
const MOST_REASON: usize = 500;

/// Whether what was known of the submission was erased, or is being so.
pub(super) async fn is_erased(connection: &mut PgConnection, row: &Row) -> Result<bool, sqlx::Error> {
    let asked = "SELECT EXISTS (SELECT FROM erased, erasure_salt
        WHERE mark = sha256(salt || convert_to($1, 'UTF8') || '\\x00'::bytea || convert_to($2, 'UTF8')))";
    query_scalar(asked).bind(&row.tenant).bind(&row.submission_id).fetch_one(connection).await
}

/// Writes the label, and what is to be sent.
pub(super) async fn settle(
    connection: &mut PgConnection,
    row: &Row,
    resolution: &Resolution,
    votes: &[Vote],
) -> Result<Counted, sqlx::Error> {
    let mut done = Counted::default();
    if row.kind == ItemKind::Golden {
        return Ok(done);
    }
    labels::postgres::add(&mut *connection, &label(row, resolution, votes)).await?;
    done.labels = 1;
    if row.kind == ItemKind::Appeal {
        let result = if resolution.overturns { "overturned" } else { "upheld" };
        decide(connection, row, result, &resolution.by, votes).await?;
        done.messages += 1;
    }
    if resolution.overturns {
        outbox::put(connection, row, OutboxKind::Decision, &json!(decision(row, resolution))).await?;
        done.messages += 1;
    }
    Ok(done)
}

/// Nobody could tell: there is no label, and an appeal changes nothing.
pub(super) async fn unresolved(
    connection: &mut PgConnection,
    row: &Row,
    found: &Unresolved,
    votes: &[Vote],
) -> Result<Counted, sqlx::Error> {
    if row.kind != ItemKind::Appeal {
        return Ok(Counted::default());
    }
    decide(connection, row, "upheld", &found.by, votes).await?;
    Ok(Counted { messages: 1, ..Counted::default() })
}

fn label(row: &Row, resolution: &Resolution, votes: &[Vote]) -> Label {
    let grounds: Vec<String> = resolution.grounds.iter().map(|ground| ground.as_str().to_string()).collect();
    let drawn_as = if row.item.audit.is_some() { "audit" } else { row.item.source.as_str() };
    let comments: Vec<&str> = deciding(&resolution.by, votes).filter_map(|vote| vote.comment.as_deref()).collect();
    let reason = match comments.join("; ") {
        none if none.is_empty() => grounds.join(", "),
        said => format!("{}: {said}", grounds.join(", ")),
    };
    Label {
        sha256: row.image_sha256.clone(),
        location: row.location.clone(),
        origin: resolution.answer,
        content_type: None,
        generator: resolution.generator.clone().filter(|_| resolution.answer == LabelledOrigin::Synthetic),
        source: LabelSource::Correction,
        actor: resolution.by.join(", "),
        reason: Some(reason.chars().take(MOST_REASON).collect::<String>()).filter(|reason| !reason.is_empty()),
        verdict_id: Some(row.item.outcome),
        drawn_as: Some(drawn_as.into()),
        grounds,
        trains: resolution.trains,
    }
}

/// What a worker records as the next generation.
fn decision(row: &Row, resolution: &Resolution) -> ReviewDecision {
    ReviewDecision {
        schema: ReviewDecision::SCHEMA.into(),
        decision_id: row.id.message(OutboxKind::Decision.as_str()),
        tenant: row.tenant.clone(),
        submission_id: row.submission_id.clone(),
        outcome_id: row.item.outcome,
        generation: generation(row.generation),
        decision: resolution.answer,
        generator: resolution.generator.clone(),
        grounds: resolution.grounds.clone(),
        reviewers: resolution.by.clone(),
        decided_at: row.now,
    }
}

/// Ends the appeal, and writes its event.
async fn decide(
    connection: &mut PgConnection,
    row: &Row,
    result: &str,
    by: &[String],
    votes: &[Vote],
) -> Result<(), sqlx::Error> {
    let deciding: Vec<&Vote> = deciding(by, votes).collect();
    let grounds: Vec<&str> = deciding.iter().filter_map(|vote| vote.ground).map(|ground| ground.as_str()).collect();
    let reasons: Vec<&str> = deciding.iter().filter_map(|vote| vote.comment.as_deref()).collect();
    let (ground, reason) = (grounds.last().copied(), reasons.join("\n"));
    let document = json!({
        "schema": AppealDecided::SCHEMA,
        "appeal_id": row.appeal,
        "tenant": row.tenant,
        "submission_id": row.submission_id,
        "outcome_id": row.item.outcome,
        "result": result,
        "grounds": each_once(&grounds),
        "reason": reason,
        "decided_at": moment(row.now),
        "decided_by": by,
    });
    let update = "UPDATE appeals SET decided_at = $2, result = $3, ground = $4, reason = $5, decided_by = $6::json
        WHERE appeal_id = $1 AND decided_at IS NULL";
    let update = query(update).bind(row.appeal).bind(row.now).bind(result).bind(ground).bind(&reason);
    update.bind(json!(by).to_string()).execute(&mut *connection).await?;
    outbox::put(connection, row, OutboxKind::Appeal, &document).await
}

/// The votes that gave the answer.
fn deciding<'a>(by: &'a [String], votes: &'a [Vote]) -> impl Iterator<Item = &'a Vote> {
    votes.iter().filter(|vote| by.contains(&vote.reviewer))
}

fn each_once<'a>(grounds: &[&'a str]) -> Vec<&'a str> {
    let mut once: Vec<&str> = Vec::new();
    for ground in grounds {
        if !once.contains(ground) {
            once.push(ground);
        }
    }
    once
}

/// As documents have it.
fn moment(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).expect("the database's times have a year of four digits")
}
