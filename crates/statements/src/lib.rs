//! Statements of reasons: what Assay can say of a restriction in the form of the EU's DSA Transparency Database.
//!
//! A provider that restricts content gives a statement of reasons (Regulation (EU) 2022/2065, article 17) and sends it to the
//! Commission's database without personal data (article 24(5)). [`Statement::of`] fills in what follows from a [`domain::Verdict`],
//! its policy and a [`Review`]; what only the platform knows stays empty. [`check()`] holds a statement, also one that the platform
//! has completed, against the published field rules, and [`Completeness`] says what is missing. Nothing here submits anything, and
//! all of it is pure.
//!
//! Attributes, codes and rules are those of the schema in force since 1 July 2025, the newest that is published; codes that
//! only the schema before had (such as `STATEMENT_CATEGORY_SCOPE_OF_PLATFORM_SERVICE` and `KEYWORD_DISINFORMATION`) are refused.
//! Their source: European Commission, DSA Transparency Database, "API Documentation",
//! <https://transparency.dsa.ec.europa.eu/page/api-documentation>, published for testing on 2 April 2025 and in force since
//! 1 July 2025; what attributes mean: "Documentation", <https://transparency.dsa.ec.europa.eu/page/documentation>, same date.
//!
//! Reading order: `statement`, `fields` and [`codes`] → `facts` → `puid`, `template` (with `shown`, `addresses`) → `derivation`
//! → `check` (with `findings`, `problem`) → `completeness`.

mod addresses;
mod check;
pub mod codes;
mod completeness;
mod derivation;
mod facts;
mod fields;
mod findings;
mod problem;
mod puid;
mod shown;
mod statement;
mod template;

pub use check::check;
pub use completeness::Completeness;
pub use derivation::NoStatement;
pub use facts::{Facts, Resolution, Review};
pub use fields::{FIELDS, Field, FilledBy, Need, table};
pub use problem::{Problem, Rule};
pub use puid::puid;
pub use statement::Statement;
pub use template::{FactsTemplate, MAX_FACTS, TemplateError};
