//! The image of a verdict, for people to look at.
//!
//! The object is fetched by its version, its SHA-256 is compared with the verdict's, its pixels are decoded in a process apart, and
//! are written anew without anything that the file said beside them. Bytes whose digest differs are never shown as those that were judged.

mod cache;
mod encode;
mod source;
#[cfg(test)]
mod tests;
mod trouble;
mod view;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use decoder::Pool;
use domain::{ImageRef, JudgedImage};
use objects::{Allowed, Objects};

use cache::{Cache, Slot, Stored};
pub use encode::Picture;
use source::{Digest, Place, Store};
pub use trouble::{Found, Trouble};
use view::View;
pub use view::{CropPlace, Outline};

/// The longest side of [`Kind::Fit`].
pub const FIT: u32 = 1600;

#[derive(Clone, Debug)]
pub struct Settings {
    pub max_object_bytes: u64,
    /// Images that are fetched and decoded at a time; the others wait. Each takes the object's bytes, and up to three bytes for each
    /// of [`imaging::MAX_WHOLE_PIXELS`], twice while it is written.
    pub at_once: usize,
    /// Bytes of objects and pictures that are kept for the next request; 0 keeps none.
    pub cache_bytes: usize,
    /// After this a kept picture is fetched and compared again: its object may have been deleted.
    pub cache_for: Duration,
}

impl Settings {
    pub fn new(max_object_bytes: u64) -> Settings {
        Settings { max_object_bytes, at_once: 2, cache_bytes: 64 << 20, cache_for: Duration::from_secs(300) }
    }
}

/// What is to be seen of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// All of it, of an animation the first frame, with at most [`FIT`] pixels a side.
    Fit,
    /// All of it, pixel for pixel. Where it has more than [`imaging::MAX_WHOLE_PIXELS`], it is scaled down to so many: crops are still
    /// to be had pixel for pixel, and nothing is left out.
    Actual,
    /// The very crop that was judged, as it is stored: neither turned nor scaled. Of an animation those of other frames follow the first.
    Crop(u8),
}

/// Pictures for people. Cheap to clone: clones share the cache and the places.
#[derive(Clone)]
pub struct Pictures {
    store: Store,
    pool: Arc<Pool>,
    places: Arc<Semaphore>,
    cache: Arc<Cache>,
}

impl Pictures {
    pub fn new(objects: Arc<dyn Objects>, pool: Arc<Pool>, allowed: Allowed, settings: &Settings) -> Pictures {
        Pictures {
            store: Store { objects, allowed: Arc::new(allowed), max_bytes: settings.max_object_bytes },
            pool,
            places: Arc::new(Semaphore::new(settings.at_once.max(1))),
            cache: Arc::new(Cache::new(settings.cache_bytes, settings.cache_for)),
        }
    }

    /// Whether an object of this tenant may be read at all; the error says why not.
    pub fn admits(&self, tenant: &str, bucket: &str, key: &str) -> Result<(), String> {
        self.store.allowed.admits(tenant, bucket, key)
    }

    /// How large a judged image is as it is shown, and where its crops lie.
    pub async fn outline(&self, tenant: &str, image: &JudgedImage) -> Result<Outline, Trouble> {
        Ok(self.view(tenant, &Place::of_judged(image)).await?.outline.clone())
    }

    /// A judged image.
    pub async fn picture(&self, tenant: &str, image: &JudgedImage, kind: Kind) -> Result<Picture, Trouble> {
        self.picture_at(tenant, &Place::of_judged(image), kind).await
    }

    /// How large an image is that no verdict is about, such as the evidence of an appeal. A digest or a version in the reference is
    /// compared.
    pub async fn evidence_outline(&self, tenant: &str, image: &ImageRef) -> Result<Outline, Trouble> {
        let mut outline = self.view(tenant, &Place::of_reference(image)).await?.outline.clone();
        // Nothing of it was judged.
        outline.crops.clear();
        Ok(outline)
    }

    /// An image that no verdict is about. It has no crops.
    pub async fn evidence(&self, tenant: &str, image: &ImageRef, kind: Kind) -> Result<Picture, Trouble> {
        match kind {
            Kind::Crop(_) => Err(Trouble::NoSuchCrop),
            kind => self.picture_at(tenant, &Place::of_reference(image), kind).await,
        }
    }

    async fn picture_at(&self, tenant: &str, place: &Place, kind: Kind) -> Result<Picture, Trouble> {
        let longest = match kind {
            Kind::Crop(number) => {
                let view = self.view(tenant, place).await?;
                return view.crops.get(usize::from(number)).cloned().ok_or(Trouble::NoSuchCrop);
            }
            Kind::Fit => FIT,
            Kind::Actual => u32::MAX,
        };
        self.store.admit(tenant, place)?;
        let slot = if kind == Kind::Fit { Slot::Fit } else { Slot::Actual };
        if let Some(Stored::Picture(picture)) = self.cache.get(place, slot) {
            return Ok(picture);
        }
        let permit = self.permit().await;
        // Somebody may have made it while this one waited.
        if let Some(Stored::Picture(picture)) = self.cache.get(place, slot) {
            return Ok(picture);
        }
        let object = self.object(place).await?;
        let pool = Arc::clone(&self.pool);
        let picture = apart(permit, move || {
            let whole = pool.whole(&object.bytes, longest).map_err(Trouble::of_decoder)?;
            encode::picture(&whole.picture)
        })
        .await?;
        self.cache.put(place, slot, Stored::Picture(picture.clone()));
        Ok(picture)
    }

    async fn view(&self, tenant: &str, place: &Place) -> Result<Arc<View>, Trouble> {
        self.store.admit(tenant, place)?;
        if let Some(Stored::View(view)) = self.cache.get(place, Slot::View) {
            return Ok(view);
        }
        let permit = self.permit().await;
        if let Some(Stored::View(view)) = self.cache.get(place, Slot::View) {
            return Ok(view);
        }
        let object = self.object(place).await?;
        let pool = Arc::clone(&self.pool);
        let view = apart(permit, move || {
            let decoded = pool.decode(&object.bytes).map_err(Trouble::of_decoder)?;
            View::of(&decoded, object.sha256.clone())
        })
        .await?;
        let view = Arc::new(view);
        self.cache.put(place, Slot::View, Stored::View(Arc::clone(&view)));
        Ok(view)
    }

    /// The bytes, compared.
    async fn object(&self, place: &Place) -> Result<Arc<Digest>, Trouble> {
        if let Some(Stored::Object(object)) = self.cache.get(place, Slot::Object) {
            return Ok(object);
        }
        let object = Arc::new(self.store.fetch(place).await?);
        self.cache.put(place, Slot::Object, Stored::Object(Arc::clone(&object)));
        Ok(object)
    }

    /// Whoever stops waiting leaves the queue; whoever has begun to decode holds a place until the decoder is done, which
    /// `imaging.timeout_s` bounds.
    async fn permit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.places).acquire_owned().await.expect("nobody closes it")
    }
}

/// Runs what blocks, and gives the place back when it is done, whether or not anybody waits for it any more.
async fn apart<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let run = move || {
        let result = work();
        drop(permit);
        result
    };
    let joined = tokio::task::spawn_blocking(run).await;
    joined.unwrap_or_else(|error| Err(Trouble::Unreachable(format!("the picture was not made: {error}"))))
}
