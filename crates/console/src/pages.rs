//! Pages from their templates.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::filters;

/// A page that can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Queue,
    Item,
    /// An item whose image can't be shown as the one that was judged.
    Gone,
    Search,
    History,
    Numbers,
    Appeals,
    Appeal,
    Audit,
    Tokens,
    Login,
    Error,
    Help,
}

#[derive(Debug, thiserror::Error)]
#[error("the page {page:?} can't be made: {source}")]
pub struct PagesError {
    page: Page,
    source: minijinja::Error,
}

/// All templates, ready to be rendered.
pub struct Pages {
    environment: Environment<'static>,
}

/// By name, with those that others include.
const TEMPLATES: [(&str, &str); 18] = [
    ("appeal.html", include_str!("../templates/appeal.html")),
    ("appeals.html", include_str!("../templates/appeals.html")),
    ("audit.html", include_str!("../templates/audit.html")),
    ("error.html", include_str!("../templates/error.html")),
    ("evidence.html", include_str!("../templates/evidence.html")),
    ("gone.html", include_str!("../templates/gone.html")),
    ("help.html", include_str!("../templates/help.html")),
    ("history.html", include_str!("../templates/history.html")),
    ("item.html", include_str!("../templates/item.html")),
    ("keys.html", include_str!("../templates/keys.html")),
    ("layout.html", include_str!("../templates/layout.html")),
    ("login.html", include_str!("../templates/login.html")),
    ("numbers.html", include_str!("../templates/numbers.html")),
    ("picture.html", include_str!("../templates/picture.html")),
    ("queue.html", include_str!("../templates/queue.html")),
    ("search.html", include_str!("../templates/search.html")),
    ("tokens.html", include_str!("../templates/tokens.html")),
    ("words.html", include_str!("../templates/words.html")),
];

impl Page {
    pub const ALL: [Page; 13] = [
        Page::Queue,
        Page::Item,
        Page::Gone,
        Page::Search,
        Page::History,
        Page::Numbers,
        Page::Appeals,
        Page::Appeal,
        Page::Audit,
        Page::Tokens,
        Page::Login,
        Page::Error,
        Page::Help,
    ];

    fn template(self) -> &'static str {
        match self {
            Page::Queue => "queue.html",
            Page::Item => "item.html",
            Page::Gone => "gone.html",
            Page::Search => "search.html",
            Page::History => "history.html",
            Page::Numbers => "numbers.html",
            Page::Appeals => "appeals.html",
            Page::Appeal => "appeal.html",
            Page::Audit => "audit.html",
            Page::Tokens => "tokens.html",
            Page::Login => "login.html",
            Page::Error => "error.html",
            Page::Help => "help.html",
        }
    }
}

impl Pages {
    pub fn new() -> Pages {
        let mut environment = Environment::new();
        // What a page prints and its context lacks is a mistake, and no empty place.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        filters::add(&mut environment);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text).expect("the templates are read by a test");
        }
        Pages { environment }
    }

    /// The whole page. Whatever is in the context is text: none of it becomes markup. Numbers are Rust's own, not serde_json's.
    pub fn render(&self, page: Page, context: impl Serialize) -> Result<String, PagesError> {
        let rendered =
            self.environment.get_template(page.template()).and_then(|template| template.render(Serde(context)));
        rendered.map_err(|source| PagesError { page, source })
    }
}

impl Default for Pages {
    fn default() -> Self {
        Pages::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use minijinja::value::Value;
    use serde_json::Map;

    use super::*;

    /// As the program's own types would be. (serde_json's numbers keep their digits, and are no numbers to anybody else.)
    fn value(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::from(()),
            serde_json::Value::Bool(flag) => Value::from(*flag),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Value::from(whole),
                None => Value::from(number.as_f64().unwrap()),
            },
            serde_json::Value::String(text) => Value::from(text.as_str()),
            serde_json::Value::Array(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
            serde_json::Value::Object(members) => object(members),
        }
    }

    fn object(members: &Map<String, serde_json::Value>) -> Value {
        Value::from_pairs(members.iter().map(|(key, member)| (key.as_str(), value(member))))
    }

    /// The samples: a state of a page each, laid over what is on every page.
    fn samples() -> Vec<(String, Page, Map<String, serde_json::Value>)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
        let read = |path: &std::path::Path| -> Map<String, serde_json::Value> {
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
        };
        let common = read(&std::path::Path::new(folder).join("_common.json"));
        let mut samples = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            if name.starts_with('_') {
                continue;
            }
            let sample = read(&path);
            let page = Page::ALL.into_iter().find(|page| sample["template"] == page.template()).unwrap();
            let mut context = common.clone();
            context.extend(sample["context"].as_object().unwrap().clone());
            samples.push((name, page, context));
        }
        samples
    }

    #[test]
    fn every_sample_of_every_page_is_rendered_and_nothing_in_it_becomes_markup() {
        let (pages, samples) = (Pages::new(), samples());
        let mut seen = BTreeSet::new();
        for (name, page, context) in &samples {
            let html = pages.render(*page, object(context)).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert!(html.trim_start().starts_with("<!doctype html>") && html.contains("</html>"), "{name}");
            for markup in
                ["<script>", "onerror=alert(2)>\"'><b>bold", "<b>bold</b>", "style=", "javascript:", "onclick="]
            {
                assert!(!html.contains(markup), "{name} has {markup}");
            }
            seen.insert(page.template());
        }
        assert_eq!(seen.len(), Page::ALL.len(), "each page has a sample: {seen:?}");
        let hostile = samples
            .iter()
            .filter(|(_, _, context)| serde_json::to_string(context).unwrap().contains("<script>alert(1)"));
        assert!(hostile.count() >= 4, "some samples hold markup");
    }

    #[test]
    fn a_context_that_lacks_what_a_page_prints_is_an_error() {
        let pages = Pages::new();
        let (_, page, mut context) = samples().into_iter().find(|(name, ..)| name == "item").unwrap();
        context["item"].as_object_mut().unwrap().remove("submission_id");
        let error = pages.render(page, object(&context)).unwrap_err().to_string();
        assert!(error.contains("Item") && error.contains("undefined"), "{error}");
    }

    #[test]
    fn what_is_blind_says_nothing_of_the_score() {
        let (_, page, context) = samples().into_iter().find(|(name, ..)| name == "item-blind").unwrap();
        let html = Pages::new().render(page, object(&context)).unwrap();
        assert!(!html.contains("probability of synthetic") && !html.contains("history</a>"));
    }

    #[test]
    fn pages_refer_to_files_that_are_there() {
        let layout = TEMPLATES.iter().find(|(name, _)| *name == "layout.html").unwrap().1;
        for file in crate::statics() {
            assert!(layout.contains(&format!("/static/{}", file.name)), "{}", file.name);
        }
    }
}
