//! Images → the batches that an encoder learns from.

use super::image_cache::CachedImages;
use crate::training::encoder::Plan;
use crate::training::sampling::Order;
use crate::training::{Batch, Label, Labels, TrainingError};
use augment::{Augmentation, Qualities, Rng};
use decoder::StartError;

/// What a step's batch follows from, beside the number of the step.
pub(super) struct Batches<'a> {
    pub plan: &'a Plan,
    pub augmentation: &'a Augmentation,
    pub seed: u64,
    pub images: CachedImages<'a>,
    pub order: Order,
    pub labels: &'a [Label],
    /// Of the images' files; empty where they are not asked for.
    pub qualities: Vec<Option<u8>>,
    pub per_epoch: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    #[error(transparent)]
    Training(#[from] TrainingError),
    #[error(transparent)]
    Decoder(#[from] StartError),
}

impl Batches<'_> {
    /// The images of a step, augmented. All chance follows from the seed, the step, the image and its place in the batch.
    pub(super) fn of_step(&self, step: u64) -> Result<Batch, BatchError> {
        let (epoch, turn) = (step / self.per_epoch, (step % self.per_epoch) as usize);
        let places = self.order.of_epoch(self.seed, epoch);
        let own = places.into_iter().skip(turn * self.plan.batch).take(self.plan.batch);
        let mut pictures = Vec::with_capacity(self.plan.batch);
        for place in own {
            if let Some(picture) = self.images.picture(place)? {
                pictures.push((place, picture));
            }
        }
        if pictures.len() < 2 {
            return Err(self.images.too_few().into());
        }
        let side = self.augmentation.side_of_step(self.seed, step);
        let mut pixels = Vec::new();
        for view in 0..self.plan.objective.views() as u64 {
            for (turn, (place, picture)) in pictures.iter().enumerate() {
                let sha256 = self.images.items()[*place].sha256.as_bytes();
                let names: [&[u8]; 4] =
                    [sha256, &step.to_le_bytes(), &(turn as u64).to_le_bytes(), &view.to_le_bytes()];
                let mut rng = Rng::of(self.seed, &names);
                let qualities = self.qualities_for(*place, &mut rng);
                let seen = self.augmentation.apply(picture, side, qualities, &mut rng);
                pixels.extend_from_slice(seen.rgb());
            }
        }
        let labels = Labels(pictures.iter().map(|(place, _)| self.labels[*place]).collect());
        Ok(Batch { pixels, side, labels })
    }

    /// Of an image's file, and of a random one of the other class.
    fn qualities_for(&self, place: usize, rng: &mut Rng) -> Qualities {
        let Some(&own) = self.qualities.get(place) else { return Qualities::UNKNOWN };
        let other = self.order.draw(!self.labels[place].is_synthetic(), rng);
        Qualities { own, others: other.and_then(|other| *self.qualities.get(other)?) }
    }
}
