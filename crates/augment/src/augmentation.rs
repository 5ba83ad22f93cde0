//! What training does to an image each time that it sees it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::blocks::{Mask, Shuffle};
use super::colour::Colour;
use super::history::History;
use super::scale::Scale;
use crate::{Codecs, Filters, Flip, Geometry, Perturbation, Qualities, Rng};
use imaging::Picture;

/// Chances and ranges; the default is what ImagiNet's authors train with (arXiv 2407.20020, section 4). Nothing here knows what
/// an image is: real and synthetic ones meet the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Sides of the random crop, in pixels; each batch has one of them, all alike.
    pub sides: Vec<usize>,
    /// What the whole picture went through; `None` for nothing.
    pub history: Option<History>,
    pub scale: Option<Scale>,
    /// Share of images that then go through [`Perturbation::Social`]. Not the authors': it takes away what file formats and
    /// sizes give away about the origin.
    pub social: f64,
    /// Share of crops that one of `degradations` happens to.
    pub degrade: f64,
    pub degradations: Vec<Degradation>,
    /// Of JPEG or WebP, all alike; both ends included.
    pub quality: [u8; 2],
    /// Sides of Gaussian kernels in pixels, odd ones from 3 to 7; both ends included.
    pub blur: [u8; 2],
    pub noise_variance: [f64; 2],
    pub colour: Option<Colour>,
    pub shuffle: Option<Shuffle>,
    pub mask: Option<Mask>,
    /// Share of crops that are turned, by no to three quarters.
    pub turn: f64,
    /// Share of crops that are mirrored: across, upside down or both.
    pub flip: f64,
}

/// What may happen to a crop; all that are named are equally likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Degradation {
    /// By JPEG or WebP.
    Compress,
    Blur,
    Noise,
    Median,
    Sharpen,
}

impl Default for Augmentation {
    fn default() -> Self {
        Augmentation {
            sides: vec![96],
            history: None,
            scale: None,
            social: 0.0,
            degrade: 0.5,
            degradations: vec![Degradation::Compress, Degradation::Blur, Degradation::Noise],
            quality: [50, 95],
            blur: [3, 7],
            noise_variance: [3.0, 10.0],
            colour: None,
            shuffle: None,
            mask: None,
            turn: 0.33,
            flip: 0.33,
        }
    }
}

impl Augmentation {
    /// What is wrong with it, for a person.
    pub fn validate(&self) -> Result<(), String> {
        let own = [("social", self.social), ("degrade", self.degrade), ("turn", self.turn), ("flip", self.flip)];
        let mut shares = own.to_vec();
        shares.extend(self.history.iter().flat_map(History::shares));
        shares.extend(self.scale.iter().map(|scale| ("scale.share", scale.share)));
        shares.extend(self.colour.iter().flat_map(Colour::shares));
        shares.extend(self.shuffle.iter().map(|shuffle| ("shuffle.share", shuffle.share)));
        shares.extend(self.mask.iter().flat_map(|mask| [("mask.share", mask.share), ("mask.most", mask.most)]));
        if let Some((name, share)) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return Err(format!("augmentation.{name} = {share} must be a share from 0 to 1"));
        }
        if self.sides.is_empty() || self.sides.iter().any(|side| !(8..=1024).contains(side)) {
            return Err(format!("augmentation.sides = {:?} must be sides of 8 to 1024 pixels", self.sides));
        }
        if self.degradations.is_empty() && self.degrade > 0.0 {
            return Err("augmentation.degradations names none; set augmentation.degrade = 0 to have none".into());
        }
        self.history.as_ref().map_or(Ok(()), History::validate)?;
        self.scale.as_ref().map_or(Ok(()), Scale::validate)?;
        self.shuffle.as_ref().map_or(Ok(()), Shuffle::validate)?;
        self.mask.as_ref().map_or(Ok(()), Mask::validate)?;
        self.validate_degradations()
    }

    fn validate_degradations(&self) -> Result<(), String> {
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

    /// Whether [`Augmentation::apply`] has a use for the qualities of files.
    pub fn matches_qualities(&self) -> bool {
        self.history.as_ref().is_some_and(|history| history.matched > 0.0)
    }

    /// The side of the crops of a step: a batch has one side for all.
    pub fn side_of_step(&self, seed: u64, step: u64) -> usize {
        let mut rng = Rng::of(seed, &[b"side", &step.to_le_bytes()]);
        self.sides[rng.below(self.sides.len())]
    }

    /// A square of `side` pixels. Give it [`Rng::of`] seed, image and step to have the same again.
    /// `qualities`: of the image's file, and of a random one of the other class.
    pub fn apply(&self, picture: &Picture, side: usize, qualities: Qualities, rng: &mut Rng) -> Picture {
        let mut seen = Cow::Borrowed(picture);
        if let Some(history) = &self.history {
            seen = history.apply(seen, qualities, rng);
        }
        if let Some(scale) = self.scale.as_ref().filter(|scale| rng.chance(scale.share)) {
            seen = Cow::Owned(scale.apply(&seen, side, rng));
        }
        if rng.chance(self.social) {
            seen = Cow::Owned(Perturbation::Social.apply(&seen, rng).into());
        }
        let crop = seen.random_square(side, rng);
        let crop = if rng.chance(self.degrade) { self.degraded(&crop, rng) } else { crop };
        let crop = match &self.colour {
            Some(colour) => colour.apply(crop, rng),
            None => crop,
        };
        self.turned_and_flipped(self.rearranged(crop, rng), rng)
    }

    /// Shuffled, or masked, or neither.
    fn rearranged(&self, crop: Picture, rng: &mut Rng) -> Picture {
        if let Some(shuffle) = self.shuffle.as_ref().filter(|shuffle| rng.chance(shuffle.share)) {
            return shuffle.apply(crop, rng);
        }
        match self.mask.as_ref().filter(|mask| rng.chance(mask.share)) {
            Some(mask) => mask.apply(&crop, rng),
            None => crop,
        }
    }

    fn turned_and_flipped(&self, crop: Picture, rng: &mut Rng) -> Picture {
        let quarters = if rng.chance(self.turn) { rng.below(4) } else { 0 };
        let crop = if quarters == 0 { crop } else { crop.turned(quarters) };
        if !rng.chance(self.flip) {
            return crop;
        }
        crop.flipped([Flip::Horizontal, Flip::Vertical, Flip::Both][rng.below(3)])
    }

    fn degraded(&self, crop: &Picture, rng: &mut Rng) -> Picture {
        match self.degradations[rng.below(self.degradations.len())] {
            Degradation::Compress => {
                let by_jpeg = rng.chance(0.5);
                let quality = rng.between(self.quality[0].into(), self.quality[1].into()) as u8;
                if by_jpeg { crop.through_jpeg(quality) } else { crop.through_webp(quality) }
            }
            Degradation::Blur => {
                let [low, high] = self.blur.map(usize::from);
                crop.blurred(low + 2 * rng.below((high - low) / 2 + 1))
            }
            Degradation::Noise => {
                let [low, high] = self.noise_variance;
                let variance = low + (high - low) * rng.unit();
                crop.noisy(variance, rng)
            }
            Degradation::Median => crop.median(),
            Degradation::Sharpen => crop.sharpened(),
        }
    }
}
