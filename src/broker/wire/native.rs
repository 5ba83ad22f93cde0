//! A request in Assay's own form, bare or as the `data` of a CloudEvent.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fields::Fields;
use super::{WireError, tenant_of};
use crate::moderation::request::bare_etag;
use crate::moderation::{Context, ImageRef, Purpose, Request, SubmissionKey};

pub(super) fn read(
    fields: &Fields<'_>,
    tenants: &BTreeMap<String, String>,
    context: Context,
) -> Result<Request, WireError> {
    let submission_id = fields.text("submission_id")?.to_string();
    let image = read_image(&fields.object("image")?)?;
    let tenant = match fields.text_if_given("tenant")? {
        Some(tenant) => tenant.to_string(),
        None => tenant_of(&image.bucket, tenants),
    };
    let request = Request {
        key: SubmissionKey { tenant, submission_id, generation: fields.count_if_given("generation")?.unwrap_or(0) },
        image,
        deadline: read_time(fields, "deadline")?,
        purpose: read_purpose(fields)?,
        metadata: fields.map_if_given("metadata")?.cloned().unwrap_or_default(),
        context,
    };
    request.validate().map_err(|error| WireError::at(fields.path(), &error))?;
    Ok(request)
}

/// Structured mode of CloudEvents 1.0. What AMQP's own properties say wins over the event's attributes.
pub(super) fn read_cloud_event(
    fields: &Fields<'_>,
    tenants: &BTreeMap<String, String>,
    mut context: Context,
) -> Result<Request, WireError> {
    let version = fields.text("specversion")?;
    if version != "1.0" {
        return Err(fields.error("specversion", format!("must be \"1.0\", not {version:?}")));
    }
    if fields.has("data_base64") && !fields.has("data") {
        return Err(fields.error("data_base64", "is not read; send the request as JSON in `data`"));
    }
    let data = fields.object("data")?;
    if context.enqueued_at.is_none() {
        context.enqueued_at = read_time(fields, "time")?;
    }
    if context.trace.traceparent.is_none() {
        context.trace.traceparent = fields.text_if_given("traceparent")?.map(str::to_string);
        context.trace.tracestate = fields.text_if_given("tracestate")?.map(str::to_string);
    }
    read(&data, tenants, context)
}

fn read_image(fields: &Fields<'_>) -> Result<ImageRef, WireError> {
    let optional = |field| Ok::<_, WireError>(fields.text_if_given(field)?.map(str::to_string));
    Ok(ImageRef {
        bucket: fields.text("bucket")?.to_string(),
        key: fields.text("key")?.to_string(),
        version_id: optional("version_id")?,
        etag: fields.text_if_given("etag")?.map(|etag| bare_etag(etag).to_string()),
        sha256: fields.text_if_given("sha256")?.map(str::to_ascii_lowercase),
    })
}

pub(super) fn read_time(fields: &Fields<'_>, field: &str) -> Result<Option<OffsetDateTime>, WireError> {
    let Some(text) = fields.text_if_given(field)? else { return Ok(None) };
    let time = OffsetDateTime::parse(text, &Rfc3339);
    time.map(Some)
        .map_err(|_| fields.error(field, format!("must be a time as in RFC 3339 (2026-01-31T12:00:00Z), not {text:?}")))
}

fn read_purpose(fields: &Fields<'_>) -> Result<Purpose, WireError> {
    match fields.text_if_given("purpose")? {
        None => Ok(Purpose::default()),
        Some("live") => Ok(Purpose::Live),
        Some("backfill") => Ok(Purpose::Backfill),
        Some("reverdict") => Ok(Purpose::Reverdict),
        Some(other) => {
            Err(fields.error("purpose", format!("must be \"live\", \"backfill\" or \"reverdict\", not {other:?}")))
        }
    }
}

/// The document that [`read`] reads as the same request.
pub(super) fn write(request: &Request) -> Vec<u8> {
    let mut document = Map::new();
    document.insert("submission_id".into(), request.key.submission_id.clone().into());
    document.insert("tenant".into(), request.key.tenant.clone().into());
    document.insert("generation".into(), request.key.generation.into());
    document.insert("purpose".into(), request.purpose.as_str().into());
    let image = &request.image;
    let mut reference =
        Map::from_iter([("bucket".to_string(), json!(image.bucket)), ("key".to_string(), json!(image.key))]);
    let optional = [("version_id", &image.version_id), ("etag", &image.etag), ("sha256", &image.sha256)];
    for (field, value) in optional {
        if let Some(value) = value {
            reference.insert(field.into(), json!(value));
        }
    }
    document.insert("image".into(), Value::Object(reference));
    if let Some(deadline) = request.deadline.and_then(|deadline| deadline.format(&Rfc3339).ok()) {
        document.insert("deadline".into(), deadline.into());
    }
    if !request.metadata.is_empty() {
        document.insert("metadata".into(), Value::Object(request.metadata.clone()));
    }
    Value::Object(document).to_string().into_bytes()
}
