//! Keys that outlive what was recorded under them.

use time::OffsetDateTime;
use uuid::Uuid;

use domain::{ImageRef, OutcomeId};

/// Why the outcome of a key that is taken is not there.
#[derive(Clone, Debug, PartialEq)]
pub enum Gone {
    Expired(Expired),
    /// Somebody asked for it to be deleted (`assay erase`); of the submission nothing is known any more.
    Erased {
        at: OffsetDateTime,
    },
}

/// A key that is taken, and whose outcome is not kept any more (`[retention]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Expired {
    pub id: OutcomeId,
    pub recorded_at: OffsetDateTime,
    /// Of the image for which the key was given.
    pub(crate) image_binding: Uuid,
}

impl Expired {
    /// Whether the key was given for this image, as far as the register knows: by bucket and key.
    pub fn agrees_with(&self, image: &ImageRef) -> bool {
        self.image_binding == binding(&image.bucket, &image.key)
    }
}

/// Which image a key was given for, in 16 bytes.
pub(crate) fn binding(bucket: &str, key: &str) -> Uuid {
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"assay.image");
    // Neither part can hold NUL where it is recorded.
    Uuid::new_v5(&namespace, format!("{bucket}\0{key}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_told_from_another_one() {
        assert_eq!(binding("uploads", "a"), binding("uploads", "a"));
        for (bucket, key) in [("uploads", "b"), ("upload", "sa"), ("uploadsa", "")] {
            assert_ne!(binding("uploads", "a"), binding(bucket, key));
        }
    }
}
