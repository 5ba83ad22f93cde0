//! What a statement answers.

/// Why a statement gave no answer.
pub(super) enum Trouble<Refusal> {
    Failed(sqlx::Error),
    /// The database is well; what was asked for may not be.
    Refused(Refusal),
}

impl<Refusal> From<sqlx::Error> for Trouble<Refusal> {
    fn from(error: sqlx::Error) -> Trouble<Refusal> {
        Trouble::Failed(error)
    }
}

pub(super) type Answer<T, Refusal> = Result<T, Trouble<Refusal>>;
