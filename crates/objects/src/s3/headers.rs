//! Which headers of an answer are read.
//!
//! Those that an uploader chose (`Content-Disposition`, `Cache-Control`, `x-amz-meta-*`, …) come back as they were stored, and
//! may be no UTF-8, or no date where a date should be. The client takes the whole answer for failed then, so what nothing
//! here reads is taken away before it looks.

use std::str::from_utf8;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// Read by this package, or by the client to carry the answer.
const READ: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "transfer-encoding",
    "x-amz-bucket-region",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amz-version-id",
];

#[derive(Debug)]
pub(super) struct OnlyWhatIsRead;

impl Intercept for OnlyWhatIsRead {
    fn name(&self) -> &'static str {
        "OnlyWhatIsRead"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        keep_what_is_read(context.response_mut());
        Ok(())
    }
}

fn keep_what_is_read(response: &mut HttpResponse) {
    let unread = |(name, value): (&str, &[u8])| {
        let keep = READ.contains(&name) && from_utf8(value).is_ok();
        (!keep).then(|| name.to_string())
    };
    let unread: Vec<String> = response.headers().iter_bytes().filter_map(unread).collect();
    for name in unread {
        response.headers_mut().remove(name);
    }
}
