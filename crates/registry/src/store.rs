//! Where artefacts lie: a folder that several processes see, or a prefix of a bucket with a cache on this machine.
//!
//! A version is all there or not at all: its manifest comes last, and folders take their name when they are whole. What is
//! given out was compared with what was registered: the manifest byte for byte, the weights by their digest.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::model::Model;
use crate::settings::Settings;
use artefact::{LoadError, Manifest, persist_folder};
use domain::ImageRef;
use objects::{FetchError, Objects, StoreError, digest};

/// Longest manifest or signature that is fetched, in bytes.
const MAX_TEXT: u64 = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(
        "{location} is not the model that was registered as {version}: {detail}; register a sound copy as a new version"
    )]
    Differs { location: String, version: String, detail: String },
    #[error("{location} holds another model already; give this one another version")]
    Taken { location: String },
    #[error("{} can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} can't be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("reading or copying a model broke down: {0}")]
    Broken(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Upload(#[from] StoreError),
}

pub struct Store {
    backend: Backend,
    cache: PathBuf,
    objects: Arc<dyn Objects>,
}

enum Backend {
    Folder(PathBuf),
    /// The prefix is empty or ends in a slash.
    Bucket {
        bucket: String,
        prefix: String,
    },
}

impl Store {
    /// The store of the configuration; `objects` is used where that is a bucket.
    pub fn new(settings: &Settings, objects: Arc<dyn Objects>) -> Store {
        let backend = match settings.store.strip_prefix("s3://") {
            None => Backend::Folder(PathBuf::from(&settings.store)),
            Some(place) => {
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                let prefix = prefix.trim_end_matches('/');
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                Backend::Bucket { bucket: bucket.into(), prefix }
            }
        };
        Store { backend, cache: PathBuf::from(&settings.cache), objects }
    }

    /// Checks that the place is there and can be read.
    pub async fn check(&self) -> Result<(), ArtefactError> {
        match &self.backend {
            Backend::Folder(root) => std::fs::read_dir(root).map(drop).map_err(|error| unreadable(root, error)),
            Backend::Bucket { bucket, .. } => Ok(self.objects.check(bucket).await?),
        }
    }

    /// Copies a folder that was checked into the store, under its version; gives its location. What is there already, and is
    /// the same, is left alone.
    pub async fn put(&self, folder: &Path, manifest: &Manifest) -> Result<String, ArtefactError> {
        match &self.backend {
            Backend::Folder(root) => {
                let (folder, manifest, target) = (folder.to_owned(), manifest.clone(), root.join(&manifest.version));
                blocking(move || put_in_folder(&folder, &manifest, &target)).await
            }
            Backend::Bucket { bucket, prefix } => {
                self.upload(folder, manifest, bucket, &format!("{prefix}{}", manifest.version)).await
            }
        }
    }

    /// A local folder that holds this model, compared with what was registered.
    pub async fn fetch(&self, model: &Model) -> Result<PathBuf, ArtefactError> {
        let Some((bucket, prefix)) = in_bucket(&model.entry.location) else {
            let folder = PathBuf::from(&model.entry.location);
            compare(&folder, model).await?;
            return Ok(folder);
        };
        let kept = self.cache.join(format!("{}-{:.12}", model.entry.version, model.entry.sha256));
        if kept.exists() {
            match compare(&kept, model).await {
                Ok(()) => return Ok(kept),
                Err(error) => {
                    tracing::warn!(%error, "a cached model is spoiled: fetching it again");
                    std::fs::remove_dir_all(&kept).map_err(|error| unwritable(&kept, error))?;
                }
            }
        }
        let partial = Partial::beside(&kept)?;
        self.download(model, bucket, prefix, &partial.0).await?;
        compare(&partial.0, model).await?;
        partial.settle(&kept)?;
        Ok(kept)
    }

    async fn upload(
        &self,
        folder: &Path,
        manifest: &Manifest,
        bucket: &str,
        prefix: &str,
    ) -> Result<String, ArtefactError> {
        let location = format!("s3://{bucket}/{prefix}");
        let path = folder.join(Manifest::FILE);
        let ours = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        match self.text(bucket, &format!("{prefix}/{}", Manifest::FILE)).await? {
            Some(theirs) if theirs == ours => return Ok(location),
            Some(_) => return Err(ArtefactError::Taken { location }),
            None => {}
        }
        for file in manifest.files(folder) {
            self.objects.upload(bucket, &format!("{prefix}/{file}"), &folder.join(file)).await?;
        }
        Ok(location)
    }

    async fn download(&self, model: &Model, bucket: &str, prefix: &str, to: &Path) -> Result<(), ArtefactError> {
        // Of what was registered, not of what lies there: nothing that a stranger wrote is taken for a file's name.
        let manifest = Manifest::of_bytes(model.entry.manifest.as_bytes())
            .map_err(|detail| LoadError::Manifest { path: PathBuf::from(&model.entry.location), detail })?;
        for file in [Manifest::FILE, Manifest::SIGNATURE] {
            if let Some(text) = self.text(bucket, &format!("{prefix}/{file}")).await? {
                let path = to.join(file);
                std::fs::write(&path, text).map_err(|error| unwritable(&path, error))?;
            }
        }
        let file = &manifest.weights.file;
        self.objects.download(bucket, &format!("{prefix}/{file}"), &to.join(file)).await?;
        Ok(())
    }

    /// `None` where nothing is there, or where that is all that may be known.
    async fn text(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, ArtefactError> {
        let place = ImageRef { bucket: bucket.into(), key: key.into(), ..ImageRef::default() };
        match self.objects.fetch(&place, MAX_TEXT).await {
            Ok(object) => Ok(Some(object.bytes.to_vec())),
            // Without the right to list, S3 says of what is missing that it may not be read.
            Err(FetchError::NotFound { .. } | FetchError::AccessDenied { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn in_bucket(location: &str) -> Option<(&str, &str)> {
    location.strip_prefix("s3://")?.split_once('/')
}

/// A folder in the making, which goes away unless it is settled.
struct Partial(PathBuf);

impl Partial {
    fn beside(target: &Path) -> Result<Partial, ArtefactError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).map_err(|error| unwritable(&path, error))?;
        Ok(Partial(path))
    }

    /// Takes the name; who comes second finds the first one's.
    fn settle(&self, target: &Path) -> Result<(), ArtefactError> {
        match persist_folder(&self.0, target) {
            Err(_) if target.join(Manifest::FILE).exists() => Ok(()),
            moved => moved.map_err(|error| unwritable(target, error)),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn put_in_folder(folder: &Path, manifest: &Manifest, target: &Path) -> Result<String, ArtefactError> {
    if !target.exists() {
        let partial = Partial::beside(target)?;
        for file in manifest.files(folder) {
            let (from, to) = (folder.join(file), partial.0.join(file));
            std::fs::copy(&from, &to).map_err(|error| unwritable(&to, error))?;
        }
        partial.settle(target)?;
    }
    let target = target.canonicalize().map_err(|error| unreadable(target, error))?;
    let location = target.display().to_string();
    let ours = folder.join(Manifest::FILE);
    let ours = std::fs::read(&ours).map_err(|error| unreadable(&ours, error))?;
    let same = std::fs::read(target.join(Manifest::FILE)).is_ok_and(|theirs| theirs == ours)
        && digest(&target.join(&manifest.weights.file)).is_ok_and(|sha256| sha256 == manifest.weights.sha256);
    if same { Ok(location) } else { Err(ArtefactError::Taken { location }) }
}

/// Whether a folder holds what was registered.
async fn compare(folder: &Path, model: &Model) -> Result<(), ArtefactError> {
    let (folder, entry) = (folder.to_owned(), model.entry.clone());
    blocking(move || {
        let differs = |detail: String| {
            let (location, version) = (entry.location.clone(), entry.version.clone());
            ArtefactError::Differs { location, version, detail }
        };
        let manifest = std::fs::read(folder.join(Manifest::FILE));
        let manifest = manifest.map_err(|error| differs(format!("{} can't be read: {error}", Manifest::FILE)))?;
        if manifest != entry.manifest.as_bytes() {
            return Err(differs(format!("{} says something else", Manifest::FILE)));
        }
        let file = Manifest::of_bytes(&manifest).map_err(differs)?.weights.file;
        let found = digest(&folder.join(&file)).map_err(|error| differs(format!("{file} can't be read: {error}")))?;
        if found != entry.sha256 {
            return Err(differs(format!("the sha256 of {file} is {found} instead of {}", entry.sha256)));
        }
        Ok(())
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtefactError> + Send + 'static,
) -> Result<T, ArtefactError> {
    tokio::task::spawn_blocking(work).await?
}

fn unreadable(path: &Path, source: io::Error) -> ArtefactError {
    ArtefactError::Unreadable { path: path.to_owned(), source }
}

fn unwritable(path: &Path, source: io::Error) -> ArtefactError {
    ArtefactError::Unwritable { path: path.to_owned(), source }
}
