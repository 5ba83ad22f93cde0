//! Somebody objects to a verdict.

use std::str::FromStr;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use database::DatabaseError;
use domain::{Decision, ImageRef, OutcomeId};

use super::item::ItemId;
use crate::roles::Denied;
use crate::vote::Answer;

/// An appeal, as it is filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAppeal {
    pub outcome: OutcomeId,
    /// Where it is given, the outcome must be this tenant's.
    pub tenant: Option<String>,
    /// 1 to 4,096 bytes.
    pub text: String,
    pub evidence: Option<ImageRef>,
    pub via: Via,
    pub filed_by: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    Queue,
    Console,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Filed {
    pub appeal: Uuid,
    /// The same appeal was filed before.
    pub known: bool,
}

/// Why an appeal was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AppealRefused {
    #[error("there is no verdict {0} of this tenant: give the `verdict_id` of the verdict that is objected to")]
    Unknown(OutcomeId),
    #[error("the verdict {0} is no longer in force: give the `verdict_id` of the latest generation")]
    NotInForce(OutcomeId),
    #[error("what was known of this submission was erased: there is nothing to appeal against")]
    Erased,
    #[error("an appeal says why: `text` is empty")]
    NoText,
    #[error("the text of the appeal has {0} bytes: at most {max} are kept, so shorten it", max = NewAppeal::MOST_TEXT)]
    TextTooLong(usize),
    #[error("the text of the appeal contains a NUL character, which can't be stored: take it out")]
    Nul,
    #[error("this verdict was appealed already, with another text: the appeal that was first is decided")]
    AppealedBefore,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AppealState {
    Open,
    Decided,
}

/// What is chosen of an appeal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AppealChoice {
    Uphold,
    OverturnReal,
    OverturnSynthetic,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AppealPage {
    pub appeals: Vec<AppealRow>,
    /// Whether there are pages beside this one.
    pub has_newer: bool,
    pub has_older: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppealRow {
    pub id: Uuid,
    pub item: ItemId,
    pub tenant: String,
    pub submission_id: String,
    pub outcome: OutcomeId,
    pub decision: Option<Decision>,
    /// At most 120 characters of the text.
    pub beginning: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// waiting, claimed, one vote, waits for a lead, upheld, overturned …
    pub state: String,
    /// Why this person can't decide on it, in words.
    pub why_not: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppealView {
    pub id: Uuid,
    pub item: ItemId,
    pub tenant: String,
    pub submission_id: String,
    pub outcome: OutcomeId,
    pub decision: Decision,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub text: String,
    pub evidence: Option<ImageRef>,
    pub via: Via,
    pub filed_by: Option<String>,
    pub decided: Option<AppealDecision>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppealDecision {
    /// upheld or overturned.
    pub result: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Pseudonyms.
    pub who: Vec<String>,
    pub ground: Option<String>,
    pub reason: String,
}

impl NewAppeal {
    /// Longest text, in bytes.
    pub const MOST_TEXT: usize = 4096;

    pub fn validate(&self) -> Result<(), AppealRefused> {
        match self.text.len() {
            0 => Err(AppealRefused::NoText),
            _ if self.text.trim().is_empty() => Err(AppealRefused::NoText),
            longer if longer > Self::MOST_TEXT => Err(AppealRefused::TextTooLong(longer)),
            _ if self.text.contains('\0') => Err(AppealRefused::Nul),
            _ => Ok(()),
        }
    }
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Queue => "queue",
            Via::Console => "console",
        }
    }
}

impl AppealChoice {
    pub fn as_str(self) -> &'static str {
        match self {
            AppealChoice::Uphold => "uphold",
            AppealChoice::OverturnReal => "overturn_real",
            AppealChoice::OverturnSynthetic => "overturn_synthetic",
        }
    }

    /// What can be chosen of a verdict.
    pub fn of_verdict(decision: Decision) -> &'static [AppealChoice] {
        match decision {
            Decision::Real => &[AppealChoice::Uphold, AppealChoice::OverturnSynthetic],
            Decision::Synthetic => &[AppealChoice::Uphold, AppealChoice::OverturnReal],
            Decision::Uncertain => &[AppealChoice::Uphold, AppealChoice::OverturnReal, AppealChoice::OverturnSynthetic],
        }
    }

    /// The answer that it comes to; `None` where it can't be chosen.
    pub fn answer(self, decision: Decision) -> Option<Answer> {
        match (self, decision) {
            (AppealChoice::Uphold, Decision::Uncertain) => Some(Answer::CannotTell),
            (AppealChoice::Uphold, Decision::Real) => Some(Answer::Real),
            (AppealChoice::Uphold, Decision::Synthetic) => Some(Answer::Synthetic),
            (AppealChoice::OverturnReal, Decision::Synthetic | Decision::Uncertain) => Some(Answer::Real),
            (AppealChoice::OverturnSynthetic, Decision::Real | Decision::Uncertain) => Some(Answer::Synthetic),
            (AppealChoice::OverturnReal, Decision::Real) | (AppealChoice::OverturnSynthetic, Decision::Synthetic) => {
                None
            }
        }
    }

    /// The choice that an answer comes from.
    pub fn of_answer(answer: Answer, decision: Decision) -> Option<AppealChoice> {
        Self::of_verdict(decision).iter().copied().find(|choice| choice.answer(decision) == Some(answer))
    }
}

impl FromStr for AppealChoice {
    type Err = ();

    fn from_str(code: &str) -> Result<AppealChoice, ()> {
        let all = AppealChoice::of_verdict(Decision::Uncertain);
        all.iter().copied().find(|choice| choice.as_str() == code).ok_or(())
    }
}
