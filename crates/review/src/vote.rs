//! What one person says of one item.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::LabelledOrigin;
pub use domain::ReviewGround;
use domain::label::MAX_ACTOR;
use domain::request::MAX_LABEL;

use crate::roles::Role;

/// Longest comment, in bytes.
pub const MAX_COMMENT: usize = 4096;

/// What somebody says of one item. It is kept as it was cast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vote {
    /// Who: at most 256 bytes.
    #[schemars(length(min = 1, max = MAX_ACTOR))]
    pub reviewer: String,
    /// What they were then.
    pub role: Role,
    pub answer: Answer,
    /// Why; null exactly where the answer is `cannot_tell`.
    pub ground: Option<ReviewGround>,
    /// Whether score, decision and the votes of others were hidden until it was cast.
    pub blind: bool,
    /// Which generator made it, by a label such as `midjourney`; only where the answer is `synthetic`.
    #[schemars(length(min = 1, max = MAX_LABEL))]
    pub generator: Option<String>,
    /// In the reviewer's words: at most 4,096 bytes.
    #[schemars(length(min = 1, max = MAX_COMMENT))]
    pub comment: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Real,
    Synthetic,
    CannotTell,
}

/// A vote that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    #[error("the vote names no reviewer: give the name of the person who votes")]
    NoReviewer,
    #[error("the reviewer's name has {0} bytes: at most {MAX_ACTOR} are kept")]
    ReviewerTooLong(usize),
    #[error("a {0} may not vote: a reviewer may")]
    Role(Role),
    #[error("the vote says `{}` without a ground: say why, or by eye", .0.as_str())]
    NoGround(Answer),
    #[error("the vote says `cannot_tell` and gives the ground `{}`: leave out one of them", .0.as_str())]
    GroundForCannotTell(ReviewGround),
    #[error("the vote says `{}` and names a generator: only a synthetic image has one", .0.as_str())]
    GeneratorOfOther(Answer),
    #[error("the generator's name is empty: leave it out if it is not known")]
    NoGenerator,
    #[error("the generator's name has {0} bytes: at most {MAX_LABEL} are kept")]
    GeneratorTooLong(usize),
    #[error("the comment is empty: leave it out")]
    NoComment,
    #[error("the comment has {0} bytes: at most {MAX_COMMENT} are kept, so shorten it")]
    CommentTooLong(usize),
    #[error("`{0}` contains a NUL character, which can't be stored: take it out")]
    Nul(&'static str),
}

impl Vote {
    /// Checks every bound that types do not already hold; the error names what is wrong.
    pub fn validate(&self) -> Result<(), VoteError> {
        match self.reviewer.len() {
            0 => return Err(VoteError::NoReviewer),
            1..=MAX_ACTOR => {}
            longer => return Err(VoteError::ReviewerTooLong(longer)),
        }
        if self.role < Role::Reviewer {
            return Err(VoteError::Role(self.role));
        }
        match (self.answer, self.ground) {
            (Answer::CannotTell, Some(ground)) => return Err(VoteError::GroundForCannotTell(ground)),
            (Answer::Real | Answer::Synthetic, None) => return Err(VoteError::NoGround(self.answer)),
            (Answer::CannotTell, None) | (Answer::Real | Answer::Synthetic, Some(_)) => {}
        }
        match self.generator.as_deref().map(str::len) {
            None => {}
            Some(_) if self.answer != Answer::Synthetic => return Err(VoteError::GeneratorOfOther(self.answer)),
            Some(0) => return Err(VoteError::NoGenerator),
            Some(1..=MAX_LABEL) => {}
            Some(longer) => return Err(VoteError::GeneratorTooLong(longer)),
        }
        match self.comment.as_deref().map(str::len) {
            Some(0) => return Err(VoteError::NoComment),
            None | Some(1..=MAX_COMMENT) => {}
            Some(longer) => return Err(VoteError::CommentTooLong(longer)),
        }
        let texts = [
            ("reviewer", Some(self.reviewer.as_str())),
            ("generator", self.generator.as_deref()),
            ("comment", self.comment.as_deref()),
        ];
        match texts.into_iter().find(|(_, text)| text.is_some_and(|text| text.contains('\0'))) {
            Some((field, _)) => Err(VoteError::Nul(field)),
            None => Ok(()),
        }
    }
}

