//! The review console: its pages as text (templates, style, script), and the server that gives them to people.
//!
//! `CONTEXT.md` says what each page wants, which routes there are, and which headers go with them.

mod filters;
mod pages;
pub mod server;
mod statics;

pub use pages::{Page, Pages, PagesError};
pub use server::{BindError, Server, Settings, bind};
pub use statics::{Static, statics};
