//! JPEG by libjpeg-turbo, as Pillow decodes it, but only the middle.
//!
//! A baseline JPEG is cut down to the blocks that matter before libjpeg-turbo sees it ([`mod@excerpt`]). Of other kinds all
//! entropy-coded data is decoded, but everything after it (inverse DCT, upsampling, colour) is done for the region alone.
//! Either way there is a margin, so that upsampling sees the neighbours that it would see in the whole image; the result
//! is equal to the whole decode, bit for bit.
//!
//! Where data is missing or unreadable libjpeg-turbo makes pixels up, as every viewer shows them. The image is judged all the
//! same, and said to be damaged if that concerns the window ([`mod@damage`]).

mod damage;
mod entropy;
mod excerpt;
pub(crate) mod outline;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod turbo;
mod writer;

use std::borrow::Cow;

use excerpt::{Excerpt, MARGIN, excerpt};
use outline::{Coding, Outline};
use turbo::{Bounds, Decompressor, Header, Layout, Region, Warning};

use super::colour::rgb_of_cmyk;
use super::crop::Window;
use super::{DecodeError, DecoderOutput, Format, Limits, Quality};

/// More scans than any encoder writes (libjpeg's script has 10, optimisers end at some 20). Each costs a walk over
/// all coefficients, so a small file with thousands could keep a thread busy for minutes.
const MAX_SCANS: usize = 100;

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let outline = Outline::read(bytes).map_err(damaged)?;
    check(&outline, bytes.len(), limits)?;

    let window = Window::centre(outline.width, outline.height, side);
    let ended = ended(bytes, &outline, limits)?;
    let excerpt = excerpt(&ended, &outline, &window);
    let bytes = excerpt.as_ref().map_or(&*ended, |excerpt| &excerpt.bytes);
    let mut decompressor = bounded(limits)?;
    let header = decompressor.read_header(bytes).map_err(damaged)?;
    let region = match excerpt {
        None => region(&header, &window, outline.is_smoothed()),
        Some(_) => header.whole(),
    };
    limits.afford(outline.decoding_bytes(bytes.len()) + region.pixels() * bytes_per_pixel(header.layout))?;
    let (pixels, warning) = decompressor.decode(bytes, &header, region).map_err(damaged)?;
    let is_damaged = match warning {
        // What an excerpt is made of was found to be sound.
        Some(warning) if !(excerpt.is_some() && warning.is_about_no_pixels()) => {
            is_damaged(&warning, &ended, &outline, &window)?
        }
        _ => outline.is_smoothed(),
    };
    let pixels = match header.layout {
        Layout::Rgb => pixels,
        Layout::Cmyk => rgb_of_inverted_cmyk(&pixels),
    };

    let mut quality = Vec::new();
    if outline.components.len() == 1 {
        quality.push(Quality::Greyscale);
    }
    if is_damaged {
        quality.push(Quality::Damaged);
    }
    let (left, top) = excerpt.map_or((region.left, region.top), |Excerpt { left, top, .. }| (left, top));
    let is_all = (window.left, window.top, window.bytes()) == (left, top, pixels.len());
    let window = if is_all { pixels } else { window.cut(&pixels, left, top, region.width * 3) };
    Ok(DecoderOutput { width: outline.width, height: outline.height, window, quality })
}

/// The image with an end-of-image marker behind it, which a file that is cut off lacks: what libjpeg-turbo still warns of are
/// missing pixels.
fn ended<'a>(bytes: &'a [u8], outline: &Outline, limits: &Limits) -> Result<Cow<'a, [u8]>, DecodeError> {
    if outline.has_end {
        return Ok(Cow::Borrowed(bytes));
    }
    if matches!(outline.coding(), Coding::ArithmeticProgressive | Coding::Other) {
        // Nothing tells how much is missing, and browsers show none of these.
        return Err(Format::Jpeg.damaged("it is cut off: no end-of-image marker follows"));
    }
    limits.afford(outline.decoding_bytes(bytes.len()).saturating_add(bytes.len() as u64))?;
    Ok(Cow::Owned([&bytes[..outline.end], &[0xff, 0xd9]].concat()))
}

