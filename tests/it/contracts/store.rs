//! The promises of `registry::Store`: in a folder, in a bucket, and in a bucket of the object store in memory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use artefact::{Architecture, Manifest};
use engine::untrained;
use objects::Objects;
use objects::memory::Memory;
use registry::{ArtefactError, Model, NewModel, Settings, Store};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::support::servers::{servers, unique};

/// A store, the folder that all of a test lies in, and a way to what is stored.
struct Subject {
    store: Store,
    folder: PathBuf,
    place: Place,
}

/// Where the store is.
enum Place {
    Folder,
    Bucket(String),
    Memory(Arc<Memory>),
}

/// The bucket in memory.
const BUCKET: &str = "models";

impl Subject {
    fn new(place: Place) -> Subject {
        let folder = std::env::temp_dir().join(unique("store"));
        std::fs::create_dir(&folder).unwrap();
        let (store, objects): (String, Arc<dyn Objects>) = match &place {
            Place::Folder => (folder.join("store").display().to_string(), Arc::new(Memory::new())),
            Place::Bucket(bucket) => (format!("s3://{bucket}/m"), Arc::new(servers().s3())),
            Place::Memory(memory) => (format!("s3://{BUCKET}/m"), memory.clone()),
        };
        let cache = folder.join("cache").display().to_string();
        let store = Store::new(&Settings { store, cache, poll_s: 1 }, objects);
        Subject { store, folder, place }
    }

    async fn in_folder() -> Subject {
        Subject::new(Place::Folder)
    }

    async fn in_memory() -> Subject {
        let memory = Memory::new();
        memory.create_bucket(BUCKET);
        Subject::new(Place::Memory(Arc::new(memory)))
    }

    async fn in_bucket() -> Subject {
        let bucket = unique("models").replace('_', "-");
        servers().s3().client().create_bucket().bucket(&bucket).send().await.unwrap();
        Subject::new(Place::Bucket(bucket))
    }

    /// Puts other bytes in the place of a stored file.
    async fn replace(&self, version: &str, file: &str, bytes: &[u8]) {
        match &self.place {
            Place::Folder => std::fs::write(self.folder.join("store").join(version).join(file), bytes).unwrap(),
            Place::Memory(memory) => drop(memory.put(BUCKET, &format!("m/{version}/{file}"), bytes.to_vec())),
            Place::Bucket(bucket) => {
                let (client, key) = (servers().s3(), format!("m/{version}/{file}"));
                let put = client.client().put_object().bucket(bucket).key(key).body(bytes.to_vec().into());
                put.send().await.unwrap();
            }
        }
    }

    async fn end(self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
        let Place::Bucket(bucket) = &self.place else { return };
        let s3 = servers().s3();
        let listed = s3.client().list_objects_v2().bucket(bucket).send().await.unwrap();
        for object in listed.contents() {
            s3.client().delete_object().bucket(bucket).key(object.key().unwrap()).send().await.unwrap();
        }
        s3.client().delete_bucket().bucket(bucket).send().await.unwrap();
    }
}

macro_rules! suite {
    ($($test:ident)*) => {
        mod in_a_folder {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Subject::in_folder().await).await;
            })*
        }
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Subject::in_memory().await).await;
            })*
        }
        mod in_a_bucket {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Subject::in_bucket().await).await;
            })*
        }
    };
}

suite! {
    what_is_put_is_fetched_whole
    a_version_is_put_once
    what_is_not_what_was_registered_is_not_given_out
}

/// An artefact whose weights are these bytes: a store does not look into them.
fn artefact(folder: &Path, version: &str, weights: &[u8]) -> Manifest {
    static REAL: OnceLock<Manifest> = OnceLock::new();
    let real = REAL.get_or_init(|| {
        let folder = std::env::temp_dir().join(unique("made"));
        let made = untrained::create(&folder, Architecture::RESNET18, 0).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        made
    });
    let mut manifest = real.clone();
    manifest.version = version.into();
    manifest.weights.sha256 = hex::encode(Sha256::digest(weights));
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(&manifest.weights.file), weights).unwrap();
    std::fs::write(folder.join(Manifest::SIGNATURE), "signed").unwrap();
    std::fs::write(folder.join(Manifest::FILE), serde_json::to_string_pretty(&manifest).unwrap()).unwrap();
    manifest
}

