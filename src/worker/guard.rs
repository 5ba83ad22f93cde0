//! Work that may panic, and what is left of it then.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// What an outcome, a header or a message may say of a panic. Its own words may hold what nobody else is to read.
pub(super) const SAFE_TO_SAY: &str =
    "the worker met a defect of its own while it prepared the image; its log says where";

/// A panic that was caught. The process has logged it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Panicked {
    /// The same for panics that differ in numbers only.
    pub words: String,
}

/// Does the work, and catches its panic. What the work had in its hands is dropped.
pub(super) async fn guarded<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| Panicked { words: words(payload.as_ref()) })
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no words").chars().filter(|letter| !letter.is_ascii_digit()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panics_that_differ_in_numbers_are_the_same() {
        assert_eq!(guarded(async { 7 }).await, Ok(7));
        let panic = |number: usize| guarded(async move { panic!("scripted, at {number}") });
        let (one, other): (Result<(), _>, Result<(), _>) = (panic(1).await, panic(23).await);
        assert!(one.is_err() && one == other, "{one:?} {other:?}");
    }
}