impl Answer {
    pub const ALL: [Answer; 3] = [Answer::Real, Answer::Synthetic, Answer::CannotTell];

    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Real => "real",
            Answer::Synthetic => "synthetic",
            Answer::CannotTell => "cannot_tell",
        }
    }

    /// What the image is by this answer; `None` where it can't be told.
    pub fn origin(self) -> Option<LabelledOrigin> {
        match self {
            Answer::Real => Some(LabelledOrigin::Real),
            Answer::Synthetic => Some(LabelledOrigin::Synthetic),
            Answer::CannotTell => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote() -> Vote {
        Vote {
            reviewer: "ann".into(),
            role: Role::Reviewer,
            answer: Answer::Synthetic,
            ground: Some(ReviewGround::VisibleArtefact),
            blind: true,
            generator: Some("midjourney".into()),
            comment: Some("six fingers".into()),
        }
    }

    fn unsure() -> Vote {
        Vote { answer: Answer::CannotTell, ground: None, generator: None, ..vote() }
    }

    #[test]
    fn votes_within_the_bounds_are_taken_and_read_as_they_were_written() {
        let real = Vote { answer: Answer::Real, generator: None, comment: None, ..vote() };
        let long = Vote { comment: Some("x".repeat(MAX_COMMENT)), reviewer: "x".repeat(MAX_ACTOR), ..vote() };
        for vote in [vote(), unsure(), real, long, Vote { role: Role::Admin, ..vote() }] {
            assert_eq!(vote.validate(), Ok(()), "{vote:?}");
            let text = serde_json::to_string(&vote).unwrap();
            assert_eq!(serde_json::from_str::<Vote>(&text).unwrap(), vote);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = [
            (Vote { reviewer: String::new(), ..vote() }, VoteError::NoReviewer),
            (Vote { reviewer: "x".repeat(257), ..vote() }, VoteError::ReviewerTooLong(257)),
            (Vote { role: Role::Viewer, ..vote() }, VoteError::Role(Role::Viewer)),
            (Vote { ground: None, ..vote() }, VoteError::NoGround(Answer::Synthetic)),
            (Vote { answer: Answer::Real, ground: None, ..vote() }, VoteError::NoGround(Answer::Real)),
            (
                Vote { ground: Some(ReviewGround::ByEye), ..unsure() },
                VoteError::GroundForCannotTell(ReviewGround::ByEye),
            ),
            (Vote { answer: Answer::Real, ..vote() }, VoteError::GeneratorOfOther(Answer::Real)),
            (Vote { generator: Some("sdxl".into()), ..unsure() }, VoteError::GeneratorOfOther(Answer::CannotTell)),
            (Vote { generator: Some(String::new()), ..vote() }, VoteError::NoGenerator),
            (Vote { generator: Some("x".repeat(65)), ..vote() }, VoteError::GeneratorTooLong(65)),
            (Vote { comment: Some(String::new()), ..vote() }, VoteError::NoComment),
            // Bytes and not characters.
            (Vote { comment: Some("é".repeat(2049)), ..vote() }, VoteError::CommentTooLong(4098)),
            (Vote { comment: Some("a\0b".into()), ..vote() }, VoteError::Nul("comment")),
            (Vote { reviewer: "a\0".into(), ..vote() }, VoteError::Nul("reviewer")),
        ];
        for (vote, error) in wrong {
            assert_eq!(vote.validate(), Err(error.clone()), "{error}");
        }
        assert!(VoteError::CommentTooLong(4_194_304).to_string().contains("4194304 bytes: at most 4096"));
        assert!(VoteError::NoGround(Answer::Real).to_string().contains("`real`"));
    }

    #[test]
    fn answers_and_grounds_are_their_codes() {
        for answer in Answer::ALL {
            assert_eq!(serde_json::to_value(answer).unwrap(), answer.as_str());
        }
        for ground in ReviewGround::ALL {
            assert_eq!(serde_json::to_value(ground).unwrap(), ground.as_str());
        }
    }
}
