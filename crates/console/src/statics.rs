//! The files that pages refer to.

/// A file under `/static/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Static {
    pub name: &'static str,
    pub content_type: &'static str,
    pub text: &'static str,
}

/// Every one of them.
pub fn statics() -> [Static; 3] {
    [
        Static {
            name: "console.css",
            content_type: "text/css; charset=utf-8",
            text: include_str!("../static/console.css"),
        },
        Static {
            name: "console.js",
            content_type: "text/javascript; charset=utf-8",
            text: include_str!("../static/console.js"),
        },
        Static { name: "icon.svg", content_type: "image/svg+xml", text: include_str!("../static/icon.svg") },
    ]
}
