//! The tasks of the worker beside intake and inference, and what it means when one of them panics.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::guard::guarded;
use super::recovery::Recovery;
use super::watch::Watch;

/// The stages that have no thread of their own. Each ends when the one before it has closed its channel.
pub(super) struct Stages {
    batching: JoinHandle<()>,
    settling: JoinHandle<()>,
    gone: Gone,
}

/// Which stage has panicked, if one has. Whatever is handed to it from then on is dropped, and so released.
#[derive(Clone, Default)]
struct Gone {
    stage: Arc<Mutex<Option<&'static str>>>,
    seen: CancellationToken,
}

impl Gone {
    fn watch(&self, stage: &'static str, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let gone = self.clone();
        tokio::spawn(async move {
            if guarded(work).await.is_err() {
                gone.stage.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(stage);
                gone.seen.cancel();
            }
        })
    }
}

impl Stages {
    pub(crate) fn start(
        batching: impl Future<Output = ()> + Send + 'static,
        settling: impl Future<Output = ()> + Send + 'static,
    ) -> Stages {
        let gone = Gone::default();
        let (batching, settling) = (gone.watch("forms batches", batching), gone.watch("settles messages", settling));
        Stages { batching, settling, gone }
    }

    /// Until a stage has panicked.
    pub(crate) async fn gone(&self) {
        self.gone.seen.cancelled().await;
    }

    /// Waits for the ends of all; which of them has panicked, if one has.
    pub(crate) async fn ended(self) -> Option<&'static str> {
        let _ = self.batching.await;
        let _ = self.settling.await;
        *self.gone.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What runs beside the stages until they have ended.
pub(super) struct Beside {
    tasks: [JoinHandle<()>; 2],
    finished: CancellationToken,
}

impl Beside {
    pub(crate) fn start(watch: Watch, recovery: Recovery) -> Beside {
        let finished = CancellationToken::new();
        let tasks = [tokio::spawn(watch.run(finished.clone())), tokio::spawn(recovery.run(finished.clone()))];
        Beside { tasks, finished }
    }

    pub(crate) async fn end(self) {
        self.finished.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stage_that_panics_is_named() {
        let stages = Stages::start(async {}, async { panic!("scripted") });
        stages.gone().await;
        assert_eq!(stages.ended().await, Some("settles messages"));
        assert_eq!(Stages::start(async {}, async {}).ended().await, None);
    }
}
