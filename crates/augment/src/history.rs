//! What a file went through before it came here, drawn alike for real and synthetic images.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::codecs::Chroma;
use crate::{Codecs, Geometry, Qualities, Rng};
use imaging::{Picture, libheif};

/// Coefficients of JPEG lie on a grid of eight pixels; a cut moves it by up to seven.
const SHIFT: (usize, usize) = (1, 7);
/// What is smaller is not cut.
const SMALLEST: usize = 16;

/// `[augmentation.history]` of a recipe: the whole picture is compressed before anything else happens to it. Files of real
/// and of synthetic images differ in format and quality, which alone tells them apart in a training set and nowhere else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Share of images that are first compressed as a random image of the other class is, if that one is a JPEG of lower
    /// quality. A pool of qualities alone hides nothing that a file brought with it.
    pub matched: f64,
    /// Share of images that are then compressed by the qualities below.
    pub share: f64,
    /// Of JPEG; both ends included.
    pub quality: [u8; 2],
    /// Share of these that goes through WebP instead of JPEG, and its quality.
    pub webp: f64,
    pub webp_quality: [u8; 2],
    /// Share of these that goes through AVIF, and its quality: what libheif is needed for.
    pub avif: f64,
    pub avif_quality: [u8; 2],
    /// Share of JPEGs with 4:4:4; the others have 4:2:0.
    pub full_chroma: f64,
    /// Share that is compressed twice, with a cut of 1 to 7 pixels at the left and at the top between.
    pub twice: f64,
}

impl Default for History {
    fn default() -> Self {
        History {
            matched: 0.0,
            share: 0.6,
            quality: [45, 95],
            webp: 0.25,
            webp_quality: [50, 95],
            avif: 0.0,
            avif_quality: [40, 90],
            full_chroma: 0.2,
            twice: 0.2,
        }
    }
}

impl History {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.avif > 0.0 {
            let wanted = |error| format!("augmentation.history.avif = {}: {error}; or set it to 0", self.avif);
            libheif::encode::avif().map_err(wanted)?;
        }
        if self.webp + self.avif > 1.0 {
            let (webp, avif) = (self.webp, self.avif);
            return Err(format!("augmentation.history.webp = {webp} and avif = {avif} are shares of one whole"));
        }
        let qualities =
            [("quality", self.quality), ("webp_quality", self.webp_quality), ("avif_quality", self.avif_quality)];
        for (name, [low, high]) in qualities {
            if !(1 <= low && low <= high && high <= 100) {
                return Err(format!(
                    "augmentation.history.{name} = [{low}, {high}] must be in order between 1 and 100"
                ));
            }
        }
        Ok(())
    }

    /// Shares by their names in a recipe.
    pub(super) fn shares(&self) -> [(&'static str, f64); 6] {
        [
            ("history.matched", self.matched),
            ("history.share", self.share),
            ("history.webp", self.webp),
            ("history.avif", self.avif),
            ("history.full_chroma", self.full_chroma),
            ("history.twice", self.twice),
        ]
    }

    pub(super) fn apply<'a>(&self, picture: Cow<'a, Picture>, qualities: Qualities, rng: &mut Rng) -> Cow<'a, Picture> {
        let matched = if rng.chance(self.matched) { qualities.lower() } else { None };
        let picture = match matched {
            Some(quality) => Cow::Owned(picture.through_jpeg_with(quality, self.chroma(rng))),
            None => picture,
        };
        if !rng.chance(self.share) {
            return picture;
        }
        let once = self.compressed(&picture, rng);
        if !rng.chance(self.twice) || once.width().min(once.height()) < SMALLEST {
            return Cow::Owned(once);
        }
        let (left, top) = (rng.between(SHIFT.0, SHIFT.1), rng.between(SHIFT.0, SHIFT.1));
        Cow::Owned(self.compressed(&once.trimmed(left, top), rng))
    }

    fn compressed(&self, picture: &Picture, rng: &mut Rng) -> Picture {
        let format = rng.unit();
        let mut quality = |[low, high]: [u8; 2]| rng.between(low.into(), high.into()) as u8;
        if format < self.webp {
            picture.through_webp(quality(self.webp_quality))
        } else if format < self.webp + self.avif {
            picture.through_avif(quality(self.avif_quality))
        } else {
            picture.through_jpeg_with(quality(self.quality), self.chroma(rng))
        }
    }

    fn chroma(&self, rng: &mut Rng) -> Chroma {
        if rng.chance(self.full_chroma) { Chroma::Full } else { Chroma::Quarter }
    }
}
