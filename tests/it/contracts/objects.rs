//! The promises of `objects`.

mod s3;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::ImageRef;
use objects::memory::{Fault, Memory};
use objects::s3::S3;
use objects::{FetchError, Listed, Objects, StoreError};
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinSet;

use crate::support::servers::{servers, unique};
use crate::support::within;

const PLAIN: &str = "contract-plain";
const VERSIONED: &str = "contract-versioned";
const LIMIT: u64 = 1 << 20;

/// A store, and the way to put something into it.
#[async_trait]
trait Subject: Send + Sync + 'static {
    fn objects(&self) -> Arc<dyn Objects>;

    /// Gives a reference with the etag, and with the version in the bucket that keeps versions.
    async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> ImageRef;

    /// Whether the store makes a bucket that is missing, as SeaweedFS does for whoever may.
    fn makes_buckets(&self) -> bool {
        false
    }
}

struct InMemory(Arc<Memory>);

#[async_trait]
impl Subject for InMemory {
    fn objects(&self) -> Arc<dyn Objects> {
        self.0.clone()
    }

    async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> ImageRef {
        self.0.put(bucket, key, Bytes::copy_from_slice(bytes))
    }
}

struct OnServer(Arc<S3>);

#[async_trait]
impl Subject for OnServer {
    fn objects(&self) -> Arc<dyn Objects> {
        self.0.clone()
    }

    fn makes_buckets(&self) -> bool {
        true
    }

    async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> ImageRef {
        let put = self.0.client().put_object().bucket(bucket).key(key).body(bytes.to_vec().into());
        let answer = put.send().await.unwrap();
        ImageRef {
            bucket: bucket.into(),
            key: key.into(),
            version_id: answer.version_id.filter(|_| bucket == VERSIONED),
            etag: answer.e_tag,
            sha256: None,
        }
    }
}

fn in_memory() -> impl Subject {
    let memory = Memory::new();
    memory.create_bucket(PLAIN);
    memory.create_versioned_bucket(VERSIONED);
    InMemory(Arc::new(memory))
}

/// The buckets are made once for the process; every test has a prefix of its own in them.
async fn on_server() -> impl Subject {
    static BUCKETS: OnceCell<()> = OnceCell::const_new();
    let s3 = servers().s3();
    BUCKETS
        .get_or_init(|| async {
            use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
            for bucket in [PLAIN, VERSIONED] {
                if s3.check(bucket).await.is_err() {
                    s3.client().create_bucket().bucket(bucket).send().await.unwrap();
                }
            }
            let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
            let request = s3.client().put_bucket_versioning().bucket(VERSIONED).versioning_configuration(enabled);
            request.send().await.unwrap();
        })
        .await;
    OnServer(Arc::new(s3))
}

macro_rules! suite {
    ($($test:ident)*) => {
        mod on_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::in_memory(), super::unique("t")).await;
            })*
        }
        mod on_s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::on_server().await, super::unique("t")).await;
            })*
        }
    };
}

