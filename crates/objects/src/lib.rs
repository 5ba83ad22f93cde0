//! The port to the object store: images by reference, and the files of models.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - `fetch` returns the whole object or an error, never a part: a body cut short is `Unavailable`;
//! - at most `max_bytes` are ever held, whatever the object's size or what the store says of it;
//! - gzip as the object's `Content-Encoding` is undone, and what comes of it counts as the object's bytes;
//! - a version, an etag or a sha256 in the reference is checked; other bytes are a `Mismatch`;
//! - `download` gives the whole object or an error;
//! - errors tell the permanent from the transient.

mod allowed;
pub mod memory;
pub mod s3;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use url::Url;

use domain::ImageRef;
use domain::request::bare_etag;

pub use allowed::Allowed;

/// `[objects]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub endpoint: String,
    /// "" for the system's authorities.
    pub ca_file: String,
    pub region: String,
    pub path_style: bool,
    pub allowed_buckets: Vec<String>,
    /// Tenant → the only `bucket/prefix/`es that it may have read.
    #[serde(default)]
    pub tenants: BTreeMap<String, Vec<String>>,
    pub max_bytes: u64,
    pub connect_timeout_s: u64,
    pub timeout_s: u64,
    pub tries: u32,
}

impl Settings {
    /// What the types do not hold; the error names the key and how to fix it.
    pub fn validate(&self) -> Result<(), String> {
        let endpoint = self.endpoint.as_str();
        if Url::parse(endpoint).is_ok_and(|url| url.password().is_some() || !url.username().is_empty()) {
            return Err(
                "objects.endpoint holds a login, which S3 has no use for; leave it out, and set AWS_ACCESS_KEY_ID \
                        and AWS_SECRET_ACCESS_KEY"
                    .into(),
            );
        }
        let http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !endpoint.is_empty() && !Url::parse(endpoint).is_ok_and(|url| http(&url)) {
            return Err(format!(
                "objects.endpoint = {endpoint:?} must be http://host:port or https://host, or \"\" for AWS"
            ));
        }
        if self.connect_timeout_s == 0 || self.timeout_s == 0 || self.tries == 0 {
            return Err("objects.connect_timeout_s, objects.timeout_s and objects.tries must be at least 1".into());
        }
        tls::check_authorities("objects.ca_file", &self.ca_file)?;
        self.allowed().validate()
    }

    /// What may be read, and for whom.
    pub fn allowed(&self) -> Allowed {
        Allowed { buckets: self.allowed_buckets.clone(), tenants: self.tenants.clone() }
    }
}

/// The bytes of an object, whole. Of one that is stored with `Content-Encoding: gzip`, what a browser makes of it.
#[derive(Clone, Debug)]
pub struct Object {
    pub bytes: Bytes,
    /// Of the bytes, lower-case hexadecimal.
    pub sha256: String,
    /// Without quotes, as in S3's event notifications.
    pub etag: Option<String>,
    pub version_id: Option<String>,
    /// What is left of the object's `Content-Encoding` after gzip was undone, for messages.
    pub content_encoding: Option<String>,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub etag: Option<String>,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("s3://{bucket}/{key} does not exist{detail}")]
    NotFound { bucket: String, key: String, detail: String },
    #[error("s3://{bucket}/{key} may not be read: {detail}; grant s3:GetObject on the bucket to the worker's key")]
    AccessDenied { bucket: String, key: String, detail: String },
    /// It is there, and nobody with this key can read it before somebody does what the detail says.
    #[error("s3://{bucket}/{key} can't be read: {detail}")]
    Refused { bucket: String, key: String, detail: String },
    #[error("s3://{bucket}/{key} is another object than was submitted: {detail}")]
    Mismatch { bucket: String, key: String, detail: String },
    #[error("s3://{bucket}/{key} has {bytes} bytes, more than the {limit} of objects.max_bytes")]
    TooLarge { bucket: String, key: String, bytes: u64, limit: u64 },
    #[error("the object store did not give s3://{bucket}/{key}: {detail}")]
    Unavailable { bucket: String, key: String, detail: String },
}

impl FetchError {
    /// Whether the same request can succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, FetchError::Unavailable { .. })
    }
}

/// The store can't be used at all: for `enqueue`, `doctor` and start-up checks.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "the object store at {endpoint} can't be reached: {detail}; check objects.endpoint and that the server runs"
    )]
    Unreachable { endpoint: String, detail: String },
    #[error("the object store at {endpoint} is not trusted: {detail}")]
    Untrusted { endpoint: String, detail: String },
    #[error("the object store at {endpoint} refuses the credentials: {detail}")]
    Refused { endpoint: String, detail: String },
    #[error("bucket {bucket:?}: {detail}")]
    Bucket { bucket: String, detail: String },
}

/// The key that [`Objects::probe`] asks for.
const PROBED: &str = "assay-probe";

/// An object store as the worker sees it.
#[async_trait]
pub trait Objects: Send + Sync {
    async fn fetch(&self, image: &ImageRef, max_bytes: u64) -> Result<Object, FetchError>;

    /// Sends every object under a prefix, in key order, after `start_after` if given; stops early when the
    /// receiver is dropped.
    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        start_after: Option<&str>,
        sender: mpsc::Sender<Listed>,
    ) -> Result<(), StoreError>;

    /// Whether the store answers a signed request for an object of this bucket, be it that there is none: with the rights of
    /// `fetch` alone. An error is `Unavailable`.
    async fn probe(&self, bucket: &str) -> Result<(), FetchError> {
        let image = ImageRef { bucket: bucket.into(), key: PROBED.into(), ..ImageRef::default() };
        match self.fetch(&image, 1).await {
            Err(error) if error.is_transient() => Err(error),
            _ => Ok(()),
        }
    }

    /// Checks that a bucket exists and can be listed.
    async fn check(&self, bucket: &str) -> Result<(), StoreError>;

    /// Writes an object of whatever size into a file, as it comes; gives its sha256. After an error the file may hold a part.
    async fn download(&self, bucket: &str, key: &str, to: &Path) -> Result<String, FetchError>;

    /// Stores a file of whatever size as an object.
    async fn upload(&self, bucket: &str, key: &str, from: &Path) -> Result<(), StoreError>;
}

/// The sha256 of a file's bytes, lower-case hexadecimal, without holding them.
pub fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&chunk[..read]),
        }
    }
}

/// What S3 calls the version of an object in a bucket that keeps none.
const NO_VERSION: &str = "null";

/// Checks the object against all that the reference says of it. The sha256 may be that of the bytes as they are stored, or of what
/// a `Content-Encoding` made of them.
fn verify(image: &ImageRef, object: &Object, stored_sha256: &str) -> Result<(), FetchError> {
    let other = |detail| Err(FetchError::Mismatch { bucket: image.bucket.clone(), key: image.key.clone(), detail });
    // Servers that keep no versions may overlook that one was asked for.
    let version = object.version_id.as_deref().unwrap_or(NO_VERSION);
    if let Some(asked) = image.version_id.as_deref().filter(|&asked| asked != version) {
        return other(format!("its version is {version}, not {asked}"));
    }
    if let (Some(asked), Some(found)) = (image.etag.as_deref().map(bare_etag), &object.etag)
        && asked != found
    {
        return other(format!("its etag is {found}, not {asked}"));
    }
    if let Some(asked) = &image.sha256
        && !asked.eq_ignore_ascii_case(&object.sha256)
        && !asked.eq_ignore_ascii_case(stored_sha256)
    {
        return other(format!("its sha256 is {}, not {asked}", object.sha256));
    }
    Ok(())
}
