//! What is drawn of an animation.

use crate::crop::Window;

/// What is drawn so far, within the window.
pub(super) struct Canvas {
    window: Window,
    pub rgba: Vec<u8>,
    background: [u8; 4],
}

impl Canvas {
    pub(crate) fn new(window: Window, [red, green, blue]: [u8; 3]) -> Canvas {
        let background = [red, green, blue, 0];
        Canvas { window, rgba: background.repeat(window.width * window.height), background }
    }

    pub(crate) fn clear(&mut self, place: &Window) {
        let Some(overlap) = place.overlap(&self.window) else { return };
        let background = self.background;
        for row in self.rows(&overlap) {
            row.chunks_exact_mut(4).for_each(|pixel| pixel.copy_from_slice(&background));
        }
    }

    /// The rows of a part of the window.
    fn rows(&mut self, part: &Window) -> impl Iterator<Item = &mut [u8]> {
        let (stride, left) = (self.window.width * 4, (part.left - self.window.left) * 4);
        let (top, width) = (part.top - self.window.top, part.width * 4);
        self.rgba.chunks_exact_mut(stride).skip(top).take(part.height).map(move |row| &mut row[left..left + width])
    }

    pub(crate) fn draw(&mut self, place: &Window, pixels: &[u8], replaces: bool) {
        for (row, drawn) in self.rows(place).zip(pixels.chunks_exact(place.width * 4)) {
            if replaces {
                row.copy_from_slice(drawn);
                continue;
            }
            for (below, above) in row.as_chunks_mut::<4>().0.iter_mut().zip(drawn.as_chunks::<4>().0) {
                *below = over(*above, *below);
            }
        }
    }

    /// Alpha is dropped, as in still images.
    pub(crate) fn rgb(&self) -> Vec<u8> {
        self.rgba.as_chunks::<4>().0.iter().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }
}

/// One pixel over another, neither of them multiplied by its alpha.
fn over(above: [u8; 4], below: [u8; 4]) -> [u8; 4] {
    match above[3] {
        0 => below,
        255 => above,
        alpha => {
            let (alpha, rest) = (u32::from(alpha) * 255, u32::from(below[3]) * u32::from(255 - alpha));
            let sum = alpha + rest;
            let mixed = |n: usize| ((u32::from(above[n]) * alpha + u32::from(below[n]) * rest + sum / 2) / sum) as u8;
            [mixed(0), mixed(1), mixed(2), ((sum + 127) / 255) as u8]
        }
    }
}
