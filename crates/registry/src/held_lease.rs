//! The right to be the one job that works, kept for as long as it does.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Lease, LeaseError, Leases};

/// A lease that a task of its own renews, whatever the job waits for meanwhile. Dropped, it is renewed no more and ends by
/// itself.
pub struct HeldLease {
    leases: Arc<dyn Leases>,
    lease: Lease,
    renewal: JoinHandle<()>,
}

impl HeldLease {
    /// Renews a lease from now on, three times as often as it would expire. If another job has taken it over, `stop` is
    /// cancelled.
    pub fn keep(leases: Arc<dyn Leases>, lease: Lease, ttl: Duration, stop: CancellationToken) -> HeldLease {
        let renewal = tokio::spawn(renew(Arc::clone(&leases), lease.clone(), ttl, stop));
        HeldLease { leases, lease, renewal }
    }

    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Gives it back, so that the next job need not wait until it ends.
    pub async fn release(self) {
        self.renewal.abort();
        if let Err(error) = self.leases.release(&self.lease).await {
            tracing::warn!(%error, "the lease could not be given back; it ends by itself");
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

async fn renew(leases: Arc<dyn Leases>, lease: Lease, ttl: Duration, stop: CancellationToken) {
    loop {
        tokio::time::sleep(ttl / 3).await;
        match leases.renew(&lease, ttl).await {
            Ok(_) => {}
            Err(error @ LeaseError::Fenced(_)) => {
                tracing::error!(%error, "stopping");
                stop.cancel();
                return;
            }
            Err(error) => tracing::warn!(%error, "the lease could not be renewed: trying again"),
        }
    }
}
