//! An appeal: somebody objects to a verdict.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::document::{given, image, needed};
use super::label::MAX_ACTOR;
use super::request::{validate_image, validate_length, validate_tenant};
use super::{ImageRef, OutcomeId, RequestError};

/// Longest `text`, in bytes.
pub const MAX_APPEAL: usize = 4096;

/// One message of the queue `assay.appeals`: somebody objects to a verdict, and people decide.
///
/// One verdict has one appeal; the same text again is the same appeal. Fields that are not listed are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Appeal {
    /// The verdict; it has to be the latest of its submission.
    pub verdict_id: OutcomeId,
    /// What the person who objects writes. At most 4096 bytes.
    #[schemars(length(min = 1, max = MAX_APPEAL))]
    pub text: String,
    /// An object that is to show it, such as the camera's own file; it has to lie where the tenant's images may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<ImageRef>,
    /// Whose verdict it is; without one, whoever's it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub tenant: Option<String>,
    /// The system or team that passes it on; no name of a person. At most 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ACTOR))]
    pub actor: Option<String>,
}

impl Appeal {
    /// Reads the document and checks every bound of it; the error names the field.
    pub fn of_document(document: &Map<String, Value>) -> Result<Appeal, RequestError> {
        const EVIDENCE: [&str; 6] =
            ["evidence", "evidence.bucket", "evidence.key", "evidence.version_id", "evidence.etag", "evidence.sha256"];
        let appeal = Appeal {
            verdict_id: needed(document, "verdict_id", "verdict_id")?,
            text: needed(document, "text", "text")?,
            evidence: image(document, EVIDENCE)?,
            tenant: given(document, "tenant", "tenant")?,
            actor: given(document, "actor", "actor")?,
        };
        appeal.validate()?;
        Ok(appeal)
    }

    /// Checks what types do not already hold.
    pub fn validate(&self) -> Result<(), RequestError> {
        validate_length("text", &self.text, MAX_APPEAL)?;
        if self.text.contains('\0') {
            return Err(RequestError::new("text", "contains a NUL character, which can't be stored: take it out"));
        }
        if let Some(evidence) = &self.evidence {
            validate_image(evidence)?;
        }
        self.actor.as_deref().map_or(Ok(()), |actor| validate_length("actor", actor, MAX_ACTOR))?;
        self.tenant.as_deref().map_or(Ok(()), validate_tenant)
    }
}
