//! Pictures in luma and chroma, as video codecs store them, and their way to RGB.
//!
//! The arithmetic is libyuv's, which libavif, and so Pillow and browsers, convert with: 64ths of a level, chroma brought to
//! full size by weights of 9, 3, 3 and 1 where neighbours count. Profiles, primaries and transfer functions are left alone, as in other formats.

use super::crop::Window;

/// Colours as numbers of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cicp {
    pub primaries: u16,
    pub matrix: u16,
    pub is_full_range: bool,
}

/// How many samples of chroma there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chroma {
    None,
    /// 4:4:4.
    Whole,
    /// 4:2:2.
    HalfWide,
    /// 4:2:0.
    HalfBoth,
}

/// Samples as a decoder left them.
pub(super) struct Samples<'a> {
    pub bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Two bytes a sample, little-endian.
    pub is_wide: bool,
}

/// A part of a picture.
pub(super) struct Planes {
    part: Window,
    /// Of the whole picture.
    width: usize,
    /// Bits of a sample, 8 to 16.
    depth: u8,
    chroma: Chroma,
    /// Luma, and the two of chroma.
    planes: [Plane; 3],
}

#[derive(Default)]
struct Plane {
    /// Its corner, in samples of the whole picture.
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    samples: Vec<u16>,
}

impl Planes {
    /// Room for a window and the neighbours that upsampling its chroma looks at.
    pub(crate) fn around(window: &Window, width: u32, height: u32, (depth, chroma): (u8, Chroma)) -> Planes {
        let (left, top) = (window.left.saturating_sub(2) & !1, window.top.saturating_sub(2) & !1);
        let right = ((window.right() + 3) & !1).min(width as usize);
        let bottom = ((window.bottom() + 3) & !1).min(height as usize);
        let part = Window { left, top, width: right - left, height: bottom - top };
        let (x, y) = chroma.steps();
        let plane = |x: usize, y: usize| {
            let (left, top) = (part.left / x, part.top / y);
            let (width, height) = (part.right().div_ceil(x) - left, part.bottom().div_ceil(y) - top);
            Plane { left, top, width, height, samples: vec![0; width * height] }
        };
        let planes = match chroma {
            Chroma::None => [plane(1, 1), Plane::default(), Plane::default()],
            _ => [plane(1, 1), plane(x, y), plane(x, y)],
        };
        Planes { part, width: width as usize, depth, chroma, planes }
    }

    /// What is wanted of the picture.
    pub(crate) fn part(&self) -> &Window {
        &self.part
    }

    /// Takes what lies in the part out of a coded image, whose corner is at (`left`, `top`) of the picture. `None` where it
    /// has fewer samples than its sides say.
    pub(crate) fn put(
        &mut self,
        image: &[Samples],
        left: usize,
        top: usize,
        width: usize,
        height: usize,
    ) -> Option<()> {
        let steps = [(1, 1), self.chroma.steps(), self.chroma.steps()];
        for ((plane, samples), (x, y)) in self.planes.iter_mut().zip(image).zip(steps) {
            let source = Window { left: left / x, top: top / y, width: width.div_ceil(x), height: height.div_ceil(y) };
            let from = plane.left.max(source.left);
            let to = (plane.left + plane.width).min(source.right());
            for row in plane.top.max(source.top)..(plane.top + plane.height).min(source.bottom()) {
                if from >= to {
                    break;
                }
                let place = (row - plane.top) * plane.width + from - plane.left;
                let target = &mut plane.samples[place..place + to - from];
                samples.read(row - source.top, from - source.left, target)?;
            }
        }
        Some(())
    }

    /// Bits of a sample, and how many samples of chroma there are.
    pub(crate) fn kind(&self) -> (u8, Chroma) {
        (self.depth, self.chroma)
    }

    /// RGB of the window.
    pub(crate) fn to_rgb(&self, window: &Window, colour: Cicp) -> Option<Vec<u8>> {
        let way = Way::of(colour, self.depth)?;
        let mut pixels = Vec::with_capacity(window.bytes());
        for y in window.top..window.bottom() {
            let luma = self.planes[0].row(y);
            for x in window.left..window.right() {
                let luma = luma[x - self.planes[0].left];
                let pixel = match self.chroma {
                    Chroma::None => [way.grey(luma); 3],
                    _ => way.rgb(luma, self.chroma_at(1, x, y), self.chroma_at(2, x, y)),
                };
                pixels.extend(pixel);
            }
        }
        Some(pixels)
    }

