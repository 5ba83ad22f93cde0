//! Signals → a stop token and a deadline.
//!
//! The first SIGTERM or SIGINT asks for a graceful stop: nothing new is taken, what is under way is finished.
//! When most of the grace period is over, work that is not yet recorded is abandoned (it goes back to the
//! queue). A second signal ends the process at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second signal.
const STOPPED_AT_ONCE: i32 = 130;

/// The two steps of a stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take nothing new.
    pub stop: CancellationToken,
    /// Release whatever is not yet recorded.
    pub abandon: CancellationToken,
}

impl Shutdown {
    /// Listens for signals from now on. `grace` is the whole time from the first signal to the end of the
    /// process; the last fifth of it belongs to what is already recorded.
    pub fn on_signals(grace: Duration) -> std::io::Result<Shutdown> {
        let shutdown = Shutdown::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let steps = shutdown.clone();
        tokio::spawn(async move {
            let name = tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
            tracing::info!(signal = name, grace_s = grace.as_secs_f32(), "stopping: finishing what is under way");
            steps.stop.cancel();
            let limit = grace.mul_f32(0.8);
            tokio::select! {
                () = tokio::time::sleep(limit) => {
                    tracing::warn!("the grace period is nearly over: what is not recorded goes back to the queue");
                    steps.abandon.cancel();
                }
                _ = terminate.recv() => stop_at_once(),
                _ = interrupt.recv() => stop_at_once(),
            }
            tokio::select! { _ = terminate.recv() => stop_at_once(), _ = interrupt.recv() => stop_at_once() }
        });
        Ok(shutdown)
    }
}

/// Returns when somebody asks the process to end, by SIGINT (Ctrl-C) or SIGTERM; from its first poll on neither ends it by itself.
pub async fn interrupted() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
}

#[allow(clippy::disallowed_methods, reason = "the second signal is the one exception")]
fn stop_at_once() {
    tracing::warn!("second signal: stopping at once; unsettled messages go back to the queue");
    std::process::exit(STOPPED_AT_ONCE);
}
