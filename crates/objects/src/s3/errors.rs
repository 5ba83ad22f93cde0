//! What an S3 server's refusals mean to whoever waits for an image.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{FetchError, StoreError};
use domain::ImageRef;

/// Refusals that are about the worker's own key, not about the object: an operator fixes them, and every
/// submission would fail for good if they counted against it.
const OWN_KEY: &[&str] = &[
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "NotSignedUp",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// The setting that names the authorities.
const ROOTS: &str = "objects.ca_file";

const FIX_CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the worker a profile or a role";

pub(super) fn unavailable(image: &ImageRef, detail: String) -> FetchError {
    FetchError::Unavailable { bucket: image.bucket.clone(), key: image.key.clone(), detail }
}

pub(super) fn of_fetch<E>(image: &ImageRef, error: &SdkError<E, HttpResponse>) -> FetchError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let (bucket, key) = (image.bucket.clone(), image.key.clone());
    let (status, code) = said(error);
    let detail = describe(error);
    match (status, code) {
        (_, "NoSuchBucket") => FetchError::NotFound { bucket, key, detail: ": there is no such bucket".into() },
        (404, _) | (_, "NoSuchKey" | "NoSuchVersion") => match &image.version_id {
            Some(version) => FetchError::NotFound { bucket, key, detail: format!(" in version {version}") },
            None => FetchError::NotFound { bucket, key, detail: String::new() },
        },
        // No such version, or a delete marker.
        (400, "InvalidArgument") | (405, _) if image.version_id.is_some() => {
            FetchError::NotFound { bucket, key, detail: format!(" in the version asked for: {detail}") }
        }
        (412, _) => FetchError::Mismatch { bucket, key, detail: "its etag is another one".into() },
        // In an archive: nobody can read it before it is restored.
        (_, "InvalidObjectState") => FetchError::AccessDenied { bucket, key, detail },
        (403, code) if !OWN_KEY.contains(&code) => FetchError::AccessDenied { bucket, key, detail },
        _ => FetchError::Unavailable { bucket, key, detail },
    }
}

pub(super) fn of_store<E>(bucket: &str, endpoint: &str, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let (status, code) = said(error);
    if let Some(detail) = tls::distrust(error, ROOTS) {
        return StoreError::Untrusted { endpoint: endpoint.into(), detail };
    }
    let (bucket, said) = (bucket.to_string(), describe(error));
    let detail = match (status, code) {
        (404, _) | (_, "NoSuchBucket") => format!("it does not exist at {endpoint}; create it, or correct its name"),
        (401 | 403, code) if OWN_KEY.contains(&code) => {
            format!("{endpoint} refuses the credentials: {said}; {FIX_CREDENTIALS}")
        }
        (401 | 403, _) => format!("it may not be listed: {said}; grant s3:ListBucket on it"),
        (400..500, _) if status != 429 => said,
        _ if !was_sent(error) => format!("no request could be made: {said}; {FIX_CREDENTIALS}"),
        _ => return StoreError::Unreachable { endpoint: endpoint.into(), detail: said },
    };
    StoreError::Bucket { bucket, detail }
}

pub(super) fn of_upload<E>(bucket: &str, key: &str, endpoint: &str, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match (said(error).0, of_store(bucket, endpoint, error)) {
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

/// Status and code of the server's answer; 0 and nothing where none came.
fn said<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> (u16, &str) {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    (status, code)
}

fn describe<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let (status, code) = said(error);
    match (error.as_service_error().and_then(ProvideErrorMetadata::message), code) {
        (_, "") if status > 0 => format!("HTTP {status}"),
        (None, _) if status > 0 => format!("{code} (HTTP {status})"),
        (Some(message), _) if status > 0 => format!("{code}: {message} (HTTP {status})"),
        // What the client puts around it says less than the cause.
        _ => tls::distrust(error, ROOTS).unwrap_or_else(|| chain(error.source().unwrap_or(error))),
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
