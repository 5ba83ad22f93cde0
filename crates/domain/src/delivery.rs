//! Work that must be settled exactly once.
//!
//! A [`Ticket`] stands for one message of the broker. Whoever holds it must settle it; dropping it releases the message back
//! to the queue, so that work which is forgotten or panics is never taken for done. A message that holds several requests is
//! split into parts, and is settled when the last part is, in the most cautious way of all.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Settlement {
    /// Durable: the outcome is recorded and published. Acknowledge it.
    Done,
    /// Can't be read or contradicts what stands: to the dead letters, with the reason.
    Dead { reason: String },
    /// Transient trouble of the submission itself: to the retry schedule, then acknowledge.
    Later { reason: String },
    /// Not the message's fault (shutdown, broker or database away): back to the queue as it was.
    Released,
}

/// One request and the duty to settle it.
#[derive(Debug)]
pub struct Job<T> {
    pub request: T,
    pub ticket: Ticket,
}

type Sink = Box<dyn FnOnce(Settlement) + Send>;

struct Message {
    state: Mutex<State>,
}

struct State {
    open_parts: usize,
    /// The most cautious so far; the order of [`Settlement`] is the order of caution.
    settlement: Settlement,
    sink: Option<Sink>,
}

/// The duty to settle one message, or one part of it.
pub struct Ticket {
    message: Option<Arc<Message>>,
}

impl Ticket {
    /// `sink` gets the settlement once, on the thread that settles last. It must not block.
    pub fn new(sink: impl FnOnce(Settlement) + Send + 'static) -> Ticket {
        let state = State { open_parts: 1, settlement: Settlement::Done, sink: Some(Box::new(sink)) };
        Ticket { message: Some(Arc::new(Message { state: Mutex::new(state) })) }
    }

    /// Divides the duty into `parts`; the message is settled when the last of them is.
    /// With no parts there is nothing left to do, and the message is done.
    pub fn split(mut self, parts: usize) -> Vec<Ticket> {
        let Some(message) = self.message.take() else { return Vec::new() };
        if parts == 0 {
            message.settle_part(Settlement::Done);
            return Vec::new();
        }
        message.state.lock().unwrap_or_else(PoisonError::into_inner).open_parts += parts - 1;
        (0..parts).map(|_| Ticket { message: Some(message.clone()) }).collect()
    }

    pub fn settle(mut self, settlement: Settlement) {
        if let Some(message) = self.message.take() {
            message.settle_part(settlement);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            message.settle_part(Settlement::Released);
        }
    }
}

impl Message {
    fn settle_part(&self, settlement: Settlement) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settlement = settlement.max(state.settlement.clone());
        state.open_parts -= 1;
        if state.open_parts == 0
            && let Some(sink) = state.sink.take()
        {
            let settlement = state.settlement.clone();
            drop(state);
            sink(settlement);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn ticket() -> (Ticket, mpsc::Receiver<Settlement>) {
        let (sender, receiver) = mpsc::channel();
        (Ticket::new(move |settlement| sender.send(settlement).unwrap()), receiver)
    }

    fn later() -> Settlement {
        Settlement::Later { reason: "busy".into() }
    }

    #[test]
    fn a_ticket_is_settled_once() {
        let (ticket, settled) = ticket();
        ticket.settle(Settlement::Done);
        assert_eq!(settled.iter().collect::<Vec<_>>(), [Settlement::Done]);
    }

    #[test]
    fn a_dropped_ticket_releases_its_message() {
        let (ticket, settled) = ticket();
        drop(ticket);
        assert_eq!(settled.iter().collect::<Vec<_>>(), [Settlement::Released]);
    }

    #[test]
    fn a_message_in_parts_is_settled_once_in_the_most_cautious_way() {
        let dead = Settlement::Dead { reason: "conflict".into() };
        let cases = [
            (vec![Settlement::Done, Settlement::Done], Settlement::Done),
            (vec![Settlement::Done, later(), Settlement::Done], later()),
            (vec![dead.clone(), Settlement::Done], dead.clone()),
            (vec![dead.clone(), later()], later()),
            (vec![later(), Settlement::Released, dead], Settlement::Released),
        ];
        for (answers, expected) in cases {
            let (ticket, settled) = ticket();
            let parts = ticket.split(answers.len());
            for (part, answer) in parts.into_iter().zip(answers) {
                assert!(settled.try_recv().is_err(), "settled before its last part");
                part.settle(answer);
            }
            assert_eq!(settled.iter().collect::<Vec<_>>(), [expected]);
        }
    }

    #[test]
    fn a_message_without_parts_is_done() {
        let (ticket, settled) = ticket();
        assert!(ticket.split(0).is_empty());
        assert_eq!(settled.iter().collect::<Vec<_>>(), [Settlement::Done]);
    }
}
