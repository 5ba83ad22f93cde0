//! What a server's refusal of an object means: whether it is for good, whose it is to fix, and how.

/// What the server said instead of giving the object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said<'a> {
    /// 0 where no answer came.
    pub status: u16,
    /// "" where the answer names none.
    pub code: &'a str,
    pub message: &'a str,
    /// The bucket's region, where the answer names it.
    pub region: Option<&'a str>,
}

/// What it means. The words go behind the object's name and before what the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such object, and none can be.
    NotFound(&'static str),
    /// The worker's key lacks the right.
    Denied,
    /// It is there and can't be read before somebody fixes what is said.
    Unreadable(&'static str),
    /// Another object than was asked for.
    Mismatch,
    /// The bucket is in another region than the settings say. Concerns every object of it, so it waits for the operator.
    OtherRegion,
    /// May pass, or concerns the worker's own key and with it every object.
    Transient,
}

/// Refusals that are about the worker's own key, not about the object: an operator fixes them, and every
/// submission would fail for good if they counted against it.
const OWN_KEY: &[&str] = &[
    "AuthorizationQueryParametersError",
    "CredentialsNotSupported",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "MissingSecurityHeader",
    "NotSignedUp",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];
/// Refusals with a status of the client's fault that pass by themselves.
const PASSING: &[&str] = &[
    "BadDigest",
    "BandwidthLimitExceeded",
    "Busy",
    "IncompleteBody",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "SlowDown",
    "TemporaryRedirect",
    "TooManyRequests",
    "XAmzContentSHA256Mismatch",
];
const OTHER_REGION: &[&str] =
    &["AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"];
/// What no object can be called.
const NO_SUCH_NAME: &[&str] = &[
    "InvalidArgument",
    "InvalidBucketName",
    "InvalidObjectName",
    "InvalidURI",
    "KeyTooLong",
    "KeyTooLongError",
    "XMinioInvalidObjectName",
];

pub(super) fn is_about_own_key(code: &str) -> bool {
    OWN_KEY.contains(&code)
}

pub(super) fn is_other_region(said: Said<'_>) -> bool {
    OTHER_REGION.contains(&said.code) || matches!(said.status, 301 | 308)
}

/// `versioned`: whether a version was asked for.
pub(super) fn refusal(said: Said<'_>, versioned: bool) -> Refusal {
    let Said { status, code, message, .. } = said;
    match (status, code) {
        _ if is_other_region(said) => Refusal::OtherRegion,
        (_, "NoSuchBucket") => Refusal::NotFound(": there is no such bucket"),
        (404, _) | (_, "NoSuchKey" | "NoSuchVersion") => Refusal::NotFound(""),
        // No such version, or a delete marker.
        (400, "InvalidArgument") | (405, _) if versioned => Refusal::NotFound(" in the version asked for"),
        (412, _) => Refusal::Mismatch,
        (410, _) => Refusal::NotFound(": the store says that it is gone for good"),
        (451, _) => Refusal::Unreadable("the store withholds it for legal reasons; ask whoever runs the store"),
        (_, "InvalidObjectState") => {
            Refusal::Unreadable("it is in an archive; restore it (s3:RestoreObject), then ask again")
        }
        _ if is_about_own_key(code) || PASSING.contains(&code) || code.contains("Throttling") => Refusal::Transient,
        (500.., _) => Refusal::Transient,
        (400, "InvalidRequest") if message.contains("authorization mechanism") => Refusal::Transient,
        (400..500, code) if is_sse_c(code, message) => Refusal::Unreadable(
            "it is encrypted with a key that only its uploader has (SSE-C); store it with SSE-S3 or SSE-KMS instead",
        ),
        (403, "AccessDenied") if message.contains("kms:") => {
            Refusal::Unreadable("grant kms:Decrypt on the KMS key of the object to the worker's key")
        }
        (400..500, code) if code.contains("KMS") => match code {
            code if ["Internal", "Timeout", "LimitExceeded"].iter().any(|word| code.contains(word)) => {
                Refusal::Transient
            }
            _ => Refusal::Unreadable(
                "the KMS key that it is encrypted with can't be used; enable that key, or store the object under another",
            ),
        },
        (403, _) => Refusal::Denied,
        (400 | 414, code) if NO_SUCH_NAME.contains(&code) || status == 414 => {
            Refusal::NotFound(": the store takes no object of this name")
        }
        // A proxy's own answer has no code, and says nothing about the object.
        (400, code) if !code.is_empty() => {
            Refusal::Unreadable("the store refuses the request for it; what it says names the fix")
        }
        _ => Refusal::Transient,
    }
}

fn is_sse_c(code: &str, message: &str) -> bool {
    code.contains("SSE") || message.to_ascii_lowercase().contains("server side encryption")
}

/// The region that a message names: `… is wrong; expecting 'eu-central-1'`.
pub(super) fn expected_region(message: &str) -> Option<&str> {
    let quoted = message.split("expecting '").nth(1)?;
    let region = quoted.split('\'').next()?;
    (!region.is_empty()).then_some(region)
}

/// The fix for a bucket that is elsewhere.
pub(super) fn region_mend(region: Option<&str>) -> String {
    match region {
        Some(region) => format!("the bucket is in the region {region}; set objects.region = {region:?}"),
        None => {
            "the bucket is elsewhere, and no redirect is followed; set objects.region and objects.endpoint to where \
                 it is"
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, code: &str, message: &str) -> Refusal {
        refusal(Said { status, code, message, region: None }, false)
    }

    #[test]
    fn what_stays_refused_is_told_from_what_passes() {
        let sse_c =
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided";
        for (status, code, message) in [
            (400, "InvalidRequest", sse_c),
            (400, "SSEEncryptedObject", ""),
            (400, "KMS.DisabledException", "arn:aws:kms:… is disabled."),
            (400, "KMS.KMSInvalidStateException", "pending deletion"),
            (403, "AccessDenied", "… is not authorized to perform: kms:Decrypt on …"),
            (403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
            (451, "", ""),
            (400, "SomethingNew", ""),
        ] {
            assert!(matches!(of(status, code, message), Refusal::Unreadable(_)), "{status} {code}");
        }
        for (status, code) in [
            (400, "KeyTooLongError"),
            (400, "InvalidArgument"),
            (400, "InvalidURI"),
            (410, ""),
            (404, "NoSuchKey"),
            (414, ""),
        ] {
            assert!(matches!(of(status, code, ""), Refusal::NotFound(_)), "{status} {code}");
        }
        for (status, code) in [
            (0, ""),
            (400, ""),
            (400, "RequestTimeout"),
            (400, "ExpiredToken"),
            (400, "KMS.ThrottlingException"),
            (400, "KMS.KMSInternalException"),
            (403, "SignatureDoesNotMatch"),
            (408, ""),
            (409, "OperationAborted"),
            (429, ""),
            (500, "InternalError"),
            (503, "SlowDown"),
        ] {
            assert_eq!(of(status, code, ""), Refusal::Transient, "{status} {code}");
        }
        assert_eq!(of(403, "AccessDenied", "Access Denied"), Refusal::Denied);
        let unsupported = "The authorization mechanism you have provided is not supported.";
        assert_eq!(of(400, "InvalidRequest", unsupported), Refusal::Transient);
    }

    #[test]
    fn another_region_is_recognised_and_named() {
        let message =
            "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'";
        assert_eq!(of(400, "AuthorizationHeaderMalformed", message), Refusal::OtherRegion);
        assert_eq!(of(301, "", ""), Refusal::OtherRegion);
        assert_eq!(expected_region(message), Some("eu-central-1"));
        assert_eq!(expected_region("expecting ''"), None);
        assert!(region_mend(Some("eu-central-1")).contains("objects.region = \"eu-central-1\""));
    }
}
