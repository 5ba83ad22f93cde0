//! Waiting for a database or a broker that is away, within bounds.

use std::future::Future;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio_util::sync::CancellationToken;

/// Repeats `work` with growing, jittered pauses while `is_transient` says that waiting can mend it and
/// `patience` lasts. `None`: given up, or told to abandon it.
pub(super) async fn with_patience<T, E, Work, Fut>(
    what: &'static str,
    patience: Duration,
    abandon: &CancellationToken,
    is_transient: impl Fn(&E) -> bool,
    work: Work,
) -> Option<T>
where
    E: std::fmt::Display,
    Work: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_total_delay(Some(patience))
        .without_max_times()
        .with_jitter();
    let mut waits = 0_u32;
    let tried = work.retry(pauses).when(|error| is_transient(error)).notify(|error, pause| {
        // One line when the trouble begins; the end of it is told below.
        if waits == 0 {
            tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "{what}: waiting for it to mend");
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
                tracing::info!(waits, "{what}: mended");
            }
            Some(value)
        }
        Err(error) => {
            tracing::error!(%error, patience_s = patience.as_secs(), "{what}: given up; the messages go back to the queue");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn transient_trouble_is_outwaited() {
        let mut left = 3;
        let abandon = CancellationToken::new();
        let answer = with_patience("test", Duration::from_secs(60), &abandon, |_: &String| true, || {
            left -= 1;
            let done = left == 0;
            async move { if done { Ok(7) } else { Err("away".to_string()) } }
        });
        assert_eq!(answer.await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_permanent_trouble_ends_at_once() {
        let abandon = CancellationToken::new();
        let away = || async { Err::<(), _>("away") };
        assert_eq!(with_patience("test", Duration::from_secs(9), &abandon, |_| true, away).await, None);
        let before = tokio::time::Instant::now();
        assert_eq!(with_patience("test", Duration::from_secs(9), &abandon, |_| false, away).await, None);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
