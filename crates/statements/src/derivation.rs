//! From facts to a statement: what Assay can know of it.

use domain::{Action, AppliedPolicy, Decision};

use crate::codes;
use crate::facts::{Resolution, model_decision};
use crate::shown::day;
use crate::{Facts, FactsTemplate, Statement, TemplateError, puid};

/// Why there is no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStatement {
    /// No policy was in force.
    #[error("no policy was in force when the image was judged, so nothing followed from the verdict")]
    NoPolicy,
    /// `none`, or `review`, after which a person decides first.
    #[error("the policy's action is `{}`, which restricts nothing", .0.as_str())]
    NoRestriction(Action),
    /// The action followed from a decision that people changed.
    #[error(
        "people found the image {}, but the verdict says {}: make the statement of the generation that followed from the \
         review",
        .found.as_str(),
        .decision.as_str()
    )]
    Superseded { found: Decision, decision: Decision },
    /// Without the review the statement would call a decision of people automated.
    #[error(
        "the verdict says {}, but by its score and thresholds the model says {}, so people decided it: give their review",
        .decision.as_str(),
        .model.as_str()
    )]
    ReviewMissing { decision: Decision, model: Decision },
    /// The template could not be filled in.
    #[error("there are no facts: {0}")]
    Facts(#[from] TemplateError),
}

impl NoStatement {
    /// Whether a statement is due that could not be made, so that somebody has to do something.
    pub fn is_fault(&self) -> bool {
        matches!(self, NoStatement::ReviewMissing { .. } | NoStatement::Facts(_))
    }
}

impl Statement {
    /// What Assay can know of the statement of reasons for what followed from a verdict. What only the platform knows is empty.
    ///
    /// Only restrictions have one: `label`, `limit` and `block`. `block` is "access disabled" and not "removed", for Assay deletes
    /// nothing, and what is not shown can be shown again after an appeal. The decision counts as fully automated without a review,
    /// as partially automated where people confirmed what the model had decided, and as not automated where they decided otherwise
    /// or where the model had been uncertain.
    ///
    /// Nothing of the submission's id, tenant, metadata, object or worker can get into it; one statement belongs to one generation.
    pub fn of(facts: &Facts<'_>, template: &FactsTemplate<'_>) -> Result<Statement, NoStatement> {
        let Facts { verdict, review } = *facts;
        let policy = verdict.policy.as_ref().ok_or(NoStatement::NoPolicy)?;
        let visibility = visibility(policy)?;
        let automated_decision = automation(facts)?;
        let mut content_type = vec![codes::CONTENT_IMAGE];
        if verdict.decision == Decision::Synthetic {
            content_type.push(codes::CONTENT_SYNTHETIC);
        }
        Ok(Statement {
            decision_visibility: Some(vec![visibility.into()]),
            decision_facts: Some(template.facts(verdict, policy, review)?),
            content_type: Some(content_type.into_iter().map(String::from).collect()),
            application_date: Some(day(verdict.decided_at).to_string()),
            automated_detection: Some(codes::YES.into()),
            automated_decision: Some(automated_decision.into()),
            puid: Some(puid(verdict)),
            ..Statement::default()
        })
    }
}

fn visibility(policy: &AppliedPolicy) -> Result<&'static str, NoStatement> {
    match policy.action {
        Action::Label => Ok(codes::VISIBILITY_LABELLED),
        Action::Limit => Ok(codes::VISIBILITY_DEMOTED),
        Action::Block => Ok(codes::VISIBILITY_DISABLED),
        Action::None | Action::Review => Err(NoStatement::NoRestriction(policy.action)),
    }
}

fn automation(facts: &Facts<'_>) -> Result<&'static str, NoStatement> {
    let Facts { verdict, review } = *facts;
    let (decision, model) = (verdict.decision, model_decision(&verdict.score));
    let Some(review) = review else {
        return if decision == model {
            Ok(codes::FULLY_AUTOMATED)
        } else {
            Err(NoStatement::ReviewMissing { decision, model })
        };
    };
    if review.decision() != decision {
        return Err(NoStatement::Superseded { found: review.decision(), decision });
    }
    Ok(match review.resolution(&verdict.score) {
        Resolution::Confirmed => codes::PARTIALLY_AUTOMATED,
        Resolution::Overruled | Resolution::Decided => codes::NOT_AUTOMATED,
    })
}
