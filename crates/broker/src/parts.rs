//! What was read in a message, and the duty to settle it, part by part.

use crate::wire::{Reading, WireError};
use domain::Request;
use domain::delivery::{Job, Ticket};

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
