//! What was read in a message, and the duty to settle it, part by part.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::wire::{self, Message, Reading, WireError};
use domain::Request;
use domain::delivery::{Job, Ticket};

/// Reads a message, whatever is in it: a panic of the reader would end the consumer, and with it the work on all others.
pub(crate) fn read(
    message: &Message,
    redelivered: bool,
    tenants: &BTreeMap<String, String>,
) -> Result<Reading, WireError> {
    guarded(|| wire::read_each(message, redelivered, tenants))
}

fn guarded(read: impl FnOnce() -> Result<Reading, WireError>) -> Result<Reading, WireError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(WireError::Panicked))
}

/// A job for each request, and what can't be read with its reason. The message is settled with its last part, so the outcomes of
/// the others come first.
pub(crate) fn deal(
    reading: Result<Reading, WireError>,
    ticket: Ticket,
) -> (Vec<Job<Request>>, Option<(String, Ticket)>) {
    let reading = match reading {
        Ok(reading) => reading,
        Err(error) => return (Vec::new(), Some((error.to_string(), ticket))),
    };
    let refusal = reading.refusal();
    let mut tickets = ticket.split(reading.requests.len() + usize::from(refusal.is_some()));
    let refused = refusal.and_then(|reason| Some((reason, tickets.pop()?)));
    let jobs = reading.requests.into_iter().zip(tickets).map(|(request, ticket)| Job { request, ticket });
    (jobs.collect(), refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_whose_reading_panics_is_one_that_can_not_be_read() {
        let read = guarded(|| panic!("scripted"));
        assert!(matches!(read, Err(WireError::Panicked)), "{read:?}");
    }
}