suite! {
    an_object_comes_whole_with_its_digest
    awkward_keys_are_keys
    what_is_not_there_is_not_found
    a_version_where_none_are_kept_is_refused
    an_etag_is_checked_with_or_without_quotes
    a_digest_is_checked
    an_object_over_the_limit_is_too_large_and_one_at_the_limit_is_not
    versions_are_told_apart
    listing_gives_every_key_in_order
    listing_stops_when_nobody_listens
    a_bucket_is_there_or_not
    a_store_that_answers_is_well_whatever_is_in_it
    many_at_once_get_their_own
    files_are_stored_and_come_back_whole
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn plain(key: &str) -> ImageRef {
    ImageRef { bucket: PLAIN.into(), key: key.into(), ..ImageRef::default() }
}

async fn fetch(subject: &impl Subject, image: &ImageRef) -> Result<Bytes, FetchError> {
    let object = subject.objects().fetch(image, LIMIT).await?;
    assert_eq!(object.sha256, sha256(&object.bytes));
    Ok(object.bytes)
}

async fn an_object_comes_whole_with_its_digest(subject: impl Subject, prefix: String) {
    for length in [0, 1, 1000, 300_000, LIMIT as usize] {
        let bytes: Vec<u8> = (0..length).map(|place| (place * 31 % 251) as u8).collect();
        let put = subject.put(PLAIN, &format!("{prefix}/{length}"), &bytes).await;
        let object = subject.objects().fetch(&plain(&put.key), LIMIT).await.unwrap();
        assert_eq!((object.bytes.len(), &object.sha256), (length, &sha256(&bytes)));
        assert_eq!(object.bytes, bytes);
        let etag = object.etag.unwrap();
        assert!(!etag.is_empty() && !etag.contains('"'), "{etag}");
        assert_eq!(Some(etag), put.etag.map(|etag| etag.trim_matches('"').to_string()));
    }
}

async fn awkward_keys_are_keys(subject: impl Subject, prefix: String) {
    let keys = ["a b+c.jpg", "ü/日本 🦀.png", "50%25 off?x=1&y=2#z.jpg", "it's (\"1\")!~*'.jpg", "trailing.dot."];
    for key in keys {
        let key = format!("{prefix}/{key}");
        subject.put(PLAIN, &key, key.as_bytes()).await;
        assert_eq!(fetch(&subject, &plain(&key)).await.unwrap(), key.as_bytes());
    }
    let listed = list(&subject, PLAIN, &prefix, None).await.unwrap();
    let listed: BTreeSet<&str> = listed.iter().map(|listed| &listed.key[prefix.len() + 1..]).collect();
    assert_eq!(listed, BTreeSet::from(keys));
}

async fn what_is_not_there_is_not_found(subject: impl Subject, prefix: String) {
    let kept = subject.put(VERSIONED, &format!("{prefix}/1"), b"bytes").await;
    let never = kept.version_id.map(|version| version.chars().rev().collect());
    let images = [
        plain(&format!("{prefix}/none")),
        ImageRef { bucket: "no-such-bucket-here".into(), ..plain("x") },
        ImageRef { bucket: VERSIONED.into(), version_id: never, ..plain(&kept.key) },
    ];
    for image in images {
        let error = fetch(&subject, &image).await.unwrap_err();
        assert!(matches!(error, FetchError::NotFound { .. }), "{image:?}: {error:?}");
        assert!(!error.is_transient());
    }
}

async fn a_version_where_none_are_kept_is_refused(subject: impl Subject, prefix: String) {
    let put = subject.put(PLAIN, &format!("{prefix}/1"), b"bytes").await;
    let error = fetch(&subject, &ImageRef { version_id: Some("v1".into()), ..put.clone() }).await.unwrap_err();
    // Some servers find no such version, others ignore it, which is noticed.
    assert!(matches!(error, FetchError::NotFound { .. } | FetchError::Mismatch { .. }), "{error:?}");
    // What S3 calls the version of an object that has none.
    let null = ImageRef { version_id: Some("null".into()), ..put };
    assert_eq!(fetch(&subject, &null).await.unwrap(), b"bytes"[..]);
}

async fn an_etag_is_checked_with_or_without_quotes(subject: impl Subject, prefix: String) {
    let key = format!("{prefix}/1");
    let first = subject.put(PLAIN, &key, b"first").await;
    let etag = first.etag.clone().unwrap().trim_matches('"').to_string();
    for etag in [format!("\"{etag}\""), etag] {
        let image = ImageRef { etag: Some(etag), ..first.clone() };
        assert_eq!(fetch(&subject, &image).await.unwrap(), b"first"[..]);
    }
    subject.put(PLAIN, &key, b"second").await;
    let error = fetch(&subject, &first).await.unwrap_err();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error:?}");
    assert!(!error.is_transient());
}

