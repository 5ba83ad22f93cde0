//! The images of a snapshot as files on this machine: fetched once, kept under their digest.
//!
//! Whatever waits for the disk does so on a blocking thread, so that a slow one holds up neither the renewal of the job's lease
//! nor a stop.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinError;

use super::dataset::LabelledImage;
use super::likenesses::Likenesses;
use super::snapshot::{Snapshot, SnapshotImage};
use domain::ImageRef;
use objects::{Allowed, FetchError, Objects};

/// Images that are checked or fetched at a time.
const AT_ONCE: usize = 8;

/// Gives the sha256 of a file's bytes. It may block.
pub type ReadDigest = Arc<dyn Fn(&Path) -> io::Result<String> + Send + Sync>;

/// Where images come from and where they are kept.
#[derive(Clone)]
pub struct FileCache {
    pub folder: String,
    pub objects: Arc<dyn Objects>,
    pub allowed: Allowed,
    pub max_bytes: u64,
    /// [`objects::digest`], but for tests.
    pub read_digest: ReadDigest,
}

/// What is here, and what could not be had.
#[derive(Debug, Default)]
pub struct Fetched {
    /// With the paths of local files as their locations, in the order of the snapshot.
    pub images: Vec<SnapshotImage>,
    /// Location and reason.
    pub missing: Vec<(String, String)>,
}

