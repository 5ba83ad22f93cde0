//! Repeats what failed because a database or a broker is away, for a limited time.

use std::future::Future;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio_util::sync::CancellationToken;

/// How long to wait for what is away.
#[derive(Clone, Copy, Debug)]
pub(super) enum OutageWait {
    For(Duration),
    /// Until it is there, or nobody wants it any more.
    Endless,
}

/// Repeats `work` with growing, jittered pauses while `is_transient` says that waiting can help, for as long as `wait`.
/// `None`: given up, or told to abandon it.
pub(super) async fn retry_while_transient<T, E, Work, Fut>(
    what: &'static str,
    wait: OutageWait,
    abandon: &CancellationToken,
    is_transient: impl Fn(&E) -> bool,
    work: Work,
) -> Option<T>
where
    E: std::fmt::Display,
    Work: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let limit = match wait {
        OutageWait::For(limit) => Some(limit),
        OutageWait::Endless => None,
    };
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_total_delay(limit)
        .without_max_times()
        .with_jitter();
    let mut waits = 0_u32;
    let tried = work.retry(pauses).when(|error| is_transient(error)).notify(|error, pause| {
        // One line for the first failure; the last one is logged below.
        if waits == 0 {
            tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "{what} failed: trying again");
        }
        waits += 1;
    });
    let result = tokio::select! {
        result = tried => result,
        () = abandon.cancelled() => return None,
    };
    match result {
        Ok(value) => {
            if waits > 0 {
                tracing::info!(waits, "{what} works again");
            }
            Some(value)
        }
        Err(error) => {
            tracing::error!(%error, "{what}: given up; the messages go back to the queue");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LONG: OutageWait = OutageWait::For(Duration::from_secs(60));

    #[tokio::test]
    async fn a_transient_error_is_retried_until_it_is_gone() {
        let tries = Cell::new(0);
        let work = || {
            tries.set(tries.get() + 1);
            let is_back = tries.get() == 3;
            async move { if is_back { Ok(7) } else { Err("away") } }
        };
        assert_eq!(
            retry_while_transient("test", OutageWait::Endless, &CancellationToken::new(), |_| true, work).await,
            Some(7)
        );
    }

    #[tokio::test]
    async fn it_gives_up_when_the_time_is_over() {
        let away = || async { Err::<(), _>("away") };
        let short = OutageWait::For(Duration::from_millis(200));
        assert_eq!(retry_while_transient("test", short, &CancellationToken::new(), |_| true, away).await, None);
    }

    #[tokio::test]
    async fn a_permanent_error_is_not_retried() {
        let tries = Cell::new(0);
        let work = || {
            tries.set(tries.get() + 1);
            async { Err::<(), _>("refused") }
        };
        assert_eq!(retry_while_transient("test", LONG, &CancellationToken::new(), |_| false, work).await, None);
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test]
    async fn an_abandon_ends_the_retries() {
        let abandon = CancellationToken::new();
        abandon.cancel();
        let away = || async { Err::<(), _>("away") };
        assert_eq!(retry_while_transient("test", LONG, &abandon, |_| true, away).await, None);
    }
}
