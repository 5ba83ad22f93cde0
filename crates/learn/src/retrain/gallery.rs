//! The pixels of the images to learn from: decoded once, in the sandbox, and kept while there is room.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::material::Item;
use crate::training::TrainingError;
use decoder::{Error, Pool, StartError};
use imaging::Picture;

/// Side of the window that is kept of an image, in pixels: what a perturbation may look at.
const WINDOW: u16 = 1024;

/// Pictures of images, by the images' places.
pub struct Gallery<'a> {
    items: &'a [Item],
    decoders: &'a Pool,
    max_bytes: u64,
    budget: u64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    pictures: HashMap<usize, Arc<Picture>>,
    bytes: u64,
    /// Those that can't be shown, and why.
    lost: BTreeMap<usize, String>,
}

impl<'a> Gallery<'a> {
    /// `budget`: bytes of pixels that are kept; what does not fit is decoded each time. `max_bytes`: of a file.
    pub fn new(items: &'a [Item], decoders: &'a Pool, max_bytes: u64, budget: u64) -> Gallery<'a> {
        Gallery { items, decoders, max_bytes, budget, held: Mutex::default() }
    }

    pub fn items(&self) -> &'a [Item] {
        self.items
    }

    /// The middle of an image; `None` if it can't be decoded, which [`Gallery::lost`] then tells.
    pub fn picture(&self, place: usize) -> Result<Option<Arc<Picture>>, StartError> {
        {
            let held = self.held();
            if held.lost.contains_key(&place) {
                return Ok(None);
            }
            if let Some(picture) = held.pictures.get(&place) {
                return Ok(Some(Arc::clone(picture)));
            }
        }
        let shown = self.decode(place)?;
        let mut held = self.held();
        match shown {
            Ok(picture) => {
                let (picture, bytes) = (Arc::new(picture.0), picture.1);
                if held.bytes + bytes <= self.budget && held.pictures.insert(place, Arc::clone(&picture)).is_none() {
                    held.bytes += bytes;
                }
                Ok(Some(picture))
            }
            Err(reason) => {
                tracing::warn!(path = %self.items[place].path.display(), reason, "an image can't be learnt from");
                held.lost.insert(place, reason);
                Ok(None)
            }
        }
    }

    /// Images that could not be decoded so far, and why.
    pub fn lost(&self) -> Vec<(&'a Item, String)> {
        self.held().lost.iter().map(|(&place, reason)| (&self.items[place], reason.clone())).collect()
    }

    pub(super) fn too_few(&self) -> TrainingError {
        let lost = self.lost();
        let first = lost.first().map(|(item, reason)| format!(", for instance {}: {reason}", item.path.display()));
        TrainingError::TooLittle(format!(
            "there are too few images: {} of {} could not be decoded{}",
            lost.len(),
            self.items.len(),
            first.unwrap_or_default()
        ))
    }

    fn decode(&self, place: usize) -> Result<Result<(Picture, u64), String>, StartError> {
        let path = &self.items[place].path;
        let bytes = match std::fs::read(path) {
            Ok(bytes) if bytes.len() as u64 <= self.max_bytes => bytes,
            Ok(bytes) => return Ok(Err(format!("it has {} bytes, more than objects.max_bytes", bytes.len()))),
            Err(error) => return Ok(Err(error.to_string())),
        };
        match self.decoders.window(&bytes, WINDOW) {
            Ok(window) => {
                let size = (window.picture.width() * window.picture.height() * 3) as u64;
                Ok(Ok((window.picture, size)))
            }
            Err(Error::NotStarted(error)) => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
