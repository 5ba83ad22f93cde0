//! `[console]` of the configuration, as far as it is about the server.

use serde::Deserialize;

/// Keys of `[console]` beside those of who may come in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen. A console without signing in listens on loopback alone.
    pub listen: String,
    /// The address that people open, such as `https://review.example.com`; "" for that of `listen`.
    pub public_url: String,
    /// Whether pictures are blurred until somebody uncovers them.
    pub blur: Look,
    /// Whether they are grey until then.
    pub grey: Look,
    /// Where the program serves `/livez`, `/readyz` and `/metrics` of the console; "" for nowhere.
    pub admin: String,
}

/// Who decides how a picture looks at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Look {
    /// Each for themselves.
    #[default]
    Reviewer,
    Always,
    Never,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: "127.0.0.1:9466".into(),
            public_url: String::new(),
            blur: Look::Reviewer,
            grey: Look::Reviewer,
            admin: String::new(),
        }
    }
}

impl Look {
    /// What the organisation wants; `None` where the reviewer decides.
    pub(super) fn fixed(self) -> Option<bool> {
        match self {
            Look::Reviewer => None,
            Look::Always => Some(true),
            Look::Never => Some(false),
        }
    }
}
