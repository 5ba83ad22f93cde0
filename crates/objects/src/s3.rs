//! The object store behind S3's protocol: AWS, or any server that speaks it.
//!
//! One client for all: it keeps connections open and refreshes credentials by itself.

mod body;
mod errors;
mod files;
mod headers;
mod refusal;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder, Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_smithy_http_client::tls as client_tls;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;

use self::body::{Body, Taken, TooMany};
use self::headers::OnlyWhatIsRead;
use super::{FetchError, Listed, Object, Objects, Settings, StoreError, verify};
use domain::ImageRef;
use domain::request::bare_etag;

/// Pause before the second try, before jitter; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A body that brings nothing for this long is given up.
const STALLED_AFTER: Duration = Duration::from_secs(5);

pub struct S3 {
    client: Client,
    /// For messages.
    endpoint: String,
    timeout: Duration,
    tries: u32,
}

/// Why one try gave no object.
enum Trouble {
    Settled(FetchError),
    /// The body broke off: worth another try.
    Cut(String),
}

impl S3 {
    /// With the usual credentials: AWS_* environment, profile, web identity, container or instance role.
    /// They are looked for when they are first needed, so this can't fail.
    pub async fn connect(settings: &Settings) -> S3 {
        let region = Region::new(settings.region.clone());
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client(&settings.ca_file))
            .region(region)
            .load()
            .await;
        Self::with_config(Builder::from(&shared), settings)
    }

    /// With these credentials and no others.
    pub fn with_credentials(settings: &Settings, access_key_id: &str, secret: &SecretString) -> S3 {
        let credentials = Credentials::new(access_key_id, secret.expose_secret(), None, None, "settings");
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http_client(&settings.ca_file))
            .region(Region::new(settings.region.clone()))
            .credentials_provider(credentials);
        Self::with_config(config, settings)
    }

    fn with_config(mut config: Builder, settings: &Settings) -> S3 {
        let timeout = Duration::from_secs(settings.timeout_s);
        let tries = settings.tries.max(1);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(settings.connect_timeout_s))
            // A server that takes the request and says nothing costs one try, not all of them.
            .operation_attempt_timeout(timeout / tries)
            .operation_timeout(timeout)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(tries)
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        config = config
            .force_path_style(settings.path_style)
            .timeout_config(timeouts)
            .retry_config(retries)
            .interceptor(OnlyWhatIsRead)
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALLED_AFTER).build())
            // Bodies are hashed here anyway, and not every server knows AWS's newer checksums.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let mut endpoint = format!("AWS ({})", settings.region);
        if !settings.endpoint.is_empty() {
            config = config.endpoint_url(&settings.endpoint);
            endpoint.clone_from(&settings.endpoint);
        }
        S3 { client: Client::from_conf(config.build()), endpoint, timeout, tries }
    }

    /// The client underneath, for what the port does not offer.
    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn fetch_in_tries(&self, image: &ImageRef, max_bytes: u64) -> Result<Object, FetchError> {
        let mut tries = 1;
        loop {
            match self.try_fetch(image, max_bytes).await {
                Ok(object) => return Ok(object),
                Err(Trouble::Settled(error)) => return Err(error),
                // The client tries again by itself only until the body begins.
                Err(Trouble::Cut(_)) if tries < self.tries => tries += 1,
                Err(Trouble::Cut(detail)) => return Err(errors::unavailable(image, detail)),
            }
        }
    }

    async fn try_fetch(&self, image: &ImageRef, max_bytes: u64) -> Result<Object, Trouble> {
        let request = self
            .client
            .get_object()
            .bucket(&image.bucket)
            .key(&image.key)
            .set_version_id(image.version_id.clone())
            .set_if_match(image.etag.as_deref().map(|etag| format!("\"{}\"", bare_etag(etag))));
        let response = request.send().await.map_err(|error| Trouble::Settled(errors::of_fetch(image, &error)))?;
        let (object, stored_sha256) = receive(image, response, max_bytes).await?;
        // Not every server checks If-Match and the version.
        verify(image, &object, &stored_sha256).map_err(Trouble::Settled)?;
        Ok(object)
    }
}

