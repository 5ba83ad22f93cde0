//! Why something isn't done, in words: for people as a page, for the script as JSON.

use axum::http::StatusCode;
use serde::Serialize;

/// What is answered instead of what was asked for. Everything in it may be shown to whoever asked, but for the cause.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    words: Box<Words>,
}

#[derive(Clone, Debug)]
struct Words {
    title: String,
    what: String,
    mend: String,
    href: Option<String>,
    href_text: Option<&'static str>,
    /// For the log alone.
    cause: Option<String>,
}

/// The fields that `error.html` and the script read.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    status: u16,
    title: &'a str,
    what: &'a str,
    mend: &'a str,
    href: Option<&'a str>,
    href_text: Option<&'a str>,
    request_id: Option<&'a str>,
}

impl Refusal {
    /// With the words that every such answer has.
    pub(super) fn of(status: StatusCode) -> Refusal {
        let (title, what, mend) = common(status);
        let (title, what, mend) = (title.into(), what.into(), mend.into());
        Refusal { status, words: Box::new(Words { title, what, mend, href: None, href_text: None, cause: None }) }
    }

    /// Nothing is here, or it isn't this person's: which of them it is, is not said.
    pub(super) fn not_found() -> Refusal {
        Refusal::of(StatusCode::NOT_FOUND)
    }

    pub(super) fn bad_request(what: impl Into<String>) -> Refusal {
        Refusal::of(StatusCode::BAD_REQUEST).what(what)
    }

    pub(super) fn conflict(what: impl Into<String>) -> Refusal {
        Refusal::of(StatusCode::CONFLICT).what(what)
    }

    pub(super) fn forbidden(what: impl Into<String>) -> Refusal {
        Refusal::of(StatusCode::FORBIDDEN).what(what)
    }

    pub(super) fn invalid(what: impl Into<String>) -> Refusal {
        Refusal::of(StatusCode::UNPROCESSABLE_ENTITY).what(what)
    }

    /// Something that the console needs does not answer; `cause` goes to the log.
    pub(super) fn away(cause: impl std::fmt::Display) -> Refusal {
        Refusal::of(StatusCode::SERVICE_UNAVAILABLE).because(cause)
    }

    /// The console's own fault; `cause` goes to the log.
    pub(super) fn fault(cause: impl std::fmt::Display) -> Refusal {
        Refusal::of(StatusCode::INTERNAL_SERVER_ERROR).because(cause)
    }

    pub(super) fn title(mut self, title: impl Into<String>) -> Refusal {
        self.words.title = title.into();
        self
    }

    pub(super) fn what(mut self, what: impl Into<String>) -> Refusal {
        self.words.what = sentence(&what.into());
        self
    }

    pub(super) fn mend(mut self, mend: impl Into<String>) -> Refusal {
        self.words.mend = mend.into();
        self
    }

    /// For the log.
    pub(super) fn because(mut self, cause: impl std::fmt::Display) -> Refusal {
        self.words.cause = Some(cause.to_string());
        self
    }

    pub(super) fn link(mut self, href: impl Into<String>, text: &'static str) -> Refusal {
        (self.words.href, self.words.href_text) = (Some(href.into()), Some(text));
        self
    }

    /// What is wrong, as a sentence.
    pub(super) fn words_of_it(&self) -> &str {
        &self.words.what
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.words.cause.as_deref()
    }

    /// `request` is named where somebody may have to look for it in the log.
    pub(super) fn told<'a>(&'a self, request: &'a str) -> Told<'a> {
        Told {
            status: self.status.as_u16(),
            title: &self.words.title,
            what: &self.words.what,
            mend: &self.words.mend,
            href: self.words.href.as_deref(),
            href_text: self.words.href_text,
            request_id: self.status.is_server_error().then_some(request),
        }
    }
}

/// Errors begin small and end without a full stop; on a page they are sentences.
fn sentence(text: &str) -> String {
    let mut characters = text.trim_end_matches('.').chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

fn common(status: StatusCode) -> (&'static str, &'static str, &'static str) {
    match status.as_u16() {
        400 => (
            "That could not be read",
            "The console did not understand what the browser sent.",
            "Go back, and try it once more.",
        ),
        401 => ("You are signed out", "Your session has ended.", "Sign in again. A vote that you had sent is kept."),
        403 => (
            "You may not do that",
            "Your role does not allow it in this tenant.",
            "If you need it, ask an administrator of your console for the role.",
        ),
        404 => (
            "There is no such page",
            "Nothing is here, or it belongs to a tenant that isn’t yours.",
            "Check the address, or search for the submission.",
        ),
        405 => (
            "That can’t be done here",
            "This address does not take such a request.",
            "Go back, and use the buttons of the page.",
        ),
        409 => (
            "Something else came first",
            "What you wanted to change has changed meanwhile.",
            "Nothing was lost. Look at how it is now, then decide.",
        ),
        413 => {
            ("That is too long", "What was sent is longer than the console takes.", "Shorten it, and send it again.")
        }
        421 => (
            "This is not the console’s address",
            "The browser asked for a name that this console does not serve.",
            "Open the console by the address that you were given.",
        ),
        422 => (
            "Something is missing",
            "Not everything that is needed was filled in.",
            "Go back, complete it, and send it again.",
        ),
        503 => (
            "The console can’t work just now",
            "The database or the object store did not answer.",
            "Wait a minute and try again. Nothing that you had sent is lost.",
        ),
        _ => (
            "Something went wrong",
            "It is a fault of the console, not yours.",
            "Try it again. If it happens again, tell the person who runs the console, with the number below.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_says_becomes_a_sentence_and_its_cause_is_not_told() {
        let refusal = Refusal::away("password of the database");
        assert!(!serde_json::to_string(&refusal.told("7")).unwrap().contains("password"));
        let told = Refusal::conflict("this item is decided already");
        assert_eq!(told.told("7").what, "This item is decided already.");
        assert_eq!((told.told("7").request_id, refusal.told("7").request_id), (None, Some("7")));
        assert_eq!(sentence(""), ".");
    }
}
