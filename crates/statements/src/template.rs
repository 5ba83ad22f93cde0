//! From a template to the facts of a statement.

use domain::{AppliedPolicy, Verdict};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Template, UndefinedBehavior, Value};

use crate::addresses::{has_address, without_addresses};
use crate::facts::Review;
use crate::shown;

/// Longest `decision_facts`, in characters.
pub const MAX_FACTS: usize = 5000;

const NAME: &str = "facts";

/// A text in the language of Jinja (<https://docs.rs/minijinja/latest/minijinja/syntax/>) from which `decision_facts` is made.
///
/// It can name `action` (`label`, `limit`, `block`), `decision` and `model_decision` (`real`, `synthetic`, `uncertain`; they differ
/// where people decided otherwise), `score`, `threshold_low`, `threshold_high`, `calibrated`, `model.{version, digest, trained}`,
/// `generator.{label, family, confidence}`, `provenance` (the class), `quality` (a list), `policy.{version, rule, because}`,
/// `review.{resolution, found, date}` and `decided_on`; `generator`, `provenance`, `review`, `policy.rule`, `policy.because` and
/// `generator.confidence` may be `none`. Nothing else can be seen. It runs on behalf of the operator who wrote it: loops are not
/// bounded.
pub struct FactsTemplate<'source> {
    environment: Environment<'source>,
}

/// Why there are no facts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", line.map_or(String::new(), |line| format!("line {line} of the template: ")))]
pub struct TemplateError {
    /// From 1; `None` where no line is to blame.
    pub line: Option<usize>,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl Default for FactsTemplate<'_> {
    fn default() -> Self {
        FactsTemplate::read(FactsTemplate::DEFAULT).expect("the default is tried in the tests")
    }
}

impl<'source> FactsTemplate<'source> {
    /// What is used where an operator has none of their own, and where they may begin.
    pub const DEFAULT: &'static str = include_str!("facts.jinja");

    /// Reads a template and tries it on every kind of statement that there is.
    ///
    /// Refused are texts that are no template, names that aren't there, e-mail addresses, and what makes no facts or more than
    /// [`MAX_FACTS`] characters of them.
    pub fn new(source: &'source str) -> Result<FactsTemplate<'source>, TemplateError> {
        if let Some(line) = source.lines().position(has_address) {
            let problem =
                "has an at sign, as e-mail addresses have; statements must not contain personal data: take it out";
            return Err(TemplateError { line: Some(line + 1), problem: problem.into() });
        }
        let template = FactsTemplate::read(source)?;
        template.refuse_unknown_names(source)?;
        shown::samples().into_iter().try_for_each(|sample| template.fill(sample).map(drop))?;
        Ok(template)
    }

    fn read(source: &'source str) -> Result<FactsTemplate<'source>, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Blocks may stand on lines of their own, which leave nothing behind.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| TemplateError::of(&error))?);
        environment.add_template(NAME, source).map_err(|error| TemplateError::of(&error))?;
        Ok(FactsTemplate { environment })
    }

    /// The facts of one verdict, without anything that looks like an e-mail address, wherever it came from.
    pub(crate) fn facts(
        &self,
        verdict: &Verdict,
        policy: &AppliedPolicy,
        review: Option<Review>,
    ) -> Result<String, TemplateError> {
        self.fill(shown::values(verdict, policy, review))
    }

    fn fill(&self, values: Value) -> Result<String, TemplateError> {
        let filled = self.template().render(values).map_err(|error| TemplateError::of(&error))?;
        let facts = without_addresses(filled.trim()).into_owned();
        let characters = facts.chars().count();
        if facts.is_empty() {
            Err(TemplateError::of_whole("makes an empty text, but `decision_facts` is required: let it say something"))
        } else if characters > MAX_FACTS {
            let problem =
                format!("makes {characters} characters, of which `decision_facts` takes {MAX_FACTS}: shorten it");
            Err(TemplateError::of_whole(problem))
        } else {
            Ok(facts)
        }
    }

    /// By name, before anything is filled in: branches that no sample takes are read as well.
    fn refuse_unknown_names(&self, source: &str) -> Result<(), TemplateError> {
        let provided = self.environment.globals().map(|(name, _)| name).collect::<Vec<_>>();
        let used = self.template().undeclared_variables(true);
        let known = |name: &str| shown::NAMES.contains(&name) || provided.contains(&name);
        let Some(unknown) = used.iter().filter(|name| !known(name)).min() else { return Ok(()) };
        let line = source.lines().position(|line| line.contains(unknown.as_str())).map(|line| line + 1);
        let problem = format!("there is no `{unknown}`; there are {}", shown::NAMES.join(", "));
        Err(TemplateError { line, problem })
    }

    fn template(&self) -> Template<'_, '_> {
        self.environment.get_template(NAME).expect("`new` added it under this name")
    }
}

impl TemplateError {
    fn of(error: &minijinja::Error) -> TemplateError {
        let problem = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        TemplateError { line: error.line(), problem }
    }

    fn of_whole(problem: impl Into<String>) -> TemplateError {
        TemplateError { line: None, problem: format!("the template {}", problem.into()) }
    }
}
