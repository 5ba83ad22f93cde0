//! A correction: what a reviewer says an image is. It becomes a label for training.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::document::{given, image, needed};
use super::request::{MAX_LABEL, validate_image, validate_length, validate_tenant};
use super::{ImageRef, OutcomeId, RequestError};

/// Longest `actor`, in bytes.
pub const MAX_ACTOR: usize = 256;
/// Longest `reason`, in bytes.
pub const MAX_REASON: usize = 4096;

/// One message of the queue `assay.labels`: what a reviewer says an image is.
///
/// It names the image by exactly one of `verdict_id` and `image`. Fields that are not listed are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Label", extend("anyOf" = [
    {"properties": {"origin": {"const": "synthetic"}}},
    {"properties": {"generator": {"type": "null"}}},
]))]
pub struct Correction {
    #[serde(flatten)]
    pub subject: Subject,
    pub origin: LabelledOrigin,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentType>,
    /// Which generator made it, by a label such as `midjourney`; only for a synthetic image.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_LABEL))]
    pub generator: Option<String>,
    /// Who says so: a person, a team or a system. At most 256 bytes.
    #[schemars(length(min = 1, max = MAX_ACTOR))]
    pub actor: String,
    /// On what grounds. At most 4096 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_REASON))]
    pub reason: Option<String>,
    /// Whose image it is; without one, that of the verdict, or the owner of the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub tenant: Option<String>,
}

/// What the correction is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The image of this verdict (or failure).
    VerdictId(OutcomeId),
    /// An image that need not have been submitted.
    Image(ImageRef),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LabelledOrigin {
    Real,
    Synthetic,
}

/// What the image shows, in ImagiNet's four kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContentType {
    Photos,
    Paintings,
    Faces,
    Uncategorized,
}

impl LabelledOrigin {
    pub fn as_str(self) -> &'static str {
        match self {
            LabelledOrigin::Real => "real",
            LabelledOrigin::Synthetic => "synthetic",
        }
    }
}

impl ContentType {
    pub fn as_str(self) -> &'static str {
        match self {
            ContentType::Photos => "photos",
            ContentType::Paintings => "paintings",
            ContentType::Faces => "faces",
            ContentType::Uncategorized => "uncategorized",
        }
    }
}

impl Correction {
    /// Reads the document and checks every bound of it; the error names the field.
    pub fn of_document(document: &Map<String, Value>) -> Result<Correction, RequestError> {
        const IMAGE: [&str; 6] =
            ["image", "image.bucket", "image.key", "image.version_id", "image.etag", "image.sha256"];
        let subject = match (given(document, "verdict_id", "verdict_id")?, image(document, IMAGE)?) {
            (Some(verdict), None) => Subject::VerdictId(verdict),
            (None, Some(image)) => Subject::Image(image),
            (None, None) => return Err(RequestError::new("verdict_id", "is missing, and so is `image`: give one")),
            (Some(_), Some(_)) => return Err(RequestError::new("image", "is given beside `verdict_id`: give one")),
        };
        let correction = Correction {
            subject,
            origin: needed(document, "origin", "origin")?,
            content_type: given(document, "content_type", "content_type")?,
            generator: given(document, "generator", "generator")?,
            actor: needed(document, "actor", "actor")?,
            reason: given(document, "reason", "reason")?,
            tenant: given(document, "tenant", "tenant")?,
        };
        correction.validate()?;
        Ok(correction)
    }

    /// Checks what types do not already hold.
    pub fn validate(&self) -> Result<(), RequestError> {
        if let Subject::Image(image) = &self.subject {
            validate_image(image)?;
        }
        if let Some(generator) = &self.generator {
            if self.origin == LabelledOrigin::Real {
                return Err(RequestError::new("generator", "is given, but `origin` is \"real\""));
            }
            validate_length("generator", generator, MAX_LABEL)?;
        }
        validate_length("actor", &self.actor, MAX_ACTOR)?;
        match &self.reason {
            Some(reason) if !reason.is_empty() => validate_length("reason", reason, MAX_REASON)?,
            _ => {}
        }
        self.tenant.as_deref().map_or(Ok(()), validate_tenant)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: Value) -> Result<Correction, RequestError> {
        let Value::Object(map) = document else { panic!("an object is read") };
        Correction::of_document(&map)
    }

    fn complete() -> Value {
        json!({
            "image": {"bucket": "uploads", "key": "u/1.jpg", "version_id": "v1", "sha256": "A".repeat(64)},
            "origin": "synthetic", "content_type": "faces", "generator": "midjourney",
            "actor": "moderator:7", "reason": "six fingers", "tenant": "acme", "mood": "sure",
        })
    }

    #[test]
    fn a_whole_correction_is_read_and_written_the_same() {
        let correction = read(complete()).unwrap();
        assert_eq!(correction.content_type, Some(ContentType::Faces));
        assert!(matches!(&correction.subject, Subject::Image(image) if image.sha256 == Some("a".repeat(64))));
        assert_eq!(read(serde_json::to_value(&correction).unwrap()), Ok(correction));
        let id = "6f2c1c0e-8a53-5b57-9f5c-0b1d0a1c2d3e";
        let short = read(json!({"verdict_id": id, "image": null, "origin": "real", "actor": "a"})).unwrap();
        assert!(matches!(short.subject, Subject::VerdictId(found) if found.to_string() == id));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let field = |name: &str, value: Value| {
            let mut document = complete();
            match name.strip_prefix("image.") {
                Some(inner) => document["image"][inner] = value,
                None => document[name] = value,
            }
            read(document).unwrap_err().field
        };
        assert_eq!(field("verdict_id", json!("6f2c1c0e-8a53-5b57-9f5c-0b1d0a1c2d3e")), "image");
        assert_eq!(field("verdict_id", json!("post-1")), "verdict_id");
        assert_eq!(field("image", json!(null)), "verdict_id");
        assert_eq!(field("image", json!("u/1.jpg")), "image");
        assert_eq!(field("image.key", json!(null)), "image.key");
        assert_eq!(field("image.bucket", json!(1)), "image.bucket");
        assert_eq!(field("image.sha256", json!("abc")), "image.sha256");
        assert_eq!(field("origin", json!("fake")), "origin");
        assert_eq!(field("origin", json!(null)), "origin");
        assert_eq!(field("origin", json!("real")), "generator");
        assert_eq!(field("content_type", json!("memes")), "content_type");
        assert_eq!(field("generator", json!("")), "generator");
        assert_eq!(field("actor", json!("x".repeat(MAX_ACTOR + 1))), "actor");
        assert_eq!(field("actor", json!(null)), "actor");
        assert_eq!(field("reason", json!("x".repeat(MAX_REASON + 1))), "reason");
        assert_eq!(field("tenant", json!("a.b")), "tenant");
    }
}