/// Trouble that passes: the run is to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum FileCacheError {
    #[error(transparent)]
    Objects(#[from] FetchError),
    #[error("{} can't be written: {source}", path.display())]
    Unwritable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the check of a cached image ended early: {0}")]
    Interrupted(#[from] JoinError),
}

/// Deletes the files of these images (sha256) from a cache's folder, and what they look like; gives how many files there were.
/// Blocks.
pub fn delete(folder: &Path, contents: &[String]) -> io::Result<u64> {
    let mut deleted = 0;
    for sha256 in contents {
        match std::fs::remove_file(folder.join(sha256)) {
            Ok(()) => deleted += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let contents: HashSet<&str> = contents.iter().map(String::as_str).collect();
    Likenesses::delete(folder, &contents)?;
    Ok(deleted)
}

impl FileCache {
    /// Brings all images here. One that is gone, not allowed or another than was labelled is missing; an object store that
    /// does not answer ends the run.
    pub async fn fill(&self, snapshot: &Snapshot) -> Result<Fetched, FileCacheError> {
        let locate = |wanted: &SnapshotImage| {
            let wanted = wanted.clone();
            async move { Ok::<_, FileCacheError>((self.locate(&wanted.image).await?, wanted)) }
        };
        let wanted: Vec<_> = snapshot.images.iter().map(locate).collect();
        let all: Vec<_> = stream::iter(wanted).buffered(AT_ONCE).try_collect().await?;
        let mut fetched = Fetched::default();
        for (found, mut wanted) in all {
            match found {
                Ok(location) => {
                    wanted.image.location = location;
                    fetched.images.push(wanted);
                }
                Err(reason) => fetched.missing.push((wanted.image.location, reason)),
            }
        }
        Ok(fetched)
    }

    /// Deletes the files of images that the snapshot does not hold. Blocks.
    pub fn keep_only(&self, snapshot: &Snapshot) {
        let mut wanted: HashSet<&str> = snapshot.images.iter().map(|it| it.image.sha256.as_str()).collect();
        wanted.insert(Likenesses::FILE);
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok) {
            if !wanted.contains(entry.file_name().to_string_lossy().as_ref()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// The path of a local file that holds the image; or why there is none.
    async fn locate(&self, image: &LabelledImage) -> Result<Result<String, String>, FileCacheError> {
        let kept = format!("{}/{}", self.folder, image.sha256);
        if self.digest(Path::new(&kept)).await?.is_ok_and(|found| found == image.sha256) {
            return Ok(Ok(kept));
        }
        let Some((bucket, key)) = image.object() else {
            return self.check_local(image).await;
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
        write_whole(PathBuf::from(&kept), object.bytes).await?;
        Ok(Ok(kept))
    }

    /// A label on a file: it is used where it lies, if it still is what was labelled.
    async fn check_local(&self, image: &LabelledImage) -> Result<Result<String, String>, FileCacheError> {
        Ok(match self.digest(image.path()).await? {
            Ok(found) if found == image.sha256 => Ok(image.location.clone()),
            Ok(found) => Err(format!("its sha256 is {found}, not {}", image.sha256)),
            Err(error) => Err(error.to_string()),
        })
    }

    async fn digest(&self, path: &Path) -> Result<io::Result<String>, JoinError> {
        let (read_digest, path) = (Arc::clone(&self.read_digest), path.to_owned());
        tokio::task::spawn_blocking(move || read_digest(&path)).await
    }
}

/// Under another name first, so that a file with this name is whole.
async fn write_whole(path: PathBuf, bytes: Bytes) -> Result<(), FileCacheError> {
    let writing = tokio::task::spawn_blocking(move || {
        let unfinished = path.with_extension("new");
        let written = std::fs::write(&unfinished, &bytes).and_then(|()| std::fs::rename(&unfinished, &path));
        written.map_err(|source| FileCacheError::Unwritable { path, source })
    });
    writing.await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retrain::snapshot::{Shares, Side};
    use domain::LabelledOrigin;
    use objects::memory::Memory;
    use sha2::{Digest, Sha256};

    fn snapshot(locations: &[(&str, &str)]) -> Snapshot {
        let image = |(location, content): &(&str, &str)| SnapshotImage {
            image: LabelledImage {
                sha256: hex::encode(Sha256::digest(content)),
                location: (*location).into(),
                origin: LabelledOrigin::Real,
                content_type: None,
                generator: None,
                source: None,
            },
            side: Side::Train,
        };
        let images = locations.iter().map(image).collect();
        Snapshot { schema: Snapshot::SCHEMA.into(), shares: Shares { held_out: 0.2, reading: 0.1 }, images }
    }

    #[tokio::test]
    async fn images_are_fetched_once_and_those_that_cannot_be_had_are_named() {
        let folder = std::env::temp_dir().join(format!("assay-files-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let objects = Arc::new(Memory::new());
        objects.create_bucket("uploads");
        objects.put("uploads", "a.png", "a");
        objects.put("uploads", "changed.png", "something else");
        let cache = FileCache {
            folder: folder.display().to_string(),
            objects: objects.clone(),
            allowed: Allowed { buckets: vec!["uploads".into()], ..Allowed::default() },
            max_bytes: 100,
            read_digest: Arc::new(objects::digest),
        };
        let snapshot = snapshot(&[
            ("s3://uploads/a.png", "a"),
            ("s3://uploads/changed.png", "changed"),
            ("s3://uploads/gone.png", "gone"),
            ("s3://private/b.png", "b"),
        ]);
        std::fs::write(folder.join("of an earlier snapshot"), "x").unwrap();
        cache.keep_only(&snapshot);
        let first = cache.fill(&snapshot).await.unwrap();
        assert_eq!(first.images.len(), 1);
        assert_eq!(std::fs::read(first.images[0].image.path()).unwrap(), b"a");
        let missing: Vec<&str> = first.missing.iter().map(|(location, _)| location.as_str()).collect();
        assert_eq!(missing, ["s3://uploads/changed.png", "s3://uploads/gone.png", "s3://private/b.png"]);
        assert!(first.missing[2].1.contains("objects.allowed_buckets"), "{:?}", first.missing);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing but the image is kept");

        // The store has lost it since; the file that is here serves.
        let elsewhere = Arc::new(Memory::new());
        elsewhere.create_bucket("uploads");
        let second = FileCache { objects: elsewhere, ..cache }.fill(&snapshot).await.unwrap();
        assert_eq!(second.images, first.images);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