    /// Chroma at a pixel.
    fn chroma_at(&self, plane: usize, x: usize, y: usize) -> u16 {
        let plane = &self.planes[plane];
        let at = |x: usize, y: usize| u32::from(plane.row(y)[x - plane.left]);
        // The sample that the pixel lies in, and the nearest other one; at the picture's border there is none.
        let (near_x, near_y) = (x / 2, y / 2);
        // libyuv mixes the last column, though not the last row, with nothing, also where a pixel is left over.
        let far_x = if x + 1 == self.width { near_x } else { beside(x, plane.left, plane.width) };
        let far_y = beside(y, plane.top, plane.height);
        let mixed = match self.chroma {
            Chroma::None | Chroma::Whole => at(x, y),
            Chroma::HalfWide => (3 * at(near_x, y) + at(far_x, y) + 2) >> 2,
            Chroma::HalfBoth => {
                let near = 9 * at(near_x, near_y) + 3 * at(far_x, near_y);
                (near + 3 * at(near_x, far_y) + at(far_x, far_y) + 8) >> 4
            }
        };
        mixed as u16
    }
}

impl Plane {
    fn row(&self, y: usize) -> &[u16] {
        let from = (y - self.top) * self.width;
        &self.samples[from..from + self.width]
    }
}

/// Of halved samples, the place next to the one that a pixel lies in, on the pixel's side.
fn beside(pixel: usize, first: usize, count: usize) -> usize {
    let side = if pixel % 2 == 1 { pixel / 2 + 1 } else { (pixel / 2).saturating_sub(1) };
    side.clamp(first, first + count - 1)
}

impl Chroma {
    /// Pixels for each sample, across and down.
    fn steps(self) -> (usize, usize) {
        match self {
            Chroma::None | Chroma::Whole => (1, 1),
            Chroma::HalfWide => (2, 1),
            Chroma::HalfBoth => (2, 2),
        }
    }
}

impl Samples<'_> {
    /// Reads samples of a row from a column on.
    fn read(&self, row: usize, column: usize, into: &mut [u16]) -> Option<()> {
        let start = row.checked_mul(self.stride)?;
        if self.is_wide {
            let bytes = self.bytes.get(start + column * 2..)?.get(..into.len() * 2)?;
            into.iter_mut().zip(bytes.as_chunks::<2>().0).for_each(|(sample, &two)| *sample = u16::from_le_bytes(two));
        } else {
            let bytes = self.bytes.get(start + column..)?.get(..into.len())?;
            into.iter_mut().zip(bytes).for_each(|(sample, &byte)| *sample = byte.into());
        }
        Some(())
    }
}

/// From samples to levels.
struct Way {
    depth: u8,
    kind: Kind,
    is_full_range: bool,
}

enum Kind {
    /// The planes are green, blue and red.
    Identity,
    /// Factors in 64ths: of blue and red differences in green, and in their own colour.
    Matrix { blue: i32, green_of_blue: i32, green_of_red: i32, red: i32 },
    /// Lifting with differences of green and orange.
    GreenOrange,
}

impl Way {
    /// `None` for numbers without a meaning here.
    fn of(colour: Cicp, depth: u8) -> Option<Way> {
        let (red, blue) = match (colour.matrix, colour.primaries) {
            (0, _) => return Some(Way { depth, kind: Kind::Identity, is_full_range: colour.is_full_range }),
            (8, _) => return Some(Way { depth, kind: Kind::GreenOrange, is_full_range: colour.is_full_range }),
            (1, _) | (12, 1) => (0.2126, 0.0722),
            (4, _) | (12, 4) => (0.30, 0.11),
            // What says nothing is taken for what JPEG has.
            (2 | 5 | 6, _) | (12, 2 | 5 | 6) => (0.299, 0.114),
            (7, _) | (12, 7) => (0.212, 0.087),
            (9, _) | (12, 9) => (0.2627, 0.0593),
            _ => return None,
        };
        let green = 1.0 - red - blue;
        let scale = if colour.is_full_range { 64.0 } else { 64.0 * 255.0 / 224.0 };
        // libyuv has eight bits for the sign and the magnitude of a factor.
        let factor = |part: f64| ((part * scale).round() as i32).min(128);
        let kind = Kind::Matrix {
            blue: factor(2.0 * (1.0 - blue)),
            green_of_blue: factor(2.0 * blue * (1.0 - blue) / green),
            green_of_red: factor(2.0 * red * (1.0 - red) / green),
            red: factor(2.0 * (1.0 - red)),
        };
        Some(Way { depth, kind, is_full_range: colour.is_full_range })
    }

