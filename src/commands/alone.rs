//! Commands of which one at a time may work.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::End;
use super::actor::actor;
use database::Database;
use registry::{Acquired, HeldLease, Leases};

/// Who has the lease.
pub(super) struct Holder {
    pub by: String,
    pub until: OffsetDateTime,
}

/// Works with a lease; or says who has it, and nothing was done. `taken_over` is the end of one that had said nothing for `ttl`, so that
/// another one has the lease now.
pub(super) async fn alone(
    database: &Database,
    (name, ttl): (&str, Duration),
    taken_over: &str,
    work: impl Future<Output = Result<(), End>>,
) -> Result<Option<Holder>, End> {
    let leases: Arc<dyn Leases> = Arc::new(registry::postgres::Postgres::on(database));
    let lease = match leases.acquire(name, &format!("{}/{}", actor(), std::process::id()), ttl).await? {
        Acquired::Mine(lease) => lease,
        Acquired::Held { by, until } => return Ok(Some(Holder { by, until })),
    };
    let stop = CancellationToken::new();
    let held = HeldLease::keep(leases, lease, ttl, stop.clone());
    let end = tokio::select! {
        end = work => end,
        () = stop.cancelled() => Err(End::work(taken_over)),
    };
    held.release().await;
    end.map(|()| None)
}
