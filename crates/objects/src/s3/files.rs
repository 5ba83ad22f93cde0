//! Whole files to and from the object store: for model artefacts, which are too large to hold.

use std::path::Path;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::primitives::ByteStream;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::{S3, errors};
use crate::{FetchError, StoreError};
use domain::ImageRef;

/// The longest that one upload may take.
const UPLOAD: Duration = Duration::from_secs(15 * 60);

impl S3 {
    /// Writes an object into a file as it comes; gives its sha256.
    pub(super) async fn download_file(&self, bucket: &str, key: &str, to: &Path) -> Result<String, FetchError> {
        let object = ImageRef { bucket: bucket.into(), key: key.into(), ..ImageRef::default() };
        let mut tries = 1;
        loop {
            match self.try_download(&object, to).await {
                Err(error) if error.is_transient() && tries < self.tries => tries += 1,
                answer => return answer,
            }
        }
    }

    async fn try_download(&self, object: &ImageRef, to: &Path) -> Result<String, FetchError> {
        let unwritable =
            |error: std::io::Error| errors::unavailable(object, format!("{} can't be written: {error}", to.display()));
        let request = self.client.get_object().bucket(&object.bucket).key(&object.key);
        let response = request.send().await.map_err(|error| errors::of_fetch(object, &error))?;
        let announced = response.content_length;
        let mut file = tokio::fs::File::create(to).await.map_err(unwritable)?;
        let (mut digest, mut bytes, mut body) = (Sha256::new(), 0, response.body);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| errors::unavailable(object, errors::chain(&error)))?;
            digest.update(&chunk);
            bytes += chunk.len() as i64;
            file.write_all(&chunk).await.map_err(unwritable)?;
        }
        file.sync_all().await.map_err(unwritable)?;
        match announced {
            Some(length) if length != bytes => {
                Err(errors::unavailable(object, format!("the body ended after {bytes} of {length} bytes")))
            }
            _ => Ok(hex::encode(digest.finalize())),
        }
    }

    /// Stores a file as an object.
    pub(super) async fn upload_file(&self, bucket: &str, key: &str, from: &Path) -> Result<(), StoreError> {
        let body = ByteStream::from_path(from).await.map_err(|error| StoreError::Bucket {
            bucket: bucket.into(),
            detail: format!("{} can't be read: {error}", from.display()),
        })?;
        // The client's own limits are for images.
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(UPLOAD).operation_timeout(UPLOAD).build();
        let request = self.client.put_object().bucket(bucket).key(key).body(body).customize();
        let request = request.config_override(Builder::new().timeout_config(timeouts));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(errors::of_upload(bucket, key, &self.endpoint, &error)),
        }
    }
}
