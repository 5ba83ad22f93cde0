//! An object store in memory, for tests. It keeps the promises of the port and can fail in the ways of a server.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{FetchError, Listed, NO_VERSION, Object, Objects, StoreError, verify};
use domain::ImageRef;
use domain::request::bare_etag;

/// How one fetch goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server answers that it can't now.
    Unavailable,
    /// The connection ends in the middle of the body.
    Truncated,
    /// The server forbids it.
    Denied,
    /// The answer comes, but only after a while.
    Slow(Duration),
    /// The client itself panics.
    Panic,
}

/// What meets every fetch, whatever is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The store refuses the worker's key, as every server does that has lost or changed it.
    Refusing,
    /// The client itself panics.
    Panicking,
}

#[derive(Default)]
pub struct Memory {
    buckets: Mutex<HashMap<String, Bucket>>,
    /// By bucket and key; one is used up by each fetch.
    faults: Mutex<HashMap<(String, String), VecDeque<Fault>>>,
    /// What meets every fetch.
    outage: Mutex<Option<Outage>>,
}

struct Bucket {
    versioned: bool,
    /// The versions of each key, the current one last.
    objects: BTreeMap<String, Vec<Object>>,
}

impl Memory {
    pub fn new() -> Memory {
        Memory::default()
    }

    pub fn create_bucket(&self, name: &str) {
        self.create(name, false);
    }

    pub fn create_versioned_bucket(&self, name: &str) {
        self.create(name, true);
    }

    fn create(&self, name: &str, versioned: bool) {
        lock(&self.buckets).insert(name.into(), Bucket { versioned, objects: BTreeMap::new() });
    }

    /// Stores an object; gives a reference that names its etag, and its version where the bucket keeps versions.
    /// A bucket that is not there is made.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> ImageRef {
        let bytes = bytes.into();
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let mut buckets = lock(&self.buckets);
        let place =
            buckets.entry(bucket.into()).or_insert_with(|| Bucket { versioned: false, objects: BTreeMap::new() });
        let versions = place.objects.entry(key.into()).or_default();
        let version_id = place.versioned.then(|| format!("v{}", versions.len() + 1));
        let etag = Some(sha256[..32].to_string());
        if !place.versioned {
            versions.clear();
        }
        versions.push(Object {
            bytes,
            sha256,
            etag: etag.clone(),
            version_id: version_id.clone(),
            content_encoding: None,
        });
        ImageRef { bucket: bucket.into(), key: key.into(), version_id, etag, sha256: None }
    }

    /// Lets the next fetches of an object go wrong, one for each fault; later fetches succeed again.
    pub fn fail(&self, bucket: &str, key: &str, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.faults).entry((bucket.into(), key.into())).or_default().extend(faults);
    }

    /// Every fetch meets it from now on; `None` ends it.
    pub fn set_outage(&self, outage: Option<Outage>) {
        *lock(&self.outage) = outage;
    }

    fn next_fault(&self, image: &ImageRef) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        if faults.is_empty() {
            return None;
        }
        faults.get_mut(&(image.bucket.clone(), image.key.clone()))?.pop_front()
    }

    fn get(&self, image: &ImageRef, max_bytes: u64) -> Result<Object, FetchError> {
        let (bucket, key) = (image.bucket.clone(), image.key.clone());
        let buckets = lock(&self.buckets);
        let Some(place) = buckets.get(&bucket) else {
            return Err(FetchError::NotFound { bucket, key, detail: ": there is no such bucket".into() });
        };
        let versions = place.objects.get(&key).map_or(&[][..], Vec::as_slice);
        let found = match &image.version_id {
            Some(asked) => {
                versions.iter().find(|object| object.version_id.as_deref().unwrap_or(NO_VERSION) == asked.as_str())
            }
            None => versions.last(),
        };
        let Some(object) = found else {
            return Err(FetchError::NotFound { bucket, key, detail: String::new() });
        };
        let bytes = object.bytes.len() as u64;
        let etag_differs =
            image.etag.as_deref().map(bare_etag).is_some_and(|asked| object.etag.as_deref() != Some(asked));
        // As on a server, which compares the etag before it says how long the object is.
        if bytes > max_bytes && !etag_differs {
            return Err(FetchError::TooLarge { bucket, key, bytes, limit: max_bytes });
        }
        verify(image, object, &object.sha256)?;
        Ok(object.clone())
    }

    fn page(&self, bucket: &str, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        let buckets = lock(&self.buckets);
        let place = buckets.get(bucket).ok_or_else(|| no_bucket(bucket))?;
        let after = match start_after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        let keys = place.objects.range::<str, _>((after, Bound::Unbounded));
        let listed = keys.take_while(|(key, _)| key.starts_with(prefix)).filter_map(|(key, versions)| {
            let object = versions.last()?;
            Some(Listed { key: key.clone(), etag: object.etag.clone(), bytes: object.bytes.len() as u64 })
        });
        Ok(listed.collect())
    }
}

