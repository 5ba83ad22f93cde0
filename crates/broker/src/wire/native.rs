//! A request in Assay's own form, bare or as the `data` of a CloudEvent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::{WireError, shown};
use super::fields::Fields;
use super::sent_at::is_plausible;
use domain::request::{MAX_SUBMISSION_ID, bare_etag};
use domain::{Context, ImageRef, Purpose, Request, SubmissionKey, TraceContext};

/// One image to judge. `(tenant, submission_id, generation)` is the idempotency key: each gets exactly one outcome.
/// Fields that are not listed are ignored, and `null` says as much as nothing.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Request")]
pub struct RequestDocument {
    /// Your name for the submission. The same again gets the same outcome again. At most 256 bytes.
    #[schemars(length(min = 1, max = MAX_SUBMISSION_ID))]
    submission_id: String,
    image: ImageRef,
    /// Whose image it is; without one, the tenant to whom `broker.tenants` gives the bucket, or `default`.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    tenant: Option<String>,
    /// 0, or one more than before to ask for a new outcome: an appeal, a new model, another try.
    #[schemars(range(max = i32::MAX))]
    generation: Option<u32>,
    purpose: Option<Purpose>,
    /// When the outcome is of no use any more: a failure `deadline_exceeded` from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    deadline: Option<String>,
    /// Given back with the outcome. At most 4096 bytes of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
}

/// To whom an image belongs that names no tenant.
pub fn tenant_of(bucket: &str, tenants: &BTreeMap<String, String>) -> String {
    tenants.get(bucket).map_or("default", String::as_str).to_string()
}

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

/// Structured mode of CloudEvents 1.0. AMQP's own properties take precedence over the event's attributes. Gives also how many
/// of the attributes were cut or left out.
pub(super) fn read_cloud_event(
    fields: &Fields<'_>,
    tenants: &BTreeMap<String, String>,
    mut context: Context,
) -> Result<(Request, u64), WireError> {
    let version = fields.text("specversion")?;
    if version != "1.0" {
        return Err(fields.error("specversion", format!("must be \"1.0\", not {}", shown(version))));
    }
    if fields.has("data_base64") && !fields.has("data") {
        return Err(fields.error("data_base64", "is not read; send the request as JSON in `data`"));
    }
    let data = fields.object("data")?;
    if context.enqueued_at.is_none() {
        context.enqueued_at = read_time(fields, "time")?.filter(is_plausible);
    }
    let mut dropped = 0;
    if context.trace.traceparent.is_none() {
        let text = |field| Ok::<_, WireError>(fields.text_if_given(field)?.map(str::to_string));
        (context.trace, dropped) = TraceContext::bounded(text("traceparent")?, text("tracestate")?);
    }
    Ok((read(&data, tenants, context)?, dropped))
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
    time.map(Some).map_err(|_| {
        fields.error(field, format!("must be a time as in RFC 3339 (2026-01-31T12:00:00Z), not {}", shown(text)))
    })
}

fn read_purpose(fields: &Fields<'_>) -> Result<Purpose, WireError> {
    match fields.text_if_given("purpose")? {
        None => Ok(Purpose::default()),
        Some("live") => Ok(Purpose::Live),
        Some("backfill") => Ok(Purpose::Backfill),
        Some("reverdict") => Ok(Purpose::Reverdict),
        Some(other) => {
            let found = shown(other);
            Err(fields.error("purpose", format!("must be \"live\", \"backfill\" or \"reverdict\", not {found}")))
        }
    }
}

/// The document that [`read`] reads as the same request.
pub(super) fn write(request: &Request) -> Vec<u8> {
    let document = RequestDocument {
        submission_id: request.key.submission_id.clone(),
        image: request.image.clone(),
        tenant: Some(request.key.tenant.clone()),
        generation: Some(request.key.generation),
        purpose: Some(request.purpose),
        deadline: request.deadline.and_then(|deadline| deadline.format(&Rfc3339).ok()),
        metadata: Some(request.metadata.clone()).filter(|metadata| !metadata.is_empty()),
    };
    serde_json::to_vec(&document).expect("a request holds nothing that JSON can't")
}