/// Whether pixels of the window may be wrong; an error where more than half of them are made up.
fn is_damaged(warning: &Warning, bytes: &[u8], outline: &Outline, window: &Window) -> Result<bool, DecodeError> {
    match damage::of(bytes, outline, window) {
        Some(damage) if damage.made_up > 0.5 => {
            let percent = (damage.made_up * 100.0).round();
            Err(Format::Jpeg.damaged(format_args!("{percent} % of the middle is missing: {}", warning.0)))
        }
        // Of later scans it is not known which part of the image they concern.
        Some(_) if outline.coding() == Coding::Progressive => {
            Ok(outline.is_smoothed() || !warning.is_about_no_pixels())
        }
        Some(damage) => Ok(damage.is_doubtful),
        None if warning.is_about_no_pixels() => Ok(outline.is_smoothed()),
        None => Err(damaged(warning.0.clone())),
    }
}

fn damaged(detail: String) -> DecodeError {
    Format::Jpeg.damaged(detail)
}

fn check(outline: &Outline, encoded: usize, limits: &Limits) -> Result<(), DecodeError> {
    limits.admit(Format::Jpeg, outline.width, outline.height)?;
    if outline.bits != 8 {
        return Err(Format::Jpeg.unsupported(format_args!("{} bits a sample", outline.bits)));
    }
    if !matches!(outline.components.len(), 1 | 3 | 4) {
        return Err(Format::Jpeg.unsupported(format_args!("{} components", outline.components.len())));
    }
    if outline.scans > MAX_SCANS {
        return Err(Format::Jpeg.unsupported(format_args!("{} scans, more than {MAX_SCANS}", outline.scans)));
    }
    if let Some(component) = outline.components.iter().find(|component| !component.is_present()) {
        return Err(Format::Jpeg.damaged(format_args!("no scan holds component {}", component.id)));
    }
    limits.afford(outline.decoding_bytes(encoded))
}

/// The window, with its margin, and the left edge on an iMCU's border as libjpeg-turbo wants it.
fn region(header: &Header, window: &Window, smoothed: bool) -> Region {
    let Some(imcu) = header.imcu_width.filter(|_| !smoothed) else {
        return header.whole();
    };
    let left = window.left.saturating_sub(MARGIN) / imcu * imcu;
    let top = window.top.saturating_sub(MARGIN);
    let right = (window.right() + MARGIN).min(header.width);
    let bottom = (window.bottom() + MARGIN).min(header.height);
    Region { left, top, width: right - left, height: bottom - top }
}

/// Of inks, with the RGB that is made of them.
fn bytes_per_pixel(layout: Layout) -> u64 {
    match layout {
        Layout::Rgb => 3,
        Layout::Cmyk => 7,
    }
}

/// As Pillow: CMYK in JPEGs is taken for inverted, as Adobe writes it.
fn rgb_of_inverted_cmyk(pixels: &[u8]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<4>();
    pixels.iter().flat_map(|pixel| rgb_of_cmyk(pixel.map(|level| 255 - level))).collect()
}

/// Pixels of an image that is part of a file of another format.
pub(super) struct Whole {
    pub width: usize,
    pub height: usize,
    /// 3, or 4 for inks as they are stored.
    pub channels: usize,
    pub pixels: Vec<u8>,
}

/// Decodes all of an image, which may be no larger than this.
pub(super) fn whole(bytes: &[u8], width: usize, height: usize, limits: &Limits) -> Result<Whole, DecodeError> {
    let outline = Outline::read(bytes).map_err(damaged)?;
    check(&outline, bytes.len(), limits)?;
    if outline.width as usize > width || outline.height as usize > height {
        return Err(damaged(format!("{}×{} pixels do not fit into a part of it", outline.width, outline.height)));
    }
    let bytes = ended(bytes, &outline, limits)?;
    let mut decompressor = bounded(limits)?;
    let header = decompressor.read_header(&bytes).map_err(damaged)?;
    let region = header.whole();
    let channels = header.layout.bytes_per_pixel();
    limits.afford(outline.decoding_bytes(bytes.len()) + region.pixels() * channels as u64)?;
    match decompressor.decode(&bytes, &header, region).map_err(damaged)? {
        (_, Some(warning)) if !warning.is_about_no_pixels() => Err(damaged(warning.0)),
        (pixels, _) => Ok(Whole { width: header.width, height: header.height, channels, pixels }),
    }
}

fn bounded(limits: &Limits) -> Result<Decompressor, DecodeError> {
    let megabytes = (limits.max_decoded_bytes >> 20).clamp(1, 1 << 20) as i32;
    let mut decompressor = Decompressor::new().map_err(damaged)?;
    decompressor.bound(&Bounds { megabytes, scans: MAX_SCANS as i32 });
    Ok(decompressor)
}