/// Reads the body, hashing on the way, and never holds more than `max_bytes` of it. Gives the sha256 of the stored bytes too,
/// which is another one where they were packed.
async fn receive(image: &ImageRef, response: GetObjectOutput, max_bytes: u64) -> Result<(Object, String), Trouble> {
    let too_large = |TooMany(bytes)| {
        let (bucket, key) = (image.bucket.clone(), image.key.clone());
        Trouble::Settled(FetchError::TooLarge { bucket, key, bytes, limit: max_bytes })
    };
    let announced = response.content_length.and_then(|length| u64::try_from(length).ok());
    if let Some(length) = announced.filter(|&length| length > max_bytes) {
        return Err(too_large(TooMany(length)));
    }
    let encoding = Encoding::of(response.content_encoding.as_deref().unwrap_or_default());
    let mut taking = Body::new(max_bytes, encoding.gzip, announced);
    let mut body = response.body;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Trouble::Cut(errors::chain(&error)))?;
        taking.take(&chunk).map_err(too_large)?;
    }
    let stored = taking.stored;
    if let Some(length) = announced.filter(|&length| length != stored) {
        return Err(Trouble::Cut(format!("the body ended after {stored} of {length} bytes")));
    }
    let Taken { bytes, sha256, stored_sha256 } = taking.finish().map_err(too_large)?;
    let object = Object {
        bytes,
        sha256,
        etag: response.e_tag.as_deref().map(|etag| bare_etag(etag).to_string()),
        version_id: response.version_id,
        content_encoding: encoding.left,
    };
    Ok((object, stored_sha256))
}

/// What an object's `Content-Encoding` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Encoding {
    /// The last step was gzip, which is undone.
    gzip: bool,
    /// The steps before that, which are not.
    left: Option<String>,
}

impl Encoding {
    fn of(header: &str) -> Encoding {
        let mut steps: Vec<_> = header.split(',').map(|step| step.trim().to_ascii_lowercase()).collect();
        // Ways to transfer it, which servers store by mistake, and ways of saying nothing.
        steps.retain(|step| !matches!(step.as_str(), "" | "identity" | "aws-chunked" | "none" | "null"));
        let gzip = steps.last().is_some_and(|step| matches!(step.as_str(), "gzip" | "x-gzip"));
        if gzip {
            steps.pop();
        }
        Encoding { gzip, left: Some(steps.join(", ")).filter(|steps| !steps.is_empty()) }
    }
}

#[async_trait]
impl Objects for S3 {
    async fn fetch(&self, image: &ImageRef, max_bytes: u64) -> Result<Object, FetchError> {
        tokio::time::timeout(self.timeout, self.fetch_in_tries(image, max_bytes)).await.unwrap_or_else(|_| {
            let detail = format!("not whole after {} s (objects.timeout_s)", self.timeout.as_secs());
            Err(errors::unavailable(image, detail))
        })
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        start_after: Option<&str>,
        sender: mpsc::Sender<Listed>,
    ) -> Result<(), StoreError> {
        let request =
            self.client.list_objects_v2().bucket(bucket).prefix(prefix).set_start_after(start_after.map(Into::into));
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| errors::of_store(bucket, &self.endpoint, &error))?;
            for object in page.contents.unwrap_or_default() {
                let Some(key) = object.key else { continue };
                let listed = Listed {
                    key,
                    etag: object.e_tag.as_deref().map(|etag| bare_etag(etag).to_string()),
                    bytes: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                };
                if sender.send(listed).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn check(&self, bucket: &str) -> Result<(), StoreError> {
        let request = self.client.list_objects_v2().bucket(bucket).max_keys(1);
        request.send().await.map(drop).map_err(|error| errors::of_store(bucket, &self.endpoint, &error))
    }

    async fn download(&self, bucket: &str, key: &str, to: &Path) -> Result<String, FetchError> {
        self.download_file(bucket, key, to).await
    }

    async fn upload(&self, bucket: &str, key: &str, from: &Path) -> Result<(), StoreError> {
        self.upload_file(bucket, key, from).await
    }
}

/// Trusts the authorities of `ca_file` and no others, or the system's where it is "".
fn http_client(ca_file: &str) -> SharedHttpClient {
    let ring = client_tls::Provider::Rustls(client_tls::rustls_provider::CryptoMode::Ring);
    let builder = aws_smithy_http_client::Builder::new().tls_provider(ring);
    if ca_file.is_empty() {
        return builder.build_https();
    }
    // The settings were found to be good; if the file is gone or spoilt since, no server is trusted.
    let pem = match tls::authorities(ca_file) {
        Ok(_) => std::fs::read(ca_file).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let store = client_tls::TrustStore::empty().with_pem_certificate(pem);
    let context =
        client_tls::TlsContext::builder().with_trust_store(store).build().expect("nothing in it can be wrong");
    builder.tls_context(context).build_https()
}

#[cfg(test)]
mod tests;
