//! Who acts.

use uuid::Uuid;

/// Somebody who was let in. What they may do is asked of the database at each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// By which their rights are found.
    pub access: Uuid,
    /// Who they are: the same with each of their accesses, and never told to others.
    pub person: String,
    /// What others are told instead; one for each person.
    pub pseudonym: String,
}
