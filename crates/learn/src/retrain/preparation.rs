//! The folders and the images of a run, on this machine.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::error::RetrainError;
use super::file_cache::{Fetched, FileCache};
use super::snapshot::Snapshot;

/// Makes the run's folder and that of the cache, writes the snapshot down, and brings its images here.
pub(super) async fn prepare(
    cache: &FileCache,
    folder: &Path,
    snapshot: &Arc<Snapshot>,
    stop: &CancellationToken,
) -> Result<Fetched, RetrainError> {
    let (cache_there, folder, snapshot_there) = (cache.clone(), folder.to_owned(), Arc::clone(snapshot));
    let write = move || -> Result<(), RetrainError> {
        for folder in [folder.as_path(), Path::new(&cache_there.folder)] {
            std::fs::create_dir_all(folder).map_err(|error| RetrainError::unwritable(folder, error))?;
        }
        let path = folder.join("snapshot.json");
        snapshot_there.write(&path).map_err(|error| RetrainError::unwritable(&path, error))?;
        cache_there.keep_only(&snapshot_there);
        Ok(())
    };
    until_stopped(stop, async { tokio::task::spawn_blocking(write).await? }).await?;
    fill(cache, snapshot, stop).await
}

async fn fill(cache: &FileCache, snapshot: &Snapshot, stop: &CancellationToken) -> Result<Fetched, RetrainError> {
    until_stopped(stop, async { Ok(cache.fill(snapshot).await?) }).await
}

/// The end of the work or a stop, whichever comes first: a disk or a store that does not answer is not waited for.
async fn until_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, RetrainError>>,
) -> Result<T, RetrainError> {
    tokio::select! {
        done = work => done,
        () = stop.cancelled() => Err(RetrainError::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::retrain::dataset::LabelledImage;
    use crate::retrain::snapshot::{Shares, Side, SnapshotImage};
    use domain::LabelledOrigin;
    use objects::Allowed;
    use registry::{Acquired, HeldLease, Leases};

    const LEASE: &str = "retrain";
    const DEADLINE: Duration = Duration::from_secs(20);

    /// On one thread: if the check of a file blocked it, nothing else would go on.
    #[tokio::test]
    async fn a_slow_disk_holds_up_neither_the_renewal_of_the_lease_nor_a_stop() {
        let registry = Arc::new(registry::memory::Memory::new());
        let ttl = Duration::from_secs(1);
        let Acquired::Mine(lease) = registry.acquire(LEASE, "this job", ttl).await.unwrap() else {
            panic!("the lease is taken")
        };
        let first_end = lease.expires_at;
        let stop = CancellationToken::new();
        let held = HeldLease::keep(registry.clone(), lease, ttl, stop.clone());

        // A disk that does not answer until the sender is dropped.
        let (answer, hang) = mpsc::channel::<()>();
        let (hang, asked) = (Mutex::new(hang), Arc::new(AtomicBool::new(false)));
        let asked_there = Arc::clone(&asked);
        let read_digest = move |_: &Path| {
            asked_there.store(true, Ordering::SeqCst);
            let _ = hang.lock().unwrap().recv();
            Err(std::io::ErrorKind::NotFound.into())
        };
        let cache = FileCache {
            folder: "nowhere".into(),
            objects: Arc::new(objects::memory::Memory::new()),
            allowed: Allowed::default(),
            max_bytes: 1,
            read_digest: Arc::new(read_digest),
        };
        let image = LabelledImage {
            sha256: "ab".repeat(32),
            location: "s3://uploads/1.png".into(),
            origin: LabelledOrigin::Real,
            content_type: None,
            generator: None,
            source: None,
        };
        let snapshot = Snapshot {
            schema: Snapshot::SCHEMA.into(),
            shares: Shares { held_out: 0.2, reading: 0.1 },
            images: vec![SnapshotImage { image, side: Side::Train }],
        };

        let renewed = async {
            loop {
                let other = registry.acquire(LEASE, "another job", ttl).await.unwrap();
                let Acquired::Held { until, .. } = other else { panic!("the lease was not renewed") };
                if asked.load(Ordering::SeqCst) && until > first_end + ttl {
                    break;
                }
                tokio::time::sleep(ttl / 20).await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(fill(&cache, &snapshot, &stop), renewed) };
        let (filled, ()) = tokio::time::timeout(DEADLINE, both).await.expect("renewal or stop was held up");
        assert!(matches!(filled, Err(RetrainError::Stopped)), "{filled:?}");
        held.release().await;
        let next = registry.acquire(LEASE, "another job", ttl).await.unwrap();
        assert!(matches!(next, Acquired::Mine(_)), "the lease was given back");
        drop(answer);
    }
}
