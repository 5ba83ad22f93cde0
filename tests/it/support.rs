//! What several tests use.

pub mod canned;
pub mod chaos;
pub mod children;
pub mod collector;
pub mod hostile;
pub mod images;
pub mod mutants;
pub mod outcomes;
pub mod proxy;
pub mod rabbit;
pub mod rig;
pub mod rights;
pub mod servers;
pub mod site;
pub mod textures;

use std::future::Future;
use std::time::Duration;

/// Ends a test that hangs.
pub async fn within<T>(seconds: u64, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), work)
        .await
        .unwrap_or_else(|_| panic!("nothing after {seconds} s"))
}