    fn grey(&self, luma: u16) -> u8 {
        level(self.light(luma))
    }

    fn rgb(&self, luma: u16, blue: u16, red: u16) -> [u8; 3] {
        match self.kind {
            Kind::Identity => [red, luma, blue].map(|sample| level(self.light(sample))),
            Kind::Matrix { blue: own_blue, green_of_blue, green_of_red, red: own_red } => {
                let (light, blue, red) = (self.light(luma), self.difference(blue), self.difference(red));
                let green = light - blue * green_of_blue - red * green_of_red;
                [level(light + red * own_red), level(green), level(light + blue * own_blue)]
            }
            Kind::GreenOrange => {
                let (light, green, orange) = (self.light(luma), self.difference(blue) * 64, self.difference(red) * 64);
                let base = light - green;
                [level(base + orange), level(light + green), level(base - orange)]
            }
        }
    }

    /// 64ths of a level, with half a level on top to round by.
    fn light(&self, luma: u16) -> i32 {
        // Spread over 16 bits.
        let spread = match self.depth {
            8 => u32::from(luma) * 0x101,
            depth => {
                let luma = u32::from(luma).min((1 << depth) - 1);
                luma << (16 - depth) | luma >> (2 * depth - 16)
            }
        };
        let (scale, offset) = if self.is_full_range { (16_320, 32) } else { (18_997, -1160) };
        ((spread * scale) >> 16) as i32 + offset
    }

    /// From the middle, in levels.
    fn difference(&self, chroma: u16) -> i32 {
        i32::from(chroma >> (self.depth - 8)).min(255) - 128
    }
}

fn level(sixty_fourths: i32) -> u8 {
    (sixty_fourths >> 6).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_within_two_of_the_standards() {
        // Of BT.709, BT.601 and BT.2020; the full range.
        for (matrix, red, blue) in [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593)] {
            let way = Way::of(Cicp { primaries: 1, matrix, is_full_range: true }, 8).unwrap();
            for (luma, cb, cr) in [(0, 128, 128), (255, 128, 128), (90, 200, 60), (128, 90, 200), (200, 140, 100)] {
                let (y, cb_off, cr_off) = (f64::from(luma), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
                let (r, b) = (y + 2.0 * (1.0 - red) * cr_off, y + 2.0 * (1.0 - blue) * cb_off);
                let g = (y - red * r - blue * b) / (1.0 - red - blue);
                for (got, want) in way.rgb(luma, cb, cr).into_iter().zip([r, g, b]) {
                    assert!((f64::from(got) - want.clamp(0.0, 255.0)).abs() < 2.0, "{matrix}: {got}, not {want}");
                }
            }
        }
    }

    #[test]
    fn grey_is_grey_in_every_range_and_depth() {
        for depth in [8, 10, 12] {
            for (is_full_range, black, white) in [(true, 0, 255), (false, 16, 235)] {
                let way = Way::of(Cicp { primaries: 1, matrix: 1, is_full_range }, depth).unwrap();
                let middle = 128 << (depth - 8);
                assert_eq!(way.rgb(black << (depth - 8), middle, middle), [0; 3]);
                let most = if is_full_range { (1 << depth) - 1 } else { white << (depth - 8) };
                assert!(way.rgb(most, middle, middle).iter().all(|&level| level >= 254), "{depth} bits");
                assert_eq!(way.grey(most), way.rgb(most, middle, middle)[1]);
            }
        }
        assert!(Way::of(Cicp { primaries: 1, matrix: 14, is_full_range: true }, 8).is_none());
    }

    #[test]
    fn identity_planes_are_green_blue_and_red() {
        let way = Way::of(Cicp { primaries: 1, matrix: 0, is_full_range: true }, 8).unwrap();
        assert_eq!(way.rgb(10, 20, 30), [30, 10, 20]);
    }
}