async fn a_digest_is_checked(subject: impl Subject, prefix: String) {
    let put = subject.put(PLAIN, &format!("{prefix}/1"), b"bytes").await;
    for digest in [sha256(b"bytes"), sha256(b"bytes").to_uppercase()] {
        let image = ImageRef { sha256: Some(digest), ..put.clone() };
        assert_eq!(fetch(&subject, &image).await.unwrap(), b"bytes"[..]);
    }
    let error = fetch(&subject, &ImageRef { sha256: Some(sha256(b"others")), ..put }).await.unwrap_err();
    assert!(matches!(&error, FetchError::Mismatch { detail, .. } if detail.contains("sha256")), "{error:?}");
}

async fn an_object_over_the_limit_is_too_large_and_one_at_the_limit_is_not(subject: impl Subject, prefix: String) {
    let image = subject.put(PLAIN, &format!("{prefix}/1"), &[7; 5000]).await;
    let objects = subject.objects();
    assert_eq!(objects.fetch(&image, 5000).await.unwrap().bytes.len(), 5000);
    let error = objects.fetch(&image, 4999).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { bytes: 5000, limit: 4999, .. }), "{error:?}");
    assert!(!error.is_transient());
}

async fn versions_are_told_apart(subject: impl Subject, prefix: String) {
    let key = format!("{prefix}/1");
    let first = subject.put(VERSIONED, &key, b"first").await;
    let second = subject.put(VERSIONED, &key, b"second").await;
    assert_ne!(first.version_id, second.version_id);
    let newest = ImageRef { version_id: None, etag: None, ..first.clone() };
    for (image, bytes) in [(&first, "first"), (&second, "second"), (&newest, "second")] {
        let object = subject.objects().fetch(image, LIMIT).await.unwrap();
        assert_eq!(object.bytes, bytes);
        let version = image.version_id.as_ref().or(second.version_id.as_ref());
        assert_eq!(object.version_id.as_ref(), version);
    }
}

async fn list(
    subject: &impl Subject,
    bucket: &str,
    prefix: &str,
    start_after: Option<&str>,
) -> Result<Vec<Listed>, StoreError> {
    let (sender, mut receiver) = mpsc::channel(8);
    let (objects, bucket, prefix) = (subject.objects(), bucket.to_string(), prefix.to_string());
    let start_after = start_after.map(str::to_string);
    let listing = tokio::spawn(async move { objects.list(&bucket, &prefix, start_after.as_deref(), sender).await });
    let mut all = Vec::new();
    while let Some(listed) = within(20, receiver.recv()).await {
        all.push(listed);
    }
    listing.await.unwrap().map(|()| all)
}

/// More than a page of S3 holds.
async fn put_many(subject: Arc<impl Subject>, prefix: &str, count: usize) -> Vec<String> {
    let keys: Vec<String> = (0..count).map(|n| format!("{prefix}/{n:05}")).collect();
    let mut tasks = JoinSet::new();
    for chunk in keys.chunks(count.div_ceil(16)) {
        let (subject, chunk) = (subject.clone(), chunk.to_vec());
        tasks.spawn(async move {
            for key in chunk {
                subject.put(PLAIN, &key, b"abc").await;
            }
        });
    }
    tasks.join_all().await;
    keys
}

async fn listing_gives_every_key_in_order(subject: impl Subject, prefix: String) {
    let subject = Arc::new(subject);
    let keys = put_many(subject.clone(), &prefix, 1100).await;
    subject.put(PLAIN, &format!("{prefix}-beside/1"), b"no").await;
    let subject = &*subject;
    let within_prefix = format!("{prefix}/");
    let listed = list(subject, PLAIN, &within_prefix, None).await.unwrap();
    assert_eq!(listed.iter().map(|listed| listed.key.clone()).collect::<Vec<_>>(), keys);
    assert!(listed.iter().all(|listed| listed.bytes == 3));
    let etag = subject.objects().fetch(&plain(&keys[0]), LIMIT).await.unwrap().etag;
    assert_eq!(listed[0].etag, etag);
    let after = list(subject, PLAIN, &within_prefix, Some(&keys[99])).await.unwrap();
    assert_eq!(after, listed[100..]);
    assert_eq!(list(subject, PLAIN, &format!("{prefix}/none"), None).await.unwrap(), []);
    assert!(matches!(list(subject, "no-such-bucket-here", "", None).await, Err(StoreError::Bucket { .. })));
}

