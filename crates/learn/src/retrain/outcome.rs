//! How a run is asked for, and how it ends.

use serde::{Deserialize, Serialize};

use registry::RunState;

/// What a run may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Register what passes, and promote it.
    Promote,
    /// Everything but that.
    DryRun,
}

/// How a run ended. Reports and metrics say it in the words of [`Outcome::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Promoted,
    Refused,
    /// Not promoted, since another model became the active one meanwhile.
    Registered,
    /// It passed the gate; but it was a dry run, or a signature is wanted first.
    #[serde(rename = "would_promote")]
    WouldPromote,
    NothingNew,
    /// Another job has the lease.
    Busy,
    Failed,
}

impl Outcome {
    pub const ALL: [Outcome; 7] = [
        Outcome::Promoted,
        Outcome::Refused,
        Outcome::Registered,
        Outcome::WouldPromote,
        Outcome::NothingNew,
        Outcome::Busy,
        Outcome::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Promoted => "promoted",
            Outcome::Refused => "refused",
            Outcome::Registered => "registered",
            Outcome::WouldPromote => "would_promote",
            Outcome::NothingNew => "nothing_new",
            Outcome::Busy => "busy",
            Outcome::Failed => "failed",
        }
    }

    /// How the registry records a run that ended so. One that found the lease taken has not begun, and is not recorded.
    pub fn run_state(self) -> RunState {
        match self {
            Outcome::Promoted => RunState::Promoted,
            Outcome::Refused => RunState::Refused,
            Outcome::Registered | Outcome::WouldPromote => RunState::Registered,
            Outcome::NothingNew => RunState::NothingNew,
            Outcome::Failed | Outcome::Busy => RunState::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_and_metrics_use_the_same_words() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
        assert_eq!(
            Outcome::ALL.map(Outcome::as_str),
            ["promoted", "refused", "registered", "would_promote", "nothing_new", "busy", "failed"]
        );
    }
}
