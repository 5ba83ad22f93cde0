//! The pages of the review console, as text: templates, style and script. No server, no database, no session is here.
//!
//! `CONTEXT.md` says what each page wants, which routes it expects, and which headers go with it.

mod filters;
mod pages;
mod statics;

pub use pages::{Page, Pages, PagesError};
pub use statics::{Static, statics};