async fn listing_stops_when_nobody_listens(subject: impl Subject, prefix: String) {
    let subject = Arc::new(subject);
    put_many(subject.clone(), &prefix, 20).await;
    let (sender, mut receiver) = mpsc::channel(1);
    let objects = subject.objects();
    let listing = tokio::spawn(async move { objects.list(PLAIN, &prefix, None, sender).await });
    receiver.recv().await.unwrap();
    drop(receiver);
    within(20, listing).await.unwrap().unwrap();
}

async fn a_bucket_is_there_or_not(subject: impl Subject, _prefix: String) {
    subject.objects().check(PLAIN).await.unwrap();
    let error = subject.objects().check("no-such-bucket-here").await.unwrap_err();
    assert!(matches!(&error, StoreError::Bucket { bucket, .. } if bucket == "no-such-bucket-here"), "{error}");
}

async fn a_store_that_answers_is_well_whatever_is_in_it(subject: impl Subject, _prefix: String) {
    subject.objects().probe(PLAIN).await.unwrap();
    subject.objects().probe("no-such-bucket-here").await.unwrap();
}

async fn many_at_once_get_their_own(subject: impl Subject, prefix: String) {
    let subject = Arc::new(subject);
    let keys = put_many(subject.clone(), &prefix, 16).await;
    for key in &keys {
        subject.put(PLAIN, key, key.repeat(1000).as_bytes()).await;
    }
    let mut tasks = JoinSet::new();
    for turn in 0..256 {
        let (subject, key) = (subject.clone(), keys[turn % keys.len()].clone());
        tasks.spawn(async move {
            assert_eq!(fetch(&*subject, &plain(&key)).await.unwrap(), key.repeat(1000));
        });
    }
    tasks.join_all().await;
}

/// The object store in memory must be able to fail like the faulty servers in `s3`.
#[tokio::test]
async fn the_store_in_memory_fails_like_a_server() {
    let memory = Memory::new();
    let (bad, good) = (memory.put(PLAIN, "bad", "bytes"), memory.put(PLAIN, "good", "bytes"));
    let pause = Duration::from_millis(20);
    memory.fail(PLAIN, "bad", [Fault::Unavailable, Fault::Truncated, Fault::Denied, Fault::Slow(pause)]);
    let transient = [Some(true), Some(true), Some(false), None, None];
    for expected in transient {
        assert_eq!(memory.fetch(&bad, LIMIT).await.err().map(|error| error.is_transient()), expected);
        assert!(memory.fetch(&good, LIMIT).await.is_ok());
    }
}

async fn files_are_stored_and_come_back_whole(subject: impl Subject, prefix: String) {
    let folder = std::env::temp_dir().join(&prefix);
    std::fs::create_dir(&folder).unwrap();
    let (from, to) = (folder.join("from"), folder.join("to"));
    let bytes: Vec<u8> = (0..3 << 20).map(|n: u32| (n % 251) as u8).collect();
    std::fs::write(&from, &bytes).unwrap();
    let (objects, key) = (subject.objects(), format!("{prefix}/weights"));
    objects.upload(PLAIN, &key, &from).await.unwrap();
    let sha256 = objects.download(PLAIN, &key, &to).await.unwrap();
    assert_eq!(sha256, hex::encode(Sha256::digest(&bytes)));
    assert!(std::fs::read(&to).unwrap() == bytes);

    let missing = objects.download(PLAIN, &format!("{prefix}/nothing"), &to).await.unwrap_err();
    assert!(matches!(missing, FetchError::NotFound { .. }), "{missing}");
    let no_file = objects.upload(PLAIN, &key, &folder.join("nothing")).await.unwrap_err();
    assert!(no_file.to_string().contains("can't be read"), "{no_file}");
    if !subject.makes_buckets() {
        let no_bucket = objects.upload("no-such-bucket", &key, &from).await.unwrap_err();
        assert!(matches!(&no_bucket, StoreError::Bucket { bucket, .. } if bucket == "no-such-bucket"), "{no_bucket}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
