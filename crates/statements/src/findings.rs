//! Where problems are gathered while a statement is checked: one function for each kind of rule.

use time::Date;
use time::format_description::BorrowedFormatItem;
use time::macros::{date, format_description};

use crate::addresses::has_address;
use crate::{Problem, Rule};

/// The last day that dates may name. The documentation doesn't say so; the database's published source refuses later ones
/// (github.com/digital-services-act/transparency-database, `app/Services/GroupedSubmissionsService.php`).
pub(crate) const LAST_DAY: Date = date!(2038 - 01 - 01);

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// Most codes that a message lists.
const MOST_LISTED: usize = 8;
/// Most characters of a value that a message repeats.
const MOST_REPEATED: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
}

impl Findings {
    pub(crate) fn add(&mut self, field: &'static str, rule: Rule, mend: impl Into<String>) {
        self.problems.push(Problem { field, rule, mend: mend.into() });
    }

    /// The text, if there is one. White space alone is none, as the API sees it. `what` ends the sentence "is required: give …".
    pub(crate) fn required<'a>(&mut self, field: &'static str, text: Option<&'a str>, what: &str) -> Option<&'a str> {
        let given = given(text);
        if given.is_none() {
            self.add(field, Rule::Required, format!("is required: give {what}"));
        }
        given
    }

    /// `cause` says which value of which other field wants it.
    pub(crate) fn required_by(&mut self, field: &'static str, text: Option<&str>, cause: &str) {
        if given(text).is_none() {
            self.add(field, Rule::RequiredIf, format!("is required because {cause}: give it, or change that"));
        }
    }

    /// At most so many characters.
    pub(crate) fn length(&mut self, field: &'static str, text: Option<&str>, most: usize) {
        let characters = given(text).map_or(0, |text| text.chars().count());
        if characters > most {
            self.add(field, Rule::TooLong, format!("has {characters} characters; shorten it to {most}"));
        }
    }

    /// A text for people: at most so many characters, and no e-mail address.
    pub(crate) fn text(&mut self, field: &'static str, text: Option<&str>, most: usize) {
        self.length(field, text, most);
        if given(text).is_some_and(has_address) {
            let mend =
                "has an at sign, as e-mail addresses have: take it out, for statements must not contain personal data";
            self.add(field, Rule::PersonalData, mend);
        }
    }

    pub(crate) fn code(&mut self, field: &'static str, code: Option<&str>, allowed: &[&str]) {
        let Some(code) = given(code).filter(|code| !allowed.contains(code)) else { return };
        let choice = if allowed.len() <= MOST_LISTED {
            format!("give one of {}", allowed.join(", "))
        } else {
            format!("give one of the {} codes that the API documentation lists under `{field}`", allowed.len())
        };
        self.add(field, Rule::Allowed, format!("is {}, which is not allowed: {choice}", repeated(code)));
    }

    pub(crate) fn codes(&mut self, field: &'static str, codes: Option<&[String]>, allowed: &[&str]) {
        for code in codes.unwrap_or_default() {
            // An empty code is none of those that are allowed.
            let code = if code.trim().is_empty() { "(nothing)" } else { code };
            self.code(field, Some(code), allowed);
        }
    }

    /// The day, where one is given that can be read and lies from `first` to [`LAST_DAY`].
    pub(crate) fn day(&mut self, field: &'static str, text: Option<&str>, first: Date) -> Option<Date> {
        let text = given(text)?;
        // The parser takes a sign and more digits, too; ten characters are a day as the API writes it.
        let Some(day) = Date::parse(text, DAY).ok().filter(|_| text.len() == 10) else {
            self.add(field, Rule::Format, format!("is {}, which is no date: write it as YYYY-MM-DD", repeated(text)));
            return None;
        };
        if day < first {
            self.add(field, Rule::TooEarly, format!("is {day}: the first day that it may name is {first}"));
            return None;
        }
        if day > LAST_DAY {
            self.add(field, Rule::TooLate, format!("is {day}: the last day that it may name is {LAST_DAY}"));
            return None;
        }
        Some(day)
    }
}

/// The text, unless it is white space.
pub(crate) fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}

/// A value in quotes, cut, for a message.
fn repeated(value: &str) -> String {
    match value.char_indices().nth(MOST_REPEATED) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}
