//! What an S3 server's refusals mean to whoever waits for an image.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::refusal::{Refusal, Said, expected_region, is_about_own_key, is_other_region, refusal, region_mend};
use crate::{FetchError, StoreError};
use domain::ImageRef;

/// The setting that names the authorities.
const ROOTS: &str = "objects.ca_file";

/// The header in which S3 says where a bucket is.
const REGION: &str = "x-amz-bucket-region";

const FIX_CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the worker a profile or a role";

pub(super) fn unavailable(image: &ImageRef, detail: String) -> FetchError {
    FetchError::Unavailable { bucket: image.bucket.clone(), key: image.key.clone(), detail }
}

pub(super) fn of_fetch<E>(image: &ImageRef, error: &SdkError<E, HttpResponse>) -> FetchError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let (bucket, key) = (image.bucket.clone(), image.key.clone());
    let answer = said(error);
    let detail = describe(error);
    match refusal(answer, image.version_id.is_some()) {
        Refusal::NotFound("") => {
            let version = image.version_id.as_ref().map(|version| format!(" in version {version}"));
            FetchError::NotFound { bucket, key, detail: version.unwrap_or_default() }
        }
        Refusal::NotFound(why) if answer.code == "NoSuchBucket" => {
            FetchError::NotFound { bucket, key, detail: why.into() }
        }
        Refusal::NotFound(why) => FetchError::NotFound { bucket, key, detail: format!("{why}: {detail}") },
        Refusal::Denied => FetchError::AccessDenied { bucket, key, detail },
        Refusal::Unreadable(fix) => FetchError::Refused { bucket, key, detail: format!("{fix} ({detail})") },
        Refusal::Mismatch => FetchError::Mismatch { bucket, key, detail: "its etag is another one".into() },
        Refusal::OtherRegion => {
            let detail = format!("{} ({detail})", region_mend(answer.region));
            FetchError::Unavailable { bucket, key, detail }
        }
        Refusal::Transient => FetchError::Unavailable { bucket, key, detail },
    }
}

pub(super) fn of_store<E>(bucket: &str, endpoint: &str, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let answer @ Said { status, code, .. } = said(error);
    if let Some(detail) = tls::failure(error, ROOTS) {
        return StoreError::Untrusted { endpoint: endpoint.into(), detail };
    }
    let (bucket, said) = (bucket.to_string(), describe(error));
    let detail = match (status, code) {
        _ if is_other_region(answer) => format!("{} ({said})", region_mend(answer.region)),
        (404, _) | (_, "NoSuchBucket") => format!("it does not exist at {endpoint}; create it, or correct its name"),
        (401 | 403, code) if is_about_own_key(code) => {
            let detail = format!("{said}; {FIX_CREDENTIALS}");
            return StoreError::Refused { endpoint: endpoint.into(), detail };
        }
        (401 | 403, _) => format!("it may not be listed: {said}; grant s3:ListBucket on it"),
        (400..500, _) if status != 429 => said,
        _ if !was_sent(error) => {
            let detail = format!("no request could be made: {said}; {FIX_CREDENTIALS}");
            return StoreError::Refused { endpoint: endpoint.into(), detail };
        }
        _ => return StoreError::Unreachable { endpoint: endpoint.into(), detail: said },
    };
    StoreError::Bucket { bucket, detail }
}

pub(super) fn of_upload<E>(bucket: &str, key: &str, endpoint: &str, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match (said(error).status, of_store(bucket, endpoint, error)) {
        (401 | 403, StoreError::Bucket { bucket, .. }) => {
            let detail = format!("{key} may not be written: {}; grant s3:PutObject on it", describe(error));
            StoreError::Bucket { bucket, detail }
        }
        (_, other) => other,
    }
}

/// False where the client gave up before it spoke to the server: nearly always for want of credentials.
fn was_sent<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        _ => true,
    }
}

/// The server's answer.
fn said<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Said<'_> {
    let response = error.raw_response();
    let told = error.as_service_error();
    let message = told.and_then(ProvideErrorMetadata::message).unwrap_or_default();
    let region = response.and_then(|response| response.headers().get_bytes(REGION));
    Said {
        status: response.map_or(0, |response| response.status().as_u16()),
        code: told.and_then(ProvideErrorMetadata::code).unwrap_or_default(),
        message,
        region: region.and_then(|region| std::str::from_utf8(region).ok()).or_else(|| expected_region(message)),
    }
}

fn describe<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match said(error) {
        // What the client puts around it says less than the cause.
        Said { status: 0, .. } => tls::failure(error, ROOTS).unwrap_or_else(|| chain(error.source().unwrap_or(error))),
        Said { status, code: "", .. } => format!("HTTP {status}"),
        Said { status, code, message: "", .. } => format!("{code} (HTTP {status})"),
        Said { status, code, message, .. } => format!("{code}: {message} (HTTP {status})"),
    }
}

/// An error and its causes in one line, without saying the same twice.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