fn model(folder: &Path, manifest: &Manifest, location: String) -> Model {
    let entry = NewModel {
        version: manifest.version.clone(),
        sha256: manifest.weights.sha256.clone(),
        location,
        manifest: std::fs::read_to_string(folder.join(Manifest::FILE)).unwrap(),
        metrics: Value::Null,
        parent: None,
        actor: "a test".into(),
    };
    Model { entry, registered_at: OffsetDateTime::UNIX_EPOCH }
}

async fn what_is_put_is_fetched_whole(subject: Subject) {
    let made = subject.folder.join("made");
    let manifest = artefact(&made, "1", b"weights");
    let location = subject.store.put(&made, &manifest).await.unwrap();
    for _ in 0..2 {
        let fetched = subject.store.fetch(&model(&made, &manifest, location.clone())).await.unwrap();
        assert_ne!(fetched, made);
        for file in manifest.files(&made) {
            assert_eq!(std::fs::read(fetched.join(file)).unwrap(), std::fs::read(made.join(file)).unwrap(), "{file}");
        }
    }
    // Nothing half-made is left beside it.
    let made_here = if matches!(subject.place, Place::Folder) { "store" } else { "cache" };
    assert_eq!(std::fs::read_dir(subject.folder.join(made_here)).unwrap().count(), 1);
    subject.end().await;
}

async fn a_version_is_put_once(subject: Subject) {
    let (made, other) = (subject.folder.join("made"), subject.folder.join("other"));
    let manifest = artefact(&made, "1", b"weights");
    let location = subject.store.put(&made, &manifest).await.unwrap();
    assert_eq!(subject.store.put(&made, &manifest).await.unwrap(), location);
    let changed = artefact(&other, "1", b"other weights");
    let error = subject.store.put(&other, &changed).await.unwrap_err();
    assert!(matches!(error, ArtefactError::Taken { .. }), "{error}");
    subject.store.fetch(&model(&made, &manifest, location)).await.unwrap();
    subject.end().await;
}

async fn what_is_not_what_was_registered_is_not_given_out(subject: Subject) {
    let made = subject.folder.join("made");
    let manifest = artefact(&made, "1", b"weights");
    let location = subject.store.put(&made, &manifest).await.unwrap();
    let registered = model(&made, &manifest, location);
    subject.replace("1", &manifest.weights.file, b"WEIGHTS").await;
    let error = subject.store.fetch(&registered).await.unwrap_err();
    assert!(error.to_string().contains(&manifest.weights.sha256), "{error}");
    subject.replace("1", &manifest.weights.file, b"weights").await;
    subject.replace("1", Manifest::FILE, b"{}").await;
    let error = subject.store.fetch(&registered).await.unwrap_err();
    assert!(error.to_string().contains("manifest.json says something else"), "{error}");
    subject.replace("1", Manifest::FILE, registered.entry.manifest.as_bytes()).await;
    subject.store.fetch(&registered).await.unwrap();
    subject.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoiled_cache_is_filled_again() {
    let subject = Subject::in_bucket().await;
    let made = subject.folder.join("made");
    let manifest = artefact(&made, "1", b"weights");
    let location = subject.store.put(&made, &manifest).await.unwrap();
    let registered = model(&made, &manifest, location);
    let fetched = subject.store.fetch(&registered).await.unwrap();
    std::fs::write(fetched.join(&manifest.weights.file), b"spoiled").unwrap();
    let fetched = subject.store.fetch(&registered).await.unwrap();
    assert_eq!(std::fs::read(fetched.join(&manifest.weights.file)).unwrap(), b"weights");
    subject.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_ended_half_way_is_finished_by_the_next() {
    let subject = Subject::in_bucket().await;
    let made = subject.folder.join("made");
    let manifest = artefact(&made, "1", b"weights");
    // As after a kill: some of the weights, and no manifest.
    subject.replace("1", &manifest.weights.file, b"wei").await;
    let location = subject.store.put(&made, &manifest).await.unwrap();
    subject.store.fetch(&model(&made, &manifest, location)).await.unwrap();
    subject.end().await;
}
