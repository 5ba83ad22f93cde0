//! The bytes of an image, compared with what is said of them.

use std::sync::Arc;

use bytes::Bytes;

use domain::{ImageRef, JudgedImage};
use objects::{Allowed, FetchError, Object, Objects};

use crate::trouble::{Found, Trouble};

/// Where an image lies, and what its bytes must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    bucket: String,
    key: String,
    version_id: Option<String>,
    /// Lower-case hexadecimal; `None` for what no verdict is about.
    sha256: Option<String>,
}

impl Place {
    pub(crate) fn of_judged(image: &JudgedImage) -> Place {
        Place {
            bucket: image.bucket.clone(),
            key: image.key.clone(),
            version_id: image.version_id.clone(),
            sha256: Some(image.sha256.to_ascii_lowercase()),
        }
    }

    pub(crate) fn of_reference(image: &ImageRef) -> Place {
        Place {
            bucket: image.bucket.clone(),
            key: image.key.clone(),
            version_id: image.version_id.clone(),
            sha256: image.sha256.as_ref().map(|digest| digest.to_ascii_lowercase()),
        }
    }

    /// Without a digest, so that the store's own comparison does not hide what it found.
    fn reference(&self, version_id: Option<String>) -> ImageRef {
        ImageRef { bucket: self.bucket.clone(), key: self.key.clone(), version_id, ..ImageRef::default() }
    }

    /// Bytes that it takes in memory, about.
    pub(crate) fn cost(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.bucket.len() + self.key.len() + length(&self.version_id) + length(&self.sha256) + 256
    }
}

/// Bytes, and their digest.
pub(crate) struct Digest {
    pub(crate) bytes: Bytes,
    pub(crate) sha256: String,
}

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) max_bytes: u64,
}

impl Store {
    pub(crate) fn admit(&self, tenant: &str, place: &Place) -> Result<(), Trouble> {
        self.allowed.admits(tenant, &place.bucket, &place.key).map_err(Trouble::NotAllowed)
    }

    /// The bytes that were judged, or what became of them. Where the version is gone, what the key holds now may be the same bytes, and
    /// is otherwise what was found.
    pub(crate) async fn fetch(&self, place: &Place) -> Result<Digest, Trouble> {
        let asked = self.objects.fetch(&place.reference(place.version_id.clone()), self.max_bytes).await;
        let object = match (asked, &place.version_id) {
            // A server that keeps no versions any more gives another one than was asked for.
            (Err(FetchError::NotFound { .. } | FetchError::Mismatch { .. }), Some(_)) if place.sha256.is_some() => {
                self.objects.fetch(&place.reference(None), self.max_bytes).await
            }
            (asked, _) => asked,
        };
        let Object { bytes, sha256, version_id, .. } = object.map_err(|error| Trouble::of_fetch(&error))?;
        if place.sha256.as_ref().is_some_and(|asked| *asked != sha256) {
            let found = Found { sha256, bytes: bytes.len() as u64, version_id };
            return Err(Trouble::Changed { found });
        }
        Ok(Digest { bytes, sha256 })
    }
}