#[async_trait]
impl Objects for Memory {
    async fn fetch(&self, image: &ImageRef, max_bytes: u64) -> Result<Object, FetchError> {
        let (bucket, key) = (image.bucket.clone(), image.key.clone());
        let outage = *lock(&self.outage);
        match outage {
            Some(Outage::Refusing) => {
                return Err(FetchError::Unavailable { bucket, key, detail: "InvalidAccessKeyId (HTTP 403)".into() });
            }
            Some(Outage::Panicking) => panic!("scripted: the client of the store panics"),
            None => {}
        }
        match self.next_fault(image) {
            Some(Fault::Unavailable) => {
                return Err(FetchError::Unavailable {
                    bucket,
                    key,
                    detail: "SlowDown: reduce your rate (HTTP 503)".into(),
                });
            }
            Some(Fault::Truncated) => {
                return Err(FetchError::Unavailable { bucket, key, detail: "the body ended early".into() });
            }
            Some(Fault::Denied) => {
                return Err(FetchError::AccessDenied { bucket, key, detail: "AccessDenied (HTTP 403)".into() });
            }
            Some(Fault::Panic) => panic!("scripted: the client of the store panics"),
            Some(Fault::Slow(pause)) => tokio::time::sleep(pause).await,
            None => {}
        }
        self.get(image, max_bytes)
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        start_after: Option<&str>,
        sender: mpsc::Sender<Listed>,
    ) -> Result<(), StoreError> {
        for listed in self.page(bucket, prefix, start_after)? {
            if sender.send(listed).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn check(&self, bucket: &str) -> Result<(), StoreError> {
        if lock(&self.buckets).contains_key(bucket) { Ok(()) } else { Err(no_bucket(bucket)) }
    }

    async fn download(&self, bucket: &str, key: &str, to: &Path) -> Result<String, FetchError> {
        let object = ImageRef { bucket: bucket.into(), key: key.into(), ..ImageRef::default() };
        let Object { bytes, sha256, .. } = self.fetch(&object, u64::MAX).await?;
        std::fs::write(to, bytes).map_err(|error| FetchError::Unavailable {
            bucket: bucket.into(),
            key: key.into(),
            detail: format!("{} can't be written: {error}", to.display()),
        })?;
        Ok(sha256)
    }

    async fn upload(&self, bucket: &str, key: &str, from: &Path) -> Result<(), StoreError> {
        self.check(bucket).await?;
        let bytes = std::fs::read(from).map_err(|error| StoreError::Bucket {
            bucket: bucket.into(),
            detail: format!("{} can't be read: {error}", from.display()),
        })?;
        self.put(bucket, key, bytes);
        Ok(())
    }
}

fn no_bucket(bucket: &str) -> StoreError {
    StoreError::Bucket { bucket: bucket.into(), detail: "it does not exist".into() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
