//! A verdict's document in two parts: what columns hold, and the remainder. Pure but for reading a row.

use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use domain::{OutcomeId, Verdict};

/// The members that columns hold, by where they stand in the document. `schema` is the same in all.
const IN_COLUMNS: [(&str, &[&str]); 4] = [
    ("", &["schema", "verdict_id", "submission_id", "tenant", "decision", "purpose", "generation", "reused_from"]),
    ("image", &["bucket", "key", "sha256"]),
    ("score", &["synthetic", "logit"]),
    ("model", &["version", "sha256"]),
];

/// The columns that [`verdict`] reads.
pub const COLUMNS: &str = "verdict_id, submission_id, tenant, generation, decision, purpose, reused_from, bucket, \
    object_key, encode(image_sha256, 'hex') AS image_sha256, synthetic, logit, model_version, \
    encode(model_sha256, 'hex') AS model_sha256, remainder::text AS remainder";

/// What no column holds. Numbers keep the digits that the whole document gives them.
pub(super) fn remainder(verdict: &Verdict) -> Result<String, serde_json::Error> {
    let mut document: Map<String, Value> = serde_json::from_str(&serde_json::to_string(verdict)?)?;
    for (place, names) in IN_COLUMNS {
        if let Some(members) = members(&mut document, place) {
            members.retain(|name, _| !names.contains(&name.as_str()));
        }
    }
    serde_json::to_string(&document)
}

/// The verdict of a row that has [`COLUMNS`]; `None` where its remainder was removed.
pub fn verdict(row: &PgRow) -> Result<Option<Verdict>, sqlx::Error> {
    let Some(remainder) = row.try_get::<Option<&str>, _>("remainder")? else { return Ok(None) };
    let text = |column: &str| row.try_get::<&str, _>(column).map(Value::from);
    let number = |column: &str| row.try_get::<f32, _>(column).map(Value::from);
    let id = |id: Option<Uuid>| json!(id.map(OutcomeId));
    let columns = [
        ("", "schema", Value::from(Verdict::SCHEMA)),
        ("", "verdict_id", id(row.try_get("verdict_id")?)),
        ("", "submission_id", text("submission_id")?),
        ("", "tenant", text("tenant")?),
        ("", "generation", Value::from(row.try_get::<i64, _>("generation")?)),
        ("", "decision", text("decision")?),
        ("", "purpose", text("purpose")?),
        ("", "reused_from", id(row.try_get("reused_from")?)),
        ("image", "bucket", text("bucket")?),
        ("image", "key", text("object_key")?),
        ("image", "sha256", text("image_sha256")?),
        ("score", "synthetic", number("synthetic")?),
        ("score", "logit", number("logit")?),
        ("model", "version", text("model_version")?),
        ("model", "sha256", text("model_sha256")?),
    ];
    joined(remainder, columns).map(Some).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn joined<'a>(
    remainder: &str,
    columns: impl IntoIterator<Item = (&'a str, &'a str, Value)>,
) -> Result<Verdict, serde_json::Error> {
    let mut document: Map<String, Value> = serde_json::from_str(remainder)?;
    for (place, name, value) in columns {
        if let Some(members) = members(&mut document, place) {
            members.insert(name.into(), value);
        }
    }
    // By way of text: a number becomes an f32 from its digits, not from an f64 that was rounded before.
    serde_json::from_str(&serde_json::to_string(&document)?)
}

fn members<'a>(document: &'a mut Map<String, Value>, place: &str) -> Option<&'a mut Map<String, Value>> {
    match place {
        "" => Some(document),
        place => document.get_mut(place)?.as_object_mut(),
    }
}
