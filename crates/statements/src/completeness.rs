//! Whether a statement could be submitted, and if not, whose turn it is.

use crate::{FIELDS, FilledBy, Problem, Rule, Statement, check};

/// What a statement lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It breaks no rule.
    Complete,
    /// It lacks these and nothing else: required fields that only the platform can fill in, in the order of the API. Giving one can
    /// make others required: a `decision_ground` wants the ground and its explanation.
    NeedsPlatform { fields: Vec<&'static str> },
    /// It breaks other rules, too. All of its problems.
    Faulty { problems: Vec<Problem> },
}

impl Completeness {
    pub fn of(statement: &Statement) -> Completeness {
        let problems = check(statement);
        if problems.is_empty() {
            Completeness::Complete
        } else if problems.iter().all(is_gap_of_the_platform) {
            Completeness::NeedsPlatform { fields: problems.iter().map(|problem| problem.field).collect() }
        } else {
            Completeness::Faulty { problems }
        }
    }
}

fn is_gap_of_the_platform(problem: &Problem) -> bool {
    let of_platform = FIELDS.iter().any(|field| field.name == problem.field && field.filled_by == FilledBy::Platform);
    of_platform && matches!(problem.rule, Rule::Required | Rule::RequiredIf)
}
