//! Scaling down, for people to look at: each pixel is the mean of the area that it stands for.

use super::picture::Picture;

/// Pixels of a whole image that is given out; a larger one is scaled down to so many.
pub const MAX_WHOLE_PIXELS: u64 = 40_000_000;

/// Sides of an image once its long side is at most `longest` and its pixels are at most [`MAX_WHOLE_PIXELS`]; it is never made larger.
pub fn fit(width: u32, height: u32, longest: u32) -> (u32, u32) {
    let (wide, high) = (f64::from(width), f64::from(height));
    let by_side = f64::from(longest) / wide.max(high);
    let by_pixels = (MAX_WHOLE_PIXELS as f64 / (wide * high)).sqrt();
    let scale = by_side.min(by_pixels);
    if scale >= 1.0 {
        return (width, height);
    }
    // A long and narrow one may have fewer than a pixel left across.
    let most = |side: u32| u32::try_from(MAX_WHOLE_PIXELS).unwrap_or(u32::MAX).min(longest).min(side).max(1);
    let side = |side: u32| ((f64::from(side) * scale) as u32).clamp(1, most(side));
    (side(width), side(height))
}

/// No side may become larger, and none zero.
pub(super) fn down(picture: &Picture, width: u32, height: u32) -> Option<Picture> {
    let (width, height) = (width as usize, height as usize);
    let across = spans(picture.width(), width);
    let stride = picture.width() * 3;
    let whole = (picture.width() * picture.height()) as u64;
    let mut rgb = Vec::with_capacity(width * height * 3);
    let (mut row, mut sums) = (vec![0; width * 3], vec![0; width * 3]);
    for span in spans(picture.height(), height) {
        sums.fill(0);
        for y in span.first..=span.last {
            along(&picture.rgb()[y * stride..(y + 1) * stride], &across, &mut row);
            let weight = span.weight(y, height as u64);
            sums.iter_mut().zip(&row).for_each(|(sum, level)| *sum += level * weight);
        }
        rgb.extend(sums.iter().map(|sum| ((sum + whole / 2) / whole) as u8));
    }
    Picture::new(width, height, rgb)
}

/// The source pixels of one target pixel. A source pixel has as many parts as there are target pixels, and a target pixel takes as many
/// parts as there are source pixels.
struct Span {
    first: usize,
    last: usize,
    /// Parts of the first one and the last one; the same where there is one only.
    of_first: u64,
    of_last: u64,
}

impl Span {
    fn weight(&self, place: usize, full: u64) -> u64 {
        if place == self.first {
            self.of_first
        } else if place == self.last {
            self.of_last
        } else {
            full
        }
    }
}

fn spans(source: usize, target: usize) -> Vec<Span> {
    let span = |n: usize| {
        let (from, to) = (n * source, (n + 1) * source);
        let (first, last) = (from / target, (to - 1) / target);
        let of_first = ((first + 1) * target).min(to) - from;
        let of_last = if first == last { of_first } else { to - last * target };
        Span { first, last, of_first: of_first as u64, of_last: of_last as u64 }
    };
    (0..target).map(span).collect()
}

/// Sums of a row's pixels, weighted.
fn along(source: &[u8], spans: &[Span], target: &mut [u64]) {
    let (pixels, _) = source.as_chunks::<3>();
    for (span, sums) in spans.iter().zip(target.as_chunks_mut::<3>().0) {
        let at = |place: usize, channel: usize| u64::from(pixels[place][channel]);
        *sums = std::array::from_fn(|channel| at(span.first, channel) * span.of_first);
        if span.last > span.first {
            let mut between = [0u64; 3];
            for pixel in &pixels[span.first + 1..span.last] {
                between.iter_mut().zip(pixel).for_each(|(sum, &level)| *sum += u64::from(level));
            }
            for channel in 0..3 {
                sums[channel] += between[channel] * spans.len() as u64 + at(span.last, channel) * span.of_last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sides_keep_their_ratio_and_stay_within_what_is_asked_for() {
        assert_eq!(fit(4000, 3000, 1600), (1600, 1200));
        assert_eq!(fit(3000, 4000, 1600), (1200, 1600));
        assert_eq!(fit(640, 480, 1600), (640, 480));
        assert_eq!(fit(100_000, 2, 1600), (1600, 1));
        assert_eq!(fit(100_000, 100, u32::MAX), (100_000, 100));
        let (width, height) = fit(12_000, 9_000, u32::MAX);
        assert!(u64::from(width) * u64::from(height) <= MAX_WHOLE_PIXELS && width > 7_200, "{width}×{height}");
        for (width, height, longest) in [(u32::MAX, u32::MAX, u32::MAX), (u32::MAX, 1, u32::MAX), (1, u32::MAX, 7)] {
            let (width, height) = fit(width, height, longest);
            assert!(u64::from(width) * u64::from(height) <= MAX_WHOLE_PIXELS && width > 0 && height > 0);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn each_pixel_is_the_mean_of_its_area(
            (width, to_width) in (1usize..40).prop_flat_map(|side| (Just(side), 1..=side)),
            (height, to_height) in (1usize..40).prop_flat_map(|side| (Just(side), 1..=side)),
        ) {
            let level = |x: usize, y: usize, channel: usize| ((x * 37 + y * 91 + channel * 50) % 256) as u8;
            let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| level(x, y, c))));
            let picture = Picture::new(width, height, pixels.collect()).unwrap();
            let small = down(&picture, to_width as u32, to_height as u32).unwrap();
            let overlap = |n: usize, to: usize, place: usize, from: usize| {
                let scale = from as f64 / to as f64;
                ((n + 1) as f64 * scale).min(place as f64 + 1.0) - (n as f64 * scale).max(place as f64)
            };
            for (place, &found) in small.rgb().iter().enumerate() {
                let (x, y, channel) = (place / 3 % to_width, place / 3 / to_width, place % 3);
                let (mut sum, mut area) = (0.0, 0.0);
                for (from_x, from_y) in (0..width).flat_map(|x| (0..height).map(move |y| (x, y))) {
                    let part = overlap(x, to_width, from_x, width).max(0.0) * overlap(y, to_height, from_y, height).max(0.0);
                    sum += part * f64::from(level(from_x, from_y, channel));
                    area += part;
                }
                prop_assert!((f64::from(found) - sum / area).abs() < 0.51, "{} at {}", found, place);
            }
        }
    }
}
