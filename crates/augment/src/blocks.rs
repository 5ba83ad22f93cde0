//! Blocks of a crop in other places, or without content: what a crop shows is lost, traces of its making are not.

use serde::{Deserialize, Serialize};

use crate::Rng;
use imaging::Picture;

/// What is put in place of what is masked: the middle of the range, which normalisation brings near to 0.
const BLANK: u8 = 128;

/// `[augmentation.shuffle]` of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shuffle {
    /// Share of crops.
    pub share: f64,
    /// Sides of the blocks in pixels, all alike; of those that fit twice into the crop.
    pub blocks: Vec<usize>,
}

impl Default for Shuffle {
    fn default() -> Self {
        Shuffle { share: 0.3, blocks: vec![32, 64] }
    }
}

impl Shuffle {
    pub(super) fn validate(&self) -> Result<(), String> {
        match self.blocks.iter().find(|side| !(4..=512).contains(*side)) {
            None if self.blocks.is_empty() => Err("augmentation.shuffle.blocks must name at least one side".into()),
            None => Ok(()),
            Some(side) => Err(format!("augmentation.shuffle.blocks: {side} must be 4 to 512 pixels")),
        }
    }

    pub(super) fn apply(&self, crop: Picture, rng: &mut Rng) -> Picture {
        let short = crop.width().min(crop.height());
        let fitting: Vec<usize> = self.blocks.iter().copied().filter(|side| 2 * side <= short).collect();
        match fitting.get(rng.below(fitting.len())) {
            Some(&side) => shuffled(&crop, side, rng),
            None => crop,
        }
    }
}

/// `[augmentation.mask]` of a recipe: of crops that are not shuffled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mask {
    /// Share of crops.
    pub share: f64,
    /// Side of a tile, in pixels.
    pub tile: usize,
    /// Share of a crop's tiles that are masked, at most.
    pub most: f64,
}

impl Default for Mask {
    fn default() -> Self {
        Mask { share: 0.3, tile: 16, most: 0.5 }
    }
}

impl Mask {
    pub(super) fn validate(&self) -> Result<(), String> {
        match (1..=512).contains(&self.tile) {
            true => Ok(()),
            false => Err(format!("augmentation.mask.tile = {} must be 1 to 512 pixels", self.tile)),
        }
    }

    pub(super) fn apply(&self, crop: &Picture, rng: &mut Rng) -> Picture {
        let share = self.most * rng.unit();
        masked(crop, self.tile, share, rng)
    }
}

/// All whole blocks in another order; what is left at the right and at the bottom stays where it is.
pub(super) fn shuffled(picture: &Picture, side: usize, rng: &mut Rng) -> Picture {
    let (columns, rows) = (picture.width() / side, picture.height() / side);
    let mut order: Vec<usize> = (0..columns * rows).collect();
    rng.shuffle(&mut order);
    let mut rgb = picture.rgb().to_vec();
    let (row, block) = (picture.width() * 3, side * 3);
    for (to, from) in order.into_iter().enumerate() {
        let place = |number: usize| (number / columns) * side * row + (number % columns) * block;
        for y in 0..side {
            let (to, from) = (place(to) + y * row, place(from) + y * row);
            rgb[to..to + block].copy_from_slice(&picture.rgb()[from..from + block]);
        }
    }
    Picture::new(picture.width(), picture.height(), rgb).expect("blocks were put in other places")
}

/// Every tile is masked by itself with a chance of `share`.
fn masked(picture: &Picture, tile: usize, share: f64, rng: &mut Rng) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let mut rgb = picture.rgb().to_vec();
    for top in (0..height).step_by(tile) {
        for left in (0..width).step_by(tile) {
            if rng.chance(share) {
                for y in top..(top + tile).min(height) {
                    rgb[(y * width + left) * 3..(y * width + (left + tile).min(width)) * 3].fill(BLANK);
                }
            }
        }
    }
    Picture::new(width, height, rgb).expect("it has as many pixels as before")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each pixel has a colour of its own.
    fn picture(side: usize) -> Picture {
        let rgb = (0..side * side).flat_map(|n| [(n % 251) as u8, (n / 251) as u8, 7]).collect();
        Picture::new(side, side, rgb).unwrap()
    }

    fn colours(picture: &Picture) -> Vec<[u8; 3]> {
        let mut colours = picture.rgb().as_chunks::<3>().0.to_vec();
        colours.sort_unstable();
        colours
    }

    #[test]
    fn shuffling_moves_whole_blocks_and_keeps_every_pixel() {
        let before = picture(96);
        let after = shuffled(&before, 32, &mut Rng::new(4));
        assert!(after != before && colours(&after) == colours(&before));
        // Whatever stands at the beginning of a block began one before.
        let starts = |picture: &Picture| {
            let start = |place: usize| {
                let at = ((place / 3) * 32 * 96 + (place % 3) * 32) * 3;
                [picture.rgb()[at], picture.rgb()[at + 1]]
            };
            let mut starts: Vec<_> = (0..9).map(start).collect();
            starts.sort_unstable();
            starts
        };
        assert_eq!(starts(&after), starts(&before));
    }

    #[test]
    fn only_blocks_that_fit_twice_are_shuffled() {
        let shuffle = Shuffle { share: 1.0, blocks: vec![64] };
        assert!(shuffle.apply(picture(96), &mut Rng::new(1)) == picture(96));
        // One order in 24 is the old one.
        assert!((0..8).any(|seed| shuffle.apply(picture(128), &mut Rng::new(seed)) != picture(128)));
    }

    #[test]
    fn a_mask_covers_the_share_that_it_is_given() {
        let (all, none) =
            (masked(&picture(40), 16, 1.0, &mut Rng::new(1)), masked(&picture(40), 16, 0.0, &mut Rng::new(1)));
        assert!(all.rgb().iter().all(|&level| level == BLANK) && none == picture(40));
        let blank = (0..200).map(|seed| {
            let masked = masked(&picture(64), 16, 0.25, &mut Rng::new(seed));
            masked.rgb().as_chunks::<3>().0.iter().filter(|pixel| **pixel == [BLANK; 3]).count()
        });
        let share = blank.sum::<usize>() as f64 / (200.0 * 64.0 * 64.0);
        assert!((share - 0.25).abs() < 0.03, "{share}");
    }
}
