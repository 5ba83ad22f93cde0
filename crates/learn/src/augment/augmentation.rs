//! What training does to an image each time that it sees it.

use serde::{Deserialize, Serialize};

use crate::augment::{Codecs, Filters, Geometry};
use crate::augment::{Dice, Flip, Perturbation};
use imaging::Picture;

/// Chances and ranges; the default is what ImagiNet's authors train with (arXiv 2407.20020, section 4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Side of the random crop, in pixels.
    pub side: usize,
    /// Share of images that go through [`Perturbation::Social`] before all else. Not the authors': it takes away what
    /// file formats and sizes give away about the origin.
    pub social: f64,
    /// Share of crops that are compressed, blurred or given noise: one of the three, all alike.
    pub degrade: f64,
    /// Of JPEG or WebP, all alike; both ends included.
    pub quality: [u8; 2],
    /// Sides of Gaussian kernels in pixels, odd ones from 3 to 7; both ends included.
    pub blur: [u8; 2],
    pub noise_variance: [f64; 2],
    /// Share of crops that are turned, by no to three quarters.
    pub turn: f64,
    /// Share of crops that are mirrored: across, upside down or both.
    pub flip: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Augmentation {
            side: 96,
            social: 0.0,
            degrade: 0.5,
            quality: [50, 95],
            blur: [3, 7],
            noise_variance: [3.0, 10.0],
            turn: 0.33,
            flip: 0.33,
        }
    }
}

impl Augmentation {
    /// What is wrong with it, for a person.
    pub fn validate(&self) -> Result<(), String> {
        let shares = [("social", self.social), ("degrade", self.degrade), ("turn", self.turn), ("flip", self.flip)];
        if let Some((name, share)) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return Err(format!("augmentation.{name} = {share} must be a share from 0 to 1"));
        }
        if !(8..=1024).contains(&self.side) {
            return Err(format!("augmentation.side = {} must be 8 to 1024 pixels", self.side));
        }
        let [low, high] = self.quality;
        if !(1 <= low && low <= high && high <= 100) {
            return Err(format!("augmentation.quality = [{low}, {high}] must be in order between 1 and 100"));
        }
        let [low, high] = self.blur;
        if !(3 <= low && low <= high && high <= 7 && low % 2 == 1 && high % 2 == 1) {
            return Err(format!("augmentation.blur = [{low}, {high}] must be odd and in order between 3 and 7"));
        }
        let [low, high] = self.noise_variance;
        if !(0.0 <= low && low <= high && high.is_finite()) {
            return Err(format!("augmentation.noise_variance = [{low}, {high}] must be in order from 0"));
        }
        Ok(())
    }

    /// A square of [`Augmentation::side`] pixels. Throw the dice of (seed, image, epoch) to have the same again.
    pub fn apply(&self, picture: &Picture, dice: &mut Dice) -> Picture {
        let perturbed = dice.chance(self.social).then(|| Perturbation::Social.apply(picture, dice).into());
        let crop = perturbed.as_ref().unwrap_or(picture).random_square(self.side, dice);
        let crop = if dice.chance(self.degrade) { self.degraded(&crop, dice) } else { crop };
        let quarters = if dice.chance(self.turn) { dice.below(4) } else { 0 };
        let crop = crop.turned(quarters);
        if !dice.chance(self.flip) {
            return crop;
        }
        crop.flipped([Flip::Horizontal, Flip::Vertical, Flip::Both][dice.below(3)])
    }

    fn degraded(&self, crop: &Picture, dice: &mut Dice) -> Picture {
        match dice.below(3) {
            0 => {
                let by_jpeg = dice.chance(0.5);
                let quality = dice.between(self.quality[0].into(), self.quality[1].into()) as u8;
                if by_jpeg { crop.through_jpeg(quality) } else { crop.through_webp(quality) }
            }
            1 => {
                let [low, high] = self.blur.map(usize::from);
                crop.blurred(low + 2 * dice.below((high - low) / 2 + 1))
            }
            _ => {
                let [low, high] = self.noise_variance;
                let variance = low + (high - low) * dice.unit();
                crop.noisy(variance, dice)
            }
        }
    }
}
