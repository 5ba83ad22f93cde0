//! The pixels of the images of a run: decoded in the sandbox, and kept while there is room, so that an image is decoded once
//! a run as long as `training.cache_bytes` allows. What an image looks like is kept in any case.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::dataset::LabelledImage;
use super::likenesses::Likenesses;
use crate::training::TrainingError;
use augment::Likeness;
use decoder::{Error, Pool, StartError};
use imaging::Picture;

/// Side of the window that is kept of an image, in pixels: what a perturbation may look at.
const WINDOW: u16 = 1024;

/// Decodes the middle of an image. [`Pool`] does so in a process of its own.
pub trait Decode: Send + Sync {
    fn decode(&self, bytes: &[u8], side: u16) -> Result<Picture, Error>;
}

impl Decode for Pool {
    fn decode(&self, bytes: &[u8], side: u16) -> Result<Picture, Error> {
        self.window(bytes, side).map(|window| window.picture)
    }
}

/// Decoded images by the sha256 of their bytes, whichever lists they are in.
pub struct ImageCache {
    decoder: Box<dyn Decode>,
    limits: Limits,
    likenesses: Likenesses,
    held: Mutex<Held>,
}

/// In bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a file.
    pub file: u64,
    /// Of all pixels that are kept; what does not fit is decoded each time.
    pub pixels: u64,
}

#[derive(Default)]
struct Held {
    pictures: HashMap<String, Arc<Picture>>,
    bytes: u64,
    /// Those that can't be decoded, and why.
    lost: BTreeMap<String, String>,
}

impl ImageCache {
    pub fn new(decoder: Box<dyn Decode>, limits: Limits, likenesses: Likenesses) -> ImageCache {
        ImageCache { decoder, limits, likenesses, held: Mutex::default() }
    }

    /// A list of images whose pixels come from this cache.
    pub fn of<'a>(&'a self, images: &'a [LabelledImage]) -> CachedImages<'a> {
        CachedImages { images, cache: self }
    }

    fn picture(&self, image: &LabelledImage) -> Result<Option<Arc<Picture>>, StartError> {
        {
            let held = self.held();
            if held.lost.contains_key(&image.sha256) {
                return Ok(None);
            }
            if let Some(picture) = held.pictures.get(&image.sha256) {
                return Ok(Some(Arc::clone(picture)));
            }
        }
        let decoded = self.decode(image)?;
        let mut held = self.held();
        match decoded {
            Ok(picture) => {
                let picture = Arc::new(picture);
                let bytes = picture.rgb().len() as u64;
                if held.bytes + bytes <= self.limits.pixels
                    && held.pictures.insert(image.sha256.clone(), Arc::clone(&picture)).is_none()
                {
                    held.bytes += bytes;
                }
                Ok(Some(picture))
            }
            Err(reason) => {
                tracing::warn!(path = %image.location, reason, "an image can't be decoded, and is left out");
                held.lost.insert(image.sha256.clone(), reason);
                Ok(None)
            }
        }
    }

    fn likeness(&self, image: &LabelledImage) -> Result<Option<Likeness>, StartError> {
        if let Some(likeness) = self.likenesses.get(&image.sha256) {
            return Ok(Some(likeness));
        }
        Ok(self.picture(image)?.map(|picture| self.likeness_of(image, &picture)))
    }

    fn likeness_of(&self, image: &LabelledImage, picture: &Picture) -> Likeness {
        self.likenesses.get(&image.sha256).unwrap_or_else(|| {
            let likeness = Likeness::of(picture);
            self.likenesses.insert(&image.sha256, &likeness);
            likeness
        })
    }

