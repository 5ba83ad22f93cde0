//! Fields of JSON documents, with errors that call them by their paths.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ImageRef, RequestError};

/// A field, which errors call by its whole `path`. `null` says as much as nothing.
pub(crate) fn given<T: DeserializeOwned>(
    object: &Map<String, Value>,
    field: &str,
    path: &'static str,
) -> Result<Option<T>, RequestError> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            T::deserialize(value).map(Some).map_err(|error| RequestError::new(path, format!("can't be read: {error}")))
        }
    }
}

pub(crate) fn needed<T: DeserializeOwned>(
    object: &Map<String, Value>,
    field: &str,
    path: &'static str,
) -> Result<T, RequestError> {
    given(object, field, path)?.ok_or_else(|| RequestError::new(path, "is missing"))
}

/// A reference to an image, in the first of `paths`; the others are those of its bucket, key, version_id, etag and sha256.
pub(crate) fn image(
    document: &Map<String, Value>,
    [field, bucket, key, version_id, etag, sha256]: [&'static str; 6],
) -> Result<Option<ImageRef>, RequestError> {
    let Some(image) = given::<Map<String, Value>>(document, field, field)? else { return Ok(None) };
    Ok(Some(ImageRef {
        bucket: needed(&image, "bucket", bucket)?,
        key: needed(&image, "key", key)?,
        version_id: given(&image, "version_id", version_id)?,
        etag: given(&image, "etag", etag)?,
        sha256: given::<String>(&image, "sha256", sha256)?.map(|digest| digest.to_ascii_lowercase()),
    }))
}
