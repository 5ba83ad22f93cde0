//! The images of a snapshot, on this machine: fetched once, kept by their digest.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::material::Item;
use super::snapshot::{Image, Snapshot};
use domain::ImageRef;
use objects::{Allowed, FetchError, Objects};

/// Objects that are on their way at a time.
const AT_ONCE: usize = 8;

/// Where images come from and where they are kept.
pub struct Cache<'a> {
    pub folder: &'a Path,
    pub objects: &'a dyn Objects,
    pub allowed: &'a Allowed,
    pub max_bytes: u64,
}

/// What is here, and what could not be had.
#[derive(Debug, Default)]
pub struct Fetched {
    /// With the image that each is, in the order of the snapshot.
    pub items: Vec<(Item, Image)>,
    /// Location and reason.
    pub missing: Vec<(String, String)>,
}

/// Trouble that passes: the run is to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error(transparent)]
    Objects(#[from] FetchError),
    #[error("{} can't be written: {detail}", path.display())]
    Unwritable { path: PathBuf, detail: String },
}

impl Cache<'_> {
    /// Brings all images here. One that is gone, not allowed or another than was labelled is missing; a store that is away
    /// ends the run.
    pub async fn fill(&self, snapshot: &Snapshot) -> Result<Fetched, CacheError> {
        let fetch = |image: &Image| {
            let image = image.clone();
            async move { Ok::<_, CacheError>((self.fetch(&image).await?, image)) }
        };
        let wanted: Vec<_> = snapshot.images.iter().map(fetch).collect();
        let all: Vec<(Result<PathBuf, String>, Image)> = stream::iter(wanted).buffered(AT_ONCE).try_collect().await?;
        let mut fetched = Fetched::default();
        for (path, image) in all {
            match path {
                Ok(path) => {
                    let Image { sha256, origin, content_type, generator, .. } = image.clone();
                    let source = None;
                    fetched.items.push((Item { path, sha256, origin, content_type, generator, source }, image));
                }
                Err(reason) => fetched.missing.push((image.location, reason)),
            }
        }
        Ok(fetched)
    }

    /// Deletes what no image of the snapshot is.
    pub fn keep_only(&self, snapshot: &Snapshot) {
        let wanted: std::collections::HashSet<&str> =
            snapshot.images.iter().map(|image| image.sha256.as_str()).collect();
        for entry in std::fs::read_dir(self.folder).into_iter().flatten().filter_map(Result::ok) {
            if !wanted.contains(entry.file_name().to_string_lossy().as_ref()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    async fn fetch(&self, image: &Image) -> Result<Result<PathBuf, String>, CacheError> {
        let kept = self.folder.join(&image.sha256);
        if std::fs::read(&kept).is_ok_and(|bytes| hex::encode(Sha256::digest(bytes)) == image.sha256) {
            return Ok(Ok(kept));
        }
        let Some((bucket, key)) = image.location.strip_prefix("s3://").and_then(|place| place.split_once('/')) else {
            return Ok(local(image));
        };
        if !self.allowed.buckets.iter().any(|allowed| allowed == bucket) {
            return Ok(Err(format!("bucket {bucket:?} is not in objects.allowed_buckets")));
        }
        let wanted = ImageRef {
            bucket: bucket.into(),
            key: key.into(),
            sha256: Some(image.sha256.clone()),
            ..ImageRef::default()
        };
        let object = match self.objects.fetch(&wanted, self.max_bytes).await {
            Ok(object) => object,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let unwritable =
            |error: std::io::Error| CacheError::Unwritable { path: kept.clone(), detail: error.to_string() };
        let unfinished = self.folder.join(format!("{}.new", image.sha256));
        std::fs::write(&unfinished, &object.bytes).map_err(unwritable)?;
        std::fs::rename(&unfinished, &kept).map_err(unwritable)?;
        Ok(Ok(kept))
    }
}

/// A label on a file: it is used where it lies, if it is still what was labelled.
fn local(image: &Image) -> Result<PathBuf, String> {
    let path = PathBuf::from(&image.location);
    let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
    let found = hex::encode(Sha256::digest(bytes));
    if found == image.sha256 { Ok(path) } else { Err(format!("its sha256 is {found}, not {}", image.sha256)) }
}
