//! Whether the object store as a whole does its part, or one object of it does not.

use std::sync::Arc;

use objects::{FetchError, Objects};

/// Buckets asked at most: one that answers is enough.
const MOST: usize = 4;

pub(super) struct StoreHealth {
    pub objects: Arc<dyn Objects>,
    /// Those that may be read.
    pub buckets: Vec<String>,
}

impl StoreHealth {
    /// Asks one bucket after the other until one answers; the error of the first.
    pub(crate) async fn ask(&self) -> Result<(), FetchError> {
        let mut first = None;
        for bucket in self.buckets.iter().take(MOST) {
            match self.objects.probe(bucket).await {
                Ok(()) => return Ok(()),
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(()), Err)
    }
}