    fn decode(&self, image: &LabelledImage) -> Result<Result<Picture, String>, StartError> {
        let bytes = match std::fs::read(image.path()) {
            Ok(bytes) if bytes.len() as u64 <= self.limits.file => bytes,
            Ok(bytes) => return Ok(Err(format!("it has {} bytes, more than objects.max_bytes", bytes.len()))),
            Err(error) => return Ok(Err(error.to_string())),
        };
        match self.decoder.decode(&bytes, WINDOW) {
            Ok(picture) => Ok(Ok(picture)),
            Err(Error::NotStarted(error)) => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Images in an order, and their pixels.
#[derive(Clone, Copy)]
pub struct CachedImages<'a> {
    images: &'a [LabelledImage],
    cache: &'a ImageCache,
}

impl<'a> CachedImages<'a> {
    /// Other images whose pixels come from the same cache.
    pub fn of_same_cache(&self, images: &'a [LabelledImage]) -> CachedImages<'a> {
        self.cache.of(images)
    }

    pub fn items(&self) -> &'a [LabelledImage] {
        self.images
    }

    /// The middle of an image; `None` if it can't be decoded, which [`CachedImages::lost`] then tells.
    pub fn picture(&self, place: usize) -> Result<Option<Arc<Picture>>, StartError> {
        self.cache.picture(&self.images[place])
    }

    /// What an image looks like; `None` if that is not known and the image can't be decoded.
    pub fn likeness(&self, place: usize) -> Result<Option<Likeness>, StartError> {
        self.cache.likeness(&self.images[place])
    }

    /// Both, with the image decoded once at most.
    pub fn picture_and_likeness(&self, place: usize) -> Result<Option<(Arc<Picture>, Likeness)>, StartError> {
        let (cache, image) = (self.cache, &self.images[place]);
        Ok(cache.picture(image)?.map(|picture| {
            let likeness = cache.likeness_of(image, &picture);
            (picture, likeness)
        }))
    }

    /// Images that could not be decoded so far, and why.
    pub fn lost(&self) -> Vec<(&'a LabelledImage, String)> {
        let held = self.cache.held();
        let reason = |image: &'a LabelledImage| Some((image, held.lost.get(&image.sha256)?.clone()));
        self.images.iter().filter_map(reason).collect()
    }

    pub(super) fn too_few(&self) -> TrainingError {
        let lost = self.lost();
        let first = lost.first().map(|(image, reason)| format!(", for instance {}: {reason}", image.location));
        TrainingError::TooLittle(format!(
            "there are too few images: {} of {} could not be decoded{}",
            lost.len(),
            self.images.len(),
            first.unwrap_or_default()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use domain::LabelledOrigin;
    use sha2::{Digest, Sha256};

    /// Makes a picture of one colour of a file's first byte, and counts.
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl Decode for Counting {
        fn decode(&self, bytes: &[u8], _: u16) -> Result<Picture, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match bytes {
                b"broken" => Err(Error::Died { how: "ended".into() }),
                bytes => Ok(Picture::new(8, 8, vec![bytes[0]; 192]).unwrap()),
            }
        }
    }

    fn write(folder: &Path, content: &str) -> LabelledImage {
        let sha256 = hex::encode(Sha256::digest(content));
        let location = folder.join(&sha256).display().to_string();
        std::fs::write(&location, content).unwrap();
        LabelledImage {
            sha256,
            location,
            origin: LabelledOrigin::Real,
            content_type: None,
            generator: None,
            source: None,
        }
    }

    #[test]
    fn an_image_is_decoded_once_a_run_and_not_again_for_its_likeness() {
        let folder = std::env::temp_dir().join(format!("assay-images-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let images = ["a", "b", "broken"].map(|content| write(&folder, content));
        let wanted: HashSet<&str> = images.iter().map(|image| image.sha256.as_str()).collect();
        let limits = Limits { file: 100, pixels: 1000 };
        let run = || {
            let decoder = Counting::default();
            let likenesses = Likenesses::open(&folder, &wanted).unwrap();
            (decoder.clone(), ImageCache::new(Box::new(decoder), limits, likenesses))
        };

        let (decoder, cache) = run();
        let (all, some) = (cache.of(&images), cache.of(&images[1..]));
        for place in 0..3 {
            assert_eq!(all.likeness(place).unwrap().is_some(), place < 2);
        }
        for place in 0..2 {
            assert_eq!(some.picture(place).unwrap().is_some(), place < 1, "the lists share their pixels");
        }
        assert_eq!(decoder.0.load(Ordering::Relaxed), 3);
        assert_eq!((all.lost().len(), some.lost().len()), (1, 1));
        assert!(some.too_few().to_string().contains("1 of 2 could not be decoded"), "{}", some.too_few());

        let (decoder, cache) = run();
        for place in 0..2 {
            assert_eq!(cache.of(&images).likeness(place).unwrap(), all.likeness(place).unwrap());
        }
        assert_eq!(decoder.0.load(Ordering::Relaxed), 0, "a second run knows them from the first");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn pixels_beyond_the_limit_are_decoded_again() {
        let folder = std::env::temp_dir().join(format!("assay-images-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let images = ["a", "b"].map(|content| write(&folder, content));
        let decoder = Counting::default();
        // Room for one.
        let limits = Limits { file: 100, pixels: 200 };
        let cache = ImageCache::new(Box::new(decoder.clone()), limits, Likenesses::in_memory());
        for place in [0, 1, 0, 1, 1] {
            assert!(cache.of(&images).picture_and_likeness(place).unwrap().is_some());
        }
        assert_eq!(decoder.0.load(Ordering::Relaxed), 4);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
