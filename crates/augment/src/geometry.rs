//! Cutting, filling up, turning: pixels move and stay what they are.

use std::borrow::Cow;

use crate::Rng;
use imaging::Picture;

/// Which way a picture is mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// Left becomes right.
    Horizontal,
    /// Top becomes bottom.
    Vertical,
    Both,
}

/// Crops, turns and mirror images.
pub trait Geometry {
    /// The square in the middle. Where a side is shorter, it is filled up by reflection first, as for the detector.
    fn centre(&self, side: usize) -> Picture;

    /// A square from anywhere, all places alike; of a picture that was filled up where it is too small.
    fn random_square(&self, side: usize, rng: &mut Rng) -> Picture;

    /// Turned counter-clockwise by so many quarters.
    fn turned(&self, quarters: usize) -> Picture;

    fn flipped(&self, flip: Flip) -> Picture;

    /// Without so many columns on the left and rows at the top; at least one pixel of each is left.
    fn trimmed(&self, left: usize, top: usize) -> Picture;
}

impl Geometry for Picture {
    fn centre(&self, side: usize) -> Picture {
        let padded = padded(self, side);
        let (left, top) = ((padded.width() - side) / 2, (padded.height() - side) / 2);
        cut(&padded, left, top, side)
    }

    fn random_square(&self, side: usize, rng: &mut Rng) -> Picture {
        let padded = padded(self, side);
        let left = rng.between(0, padded.width() - side);
        let top = rng.between(0, padded.height() - side);
        cut(&padded, left, top, side)
    }

    fn turned(&self, quarters: usize) -> Picture {
        let (width, height) = (self.width(), self.height());
        match quarters % 4 {
            0 => self.clone(),
            1 => rearranged(self, height, width, |x, y| (width - 1 - y, x)),
            2 => self.flipped(Flip::Both),
            _ => rearranged(self, height, width, |x, y| (y, height - 1 - x)),
        }
    }

    fn flipped(&self, flip: Flip) -> Picture {
        let (width, height) = (self.width(), self.height());
        rearranged(self, width, height, |x, y| match flip {
            Flip::Horizontal => (width - 1 - x, y),
            Flip::Vertical => (x, height - 1 - y),
            Flip::Both => (width - 1 - x, height - 1 - y),
        })
    }

    fn trimmed(&self, left: usize, top: usize) -> Picture {
        let (left, top) = (left.min(self.width() - 1), top.min(self.height() - 1));
        rectangle(self, (left, top), (self.width() - left, self.height() - top))
    }
}

/// At least `side` pixels wide and high, by reflection about the border (OpenCV's reflect-101), the odd pixel behind.
fn padded(picture: &Picture, side: usize) -> Cow<'_, Picture> {
    let (width, height) = (picture.width(), picture.height());
    if width >= side && height >= side {
        return Cow::Borrowed(picture);
    }
    let (columns, rows) = (sources(width, side), sources(height, side));
    Cow::Owned(rearranged(picture, columns.len(), rows.len(), |x, y| (columns[x], rows[y])))
}

fn cut(picture: &Picture, left: usize, top: usize, side: usize) -> Picture {
    rectangle(picture, (left, top), (side, side))
}

/// Row by row, so that no pixel outside is touched.
fn rectangle(picture: &Picture, (left, top): (usize, usize), (width, height): (usize, usize)) -> Picture {
    let rows = picture.rgb().chunks_exact(picture.width() * 3).skip(top).take(height);
    let rgb: Vec<u8> = rows.flat_map(|row| &row[left * 3..(left + width) * 3]).copied().collect();
    Picture::new(width, height, rgb).expect("it lies within the picture")
}

/// A picture of these sides whose pixels come from the places that `source` names.
fn rearranged(
    picture: &Picture,
    width: usize,
    height: usize,
    source: impl Fn(usize, usize) -> (usize, usize),
) -> Picture {
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let (from_x, from_y) = source(x, y);
            let place = (from_y * picture.width() + from_x) * 3;
            rgb.extend_from_slice(&picture.rgb()[place..place + 3]);
        }
    }
    Picture::new(width, height, rgb).expect("a picture's pixels were put in other places")
}

/// For each place of a side of at least `wanted` pixels, the place of a picture's side that fills it.
fn sources(side: usize, wanted: usize) -> Vec<usize> {
    let before = wanted.saturating_sub(side) / 2;
    // Reflection goes there and back: it repeats after this many pixels, a single pixel after one.
    let period = (2 * (side - 1)).max(1);
    let source = |place: usize| {
        let step = (place + period * before - before) % period;
        step.min(period - step)
    };
    (0..side.max(wanted)).map(source).collect()
}
