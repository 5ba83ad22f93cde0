//! `assay schema`: the JSON Schemas of the documents that go in and out and the description of `assay api`, from the types that
//! read and write them.

mod openapi;

use std::path::PathBuf;

use clap::Parser;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::End;
use super::print::say;
use artefact::Manifest;
use broker::wire::RequestDocument;
use domain::{Appeal, AppealDecided, Correction, Erased, Failure, Rejection, ReviewDecision, Verdict};
use erasure::Receipt;

/// Print the JSON Schema of a document that goes in or out, or the OpenAPI document of `assay api`.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay schema verdict               what a verdict looks like
  assay schema --out docs/schemas    all of them into files, as `make schemas` does")]
pub(super) struct Args {
    #[arg(required_unless_present = "out", value_parser = NAMES)]
    name: Option<String>,
    /// Write all of them into this folder instead.
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    out: Option<PathBuf>,
}

const NAMES: [&str; 12] = [
    "request",
    "verdict",
    "failure",
    "rejection",
    "label",
    "erased",
    "erasure",
    "appeal",
    "appeal_decided",
    "decision",
    "manifest",
    OPENAPI,
];
const OPENAPI: &str = "openapi";

pub(super) fn run(args: &Args) -> Result<(), End> {
    if let Some(name) = &args.name {
        say!("{}", text(name).trim_end());
        return Ok(());
    }
    let Some(folder) = &args.out else { return Ok(()) };
    for name in NAMES {
        let path = folder.join(format!("{name}.json"));
        std::fs::write(&path, text(name)).map_err(|error| End::work(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// The description of `assay api`.
pub(super) fn openapi() -> String {
    format!("{:#}\n", openapi::document())
}

fn text(name: &str) -> String {
    if name == OPENAPI {
        return openapi();
    }
    let mut schema = match name {
        "request" => read::<RequestDocument>(),
        "verdict" => written::<Verdict>(),
        "failure" => written::<Failure>(),
        "rejection" => written::<Rejection>(),
        "label" => read::<Correction>(),
        "erased" => written::<Erased>(),
        "erasure" => written::<Receipt>(),
        "appeal" => read::<Appeal>(),
        "appeal_decided" => written::<AppealDecided>(),
        "decision" => written::<ReviewDecision>(),
        _ => read::<Manifest>(),
    };
    schema.insert("$id".into(), format!("urn:assay:schema:{name}.v1").into());
    format!("{:#}\n", schema.to_value())
}

/// What we write: every field is there.
fn written<T: JsonSchema>() -> Schema {
    plain(SchemaSettings::draft2020_12().for_serialize()).into_generator().into_root_schema_for::<T>()
}

/// What we read: what may be left out is not required.
fn read<T: JsonSchema>() -> Schema {
    plain(SchemaSettings::draft2020_12().for_deserialize()).into_generator().into_root_schema_for::<T>()
}

fn plain(settings: SchemaSettings) -> SchemaSettings {
    settings.with_transform(RecursiveTransform(known_formats)).with_transform(RecursiveTransform(one_enum))
}

/// Leaves out the formats that only Rust knows (`uint32`, `float`): strict validators refuse what they don't know.
fn known_formats(schema: &mut Schema) {
    let known = |format: &Value| ["date-time", "uuid"].iter().any(|known| format == known);
    if schema.get("format").is_some_and(|format| !known(format)) {
        schema.remove("format");
    }
}

/// Makes one plain enum of a choice between words, and one description of theirs: what generators of code expect.
fn one_enum(schema: &mut Schema) {
    let Some(Value::Array(choices)) = schema.get("oneOf") else { return };
    let mut words = Vec::new();
    let mut lines: Vec<String> =
        schema.get("description").and_then(Value::as_str).map(str::to_string).into_iter().collect();
    for choice in choices {
        let several = choice.get("enum").and_then(Value::as_array).cloned();
        let Some(named) = several.or_else(|| choice.get("const").cloned().map(|word| vec![word])) else { return };
        if let Some(description) = choice.get("description").and_then(Value::as_str) {
            lines.extend(
                named
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|word| format!("`{word}`: {}", description.replace('\n', "; "))),
            );
        }
        words.extend(named);
    }
    if !words.iter().all(Value::is_string) {
        return;
    }
    schema.remove("oneOf");
    schema.insert("type".into(), json!("string"));
    schema.insert("enum".into(), words.into());
    if !lines.is_empty() {
        schema.insert("description".into(), lines.join("\n").into());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_schemas_under_docs_are_those_of_the_types() {
        for name in NAMES {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{name}.json"));
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(found == text(name), "{} is out of date: `make schemas` writes it", path.display());
        }
    }

    #[test]
    fn failure_codes_are_one_enum_of_all_of_them() {
        let schema: Value = serde_json::from_str(&text("failure")).unwrap();
        let codes: Vec<_> = domain::FailureCode::ALL.iter().map(|code| json!(code.as_str())).collect();
        let mut found = schema["$defs"]["FailureCode"]["enum"].as_array().unwrap().clone();
        found.sort_by_key(|code| codes.iter().position(|one| one == code));
        assert_eq!(found, codes);
    }
}
