//! What is wrong with a policy's file: each fault names the rule, the line, the field and the fix.

use std::fmt;

use serde::Serialize;

/// Everything that is wrong with a file, in the order of its lines; at least one. After a thousand, how many more there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct PolicyErrors {
    faults: Vec<Fault>,
}

impl PolicyErrors {
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// A fault of the file as a whole.
    pub(crate) fn of_file(problem: impl Into<String>) -> PolicyErrors {
        PolicyErrors { faults: vec![Fault { rule: None, line: None, field: None, problem: problem.into() }] }
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let between = if index == 0 { "" } else { "\n" };
            write!(f, "{between}{fault}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// null where the file as a whole is meant.
    pub rule: Option<RuleRef>,
    /// From 1; null where no line is to blame.
    pub line: Option<usize>,
    /// As it would be written: `score.at_least`.
    pub field: Option<String>,
    /// What is wrong and how to mend it; where there is a field, the field is its subject.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, &self.rule) {
            (Some(line), Some(rule)) => write!(f, "line {line}, {rule}: ")?,
            (Some(line), None) => write!(f, "line {line}: ")?,
            (None, Some(rule)) => write!(f, "{rule}: ")?,
            (None, None) => {}
        }
        if let Some(field) = &self.field {
            write!(f, "`{field}` ")?;
        }
        f.write_str(&self.problem)
    }
}

/// Which rule is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRef {
    /// From 1, in the order of the file.
    pub number: usize,
    /// null where the rule has none that could be read. One that is far too long is cut.
    pub name: Option<String>,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "rule {} `{name}`", self.number),
            None => write!(f, "rule {}", self.number),
        }
    }
}

/// Most faults that are listed: a file that is something else altogether has hundreds of thousands.
const MOST: usize = 1000;

/// Where faults are gathered while a file is read.
pub(crate) struct Faults {
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    found: Vec<Fault>,
}

impl Faults {
    pub(crate) fn in_text(text: &str) -> Faults {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Faults { lines: std::iter::once(0).chain(after_breaks).collect(), found: Vec::new() }
    }

    /// The line, from 1, of a byte of the text.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// A fault outside the rules; `at` is a byte of the text.
    pub(crate) fn refuse(&mut self, at: Option<usize>, field: Option<&str>, problem: String) {
        let line = at.map(|at| self.line(at));
        self.found.push(Fault { rule: None, line, field: field.map(String::from), problem });
    }

    /// What was read, or everything that was found to be wrong with it.
    pub(crate) fn unless_any<T>(mut self, read: T) -> Result<T, PolicyErrors> {
        if self.found.is_empty() {
            return Ok(read);
        }
        // Tables come in the order of their keys; people read from the top.
        self.found.sort_by_key(|fault| fault.line);
        let more = self.found.len().saturating_sub(MOST);
        if more > 0 {
            self.found.truncate(MOST);
            self.refuse(None, None, format!("{more} more faults are not listed; mend these first"));
        }
        Err(PolicyErrors { faults: self.found })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// The faults of one rule.
pub(crate) struct RuleFaults<'f> {
    pub(crate) rule: RuleRef,
    pub(crate) faults: &'f mut Faults,
}

impl RuleFaults<'_> {
    /// `at` is a byte of the text.
    pub(crate) fn refuse(&mut self, at: usize, field: &str, problem: impl Into<String>) {
        let (rule, line) = (Some(self.rule.clone()), Some(self.faults.line(at)));
        self.faults.found.push(Fault { rule, line, field: Some(field.into()), problem: problem.into() });
    }

    /// The rule itself is wrong.
    pub(crate) fn refuse_rule(&mut self, at: usize, problem: impl Into<String>) {
        let (rule, line) = (Some(self.rule.clone()), Some(self.faults.line(at)));
        self.faults.found.push(Fault { rule, line, field: None, problem: problem.into() });
    }
}

/// Longest quotation in a message, in characters.
const QUOTED: usize = 64;

/// A text of the file as messages quote it: in one line, and not too long.
pub(crate) fn shortened(text: &str) -> String {
    let end = text.char_indices().nth(QUOTED).map_or(text.len(), |(at, _)| at);
    let cut = if end < text.len() { "…" } else { "" };
    format!("{}{cut}", text[..end].escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_in_the_line_that_it_stands_in() {
        let faults = Faults::in_text("a\nbc\n\nd");
        let lines: Vec<_> = (0..7).map(|at| faults.line(at)).collect();
        assert_eq!(lines, [1, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn quotations_stay_in_one_line_and_are_short() {
        assert_eq!(shortened("a\n\"b\""), "a\\n\\\"b\\\"");
        assert_eq!(shortened(&"ü".repeat(100)).chars().count(), QUOTED + 1);
    }
}
