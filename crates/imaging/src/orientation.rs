//! How a stored image is turned and mirrored to be looked at, in EXIF's eight ways.

use serde::{Deserialize, Serialize};

use super::crop::{CROP_SIDE, Window};

/// One of EXIF's eight ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Orientation(u8);

/// A rectangle of an image, in pixels from its top left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Place {
    /// Where the crop lies in an image: all of a side that is shorter than the crop, which is filled up there.
    pub fn of_crop(width: u32, height: u32) -> Place {
        let Window { left, top, width, height } = Window::centre(width, height, CROP_SIDE);
        Place { x: left as u32, y: top as u32, width: width as u32, height: height as u32 }
    }
}

impl Orientation {
    /// As it is stored.
    pub const STORED: Orientation = Orientation(1);

    /// `None` for a number that is none of the eight.
    pub fn of(number: u64) -> Option<Orientation> {
        u8::try_from(number).ok().filter(|number| (1..=8).contains(number)).map(Orientation)
    }

    /// Sides of what is shown of a stored image.
    pub fn sides(self, width: u32, height: u32) -> (u32, u32) {
        if self.0 >= 5 { (height, width) } else { (width, height) }
    }

    /// Where a rectangle of a stored image of these sides is shown.
    pub fn shown(self, place: Place, width: u32, height: u32) -> Place {
        let (wide, high) = self.sides(width, height);
        let turn = Turn::new(wide, high, self.back());
        let (x, y) = (place.x as usize, place.y as usize);
        let (x0, y0) = turn.source(x, y);
        let (x1, y1) = turn.source(x + place.width as usize - 1, y + place.height as usize - 1);
        let (width, height) = self.sides(place.width, place.height);
        Place { x: x0.min(x1) as u32, y: y0.min(y1) as u32, width, height }
    }

    /// What undoes it.
    fn back(self) -> Orientation {
        match self.0 {
            6 => Orientation(8),
            8 => Orientation(6),
            _ => self,
        }
    }

    /// This one, and then another one.
    pub(super) fn then(self, next: Orientation) -> Orientation {
        // No two of the eight agree on all pixels of such an image.
        const SIDES: (u32, u32) = (2, 3);
        let first = Turn::new(SIDES.0, SIDES.1, self);
        let (width, height) = first.sides();
        let second = Turn::new(width, height, next);
        let (width, height) = second.sides();
        let pixels = || (0..height as usize).flat_map(|y| (0..width as usize).map(move |x| (x, y)));
        let is_both = |way: &Orientation| {
            let turn = Turn::new(SIDES.0, SIDES.1, *way);
            let agrees = |(x, y)| {
                let (between_x, between_y) = second.source(x, y);
                turn.source(x, y) == first.source(between_x, between_y)
            };
            turn.sides() == (width, height) && pixels().all(agrees)
        };
        (1..=8).map(Orientation).find(is_both).expect("the eight ways are closed under composition")
    }
}

impl TryFrom<u8> for Orientation {
    type Error = String;

    fn try_from(number: u8) -> Result<Orientation, String> {
        Orientation::of(number.into()).ok_or_else(|| format!("orientation {number} is not within 1 to 8"))
    }
}

impl From<Orientation> for u8 {
    fn from(orientation: Orientation) -> u8 {
        orientation.0
    }
}

/// The way from a shown image to the stored one.
pub(super) struct Turn {
    /// Of the stored image.
    width: usize,
    height: usize,
    way: Orientation,
}

impl Turn {
    pub(super) fn new(width: u32, height: u32, way: Orientation) -> Turn {
        Turn { width: width as usize, height: height as usize, way }
    }

    /// Of the turned image.
    pub(super) fn sides(&self) -> (u32, u32) {
        self.way.sides(self.width as u32, self.height as u32)
    }

    /// Where a pixel of the turned image is stored.
    pub(super) fn source(&self, x: usize, y: usize) -> (usize, usize) {
        let (right, bottom) = (self.width - 1, self.height - 1);
        match self.way.0 {
            2 => (right - x, y),
            3 => (right - x, bottom - y),
            4 => (x, bottom - y),
            5 => (y, x),
            6 => (y, bottom - x),
            7 => (right - y, bottom - x),
            8 => (right - y, x),
            _ => (x, y),
        }
    }

    /// The part of the stored image that a window of the turned one comes from.
    pub(super) fn stored(&self, window: &Window) -> Window {
        let (x0, y0) = self.source(window.left, window.top);
        let (x1, y1) = self.source(window.right() - 1, window.bottom() - 1);
        Window { left: x0.min(x1), top: y0.min(y1), width: x0.abs_diff(x1) + 1, height: y0.abs_diff(y1) + 1 }
    }

    pub(super) fn collect(&self, window: &Window, at: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(window.bytes());
        for y in window.top..window.bottom() {
            for x in window.left..window.right() {
                let (x, y) = self.source(x, y);
                pixels.extend(at(x, y));
            }
        }
        pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Orientation> {
        (1..=8).map(Orientation)
    }

    #[test]
    fn a_rectangle_is_shown_where_its_pixels_are() {
        let (width, height) = (7, 5);
        let place = Place { x: 1, y: 2, width: 4, height: 2 };
        for way in all() {
            let (turn, shown) = (Turn::new(width, height, way), way.shown(place, width, height));
            let (wide, high) = way.sides(width, height);
            for (x, y) in (0..high).flat_map(|y| (0..wide).map(move |x| (x, y))) {
                let (from_x, from_y) = turn.source(x as usize, y as usize);
                let is_in = |place: Place, x: u32, y: u32| {
                    (place.x..place.x + place.width).contains(&x) && (place.y..place.y + place.height).contains(&y)
                };
                assert_eq!(is_in(shown, x, y), is_in(place, from_x as u32, from_y as u32), "{way:?} at {x}, {y}");
            }
        }
    }

    #[test]
    fn two_ways_after_another_are_one_of_the_eight() {
        for way in all() {
            assert_eq!(way.then(way.back()), Orientation::STORED);
            assert_eq!(Orientation::STORED.then(way), way);
        }
        // A quarter to the right, twice, is upside down; then mirrored it is upside down alone.
        assert_eq!(Orientation(6).then(Orientation(6)), Orientation(3));
        assert_eq!(Orientation(3).then(Orientation(2)), Orientation(4));
        // A quarter to the right and left for right: what was at the top left stays there.
        assert_eq!(Orientation(6).then(Orientation(2)), Orientation(5));
    }

    #[test]
    fn a_number_that_is_none_of_the_eight_is_refused() {
        assert!([0, 9, 256, u64::MAX].into_iter().all(|number| Orientation::of(number).is_none()));
        assert!(serde_json::from_str::<Orientation>("9").is_err());
        assert_eq!(serde_json::from_str::<Orientation>("6").unwrap(), Orientation(6));
    }
}
