//! The description of `assay api` in OpenAPI 3.1, whose schemas are JSON Schema: those of the types.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::plain;
use crate::submission::Submission;

pub(super) fn document() -> Value {
    let mut settings = plain(SchemaSettings::draft2020_12().for_serialize());
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let answer = generator.subschema_for::<Submission>();
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".into(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Assay: submissions",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What became of a submission, for services that ask instead of listening. Served by `assay api`.",
        },
        "paths": {"/v1/submissions/{tenant}/{submission_id}": {"get": {
            "operationId": "getSubmission",
            "summary": "All outcomes of a submission, and what people said of its image",
            "description": "Outcomes are the documents that were published, in the order of their generations; the last verdict counts.",
            "parameters": [
                {"name": "tenant", "in": "path", "required": true,
                 "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}},
                {"name": "submission_id", "in": "path", "required": true,
                 "description": "The platform's own id; in events of an object store the key of the object, whose slashes may be written as they are.",
                 "schema": {"type": "string", "minLength": 1, "maxLength": 512}},
            ],
            "responses": responses(&answer.to_value()),
        }}},
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer",
                                          "description": "A token of `api.tokens_file`, bound to one tenant or to all."}},
            "schemas": schemas,
        },
    })
}

fn responses(answer: &Value) -> Value {
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({"description": "There are outcomes.", "content": {"application/json": {"schema": answer}}}),
    );
    for (status, description) in [
        ("400", "No submission can have this tenant or id."),
        ("401", "No token, or one that is not known."),
        ("403", "The token is of another tenant."),
        ("404", "There is no outcome: the submission still waits, was never sent, or could not be read."),
        ("500", "A defect, or a right or table that is missing: the log of `assay api` says which."),
        ("503", "The database can't be asked now; ask again after `Retry-After` seconds."),
    ] {
        let content = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        responses.insert(status.into(), json!({"description": description, "content": content}));
    }
    responses.into()
}

/// RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What is wrong and how to fix it, for a person."},
        },
    })
}
