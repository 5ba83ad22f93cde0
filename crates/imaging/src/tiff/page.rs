//! Which page of a TIFF is the picture, and what its samples mean.

use super::directory::{Directory, File, tag};
use crate::orientation::Orientation;
use crate::{DecodeError, Format};

/// What the samples of a pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
}

pub(super) struct Page<'a> {
    pub directory: Directory<'a>,
    pub width: u32,
    pub height: u32,
    pub colour: Colour,
    pub bits: u64,
    pub samples: usize,
    pub compression: u64,
    pub is_planar: bool,
    pub has_alpha: bool,
    pub orientation: Orientation,
}

/// Samples of a sensor, before they are made into a picture: by a filter of colours, or already joined.
const SENSOR: [u64; 2] = [32803, 34892];

impl<'a> Page<'a> {
    pub(crate) fn choose(file: File<'a>, bytes: &[u8]) -> Result<Page<'a>, DecodeError> {
        let mut pages = file.pages();
        if let Some(name) = camera_raw(bytes, &pages) {
            let detail =
                format_args!("{name}, of which only a small preview could be judged; develop it to JPEG or TIFF");
            return Err(Format::Tiff.unsupported(detail));
        }
        if pages.is_empty() {
            return Err(Format::Tiff.damaged("its first directory is not there"));
        }
        // A smaller copy of another page may come first.
        let is_reduced = |page: &Directory<'_>| page.number(tag::SUBFILE).is_some_and(|kind| kind & 1 == 1);
        let chosen = pages.iter().position(|page| !is_reduced(page)).unwrap_or(0);
        Page::of(pages.swap_remove(chosen))
    }

    fn of(directory: Directory<'a>) -> Result<Page<'a>, DecodeError> {
        let number = |tag| directory.number(tag);
        let side = |tag, word| {
            let found = number(tag).and_then(|side| u32::try_from(side).ok());
            found.ok_or_else(|| Format::Tiff.damaged(format_args!("its {word} is missing")))
        };
        let (width, height) = (side(tag::WIDTH, "width")?, side(tag::HEIGHT, "height")?);
        let bits = directory.numbers(tag::BITS).unwrap_or_else(|| vec![1]);
        if bits.iter().any(|&other| Some(&other) != bits.first()) {
            return Err(Format::Tiff.unsupported(format_args!("channels of {bits:?} bits")));
        }
        match number(tag::SAMPLE_FORMAT) {
            None | Some(1 | 4) => {}
            Some(3) => return Err(Format::Tiff.unsupported("floating-point samples")),
            Some(_) => return Err(Format::Tiff.unsupported("signed or complex samples")),
        }
        let colour = match number(tag::PHOTOMETRIC) {
            Some(0) => Colour::WhiteIsZero,
            Some(1) => Colour::BlackIsZero,
            Some(2) => Colour::Rgb,
            Some(3) => Colour::Palette,
            Some(5) => Colour::Cmyk,
            Some(6) => Colour::YCbCr,
            Some(8..=10) => return Err(Format::Tiff.unsupported("Lab colours")),
            Some(4) => return Err(Format::Tiff.unsupported("a mask, which is no picture")),
            Some(other) => return Err(Format::Tiff.unsupported(format_args!("colours of kind {other}"))),
            None => return Err(Format::Tiff.damaged("what its samples mean is missing")),
        };
        let samples = number(tag::SAMPLES).unwrap_or(1) as usize;
        let needed = match colour {
            Colour::Rgb | Colour::YCbCr => 3,
            Colour::Cmyk => 4,
            _ => 1,
        };
        if samples < needed {
            return Err(Format::Tiff.damaged(format_args!("it has {samples} samples a pixel instead of {needed}")));
        }
        // Some writers don't say what the last sample is.
        let has_alpha = samples > needed && matches!(number(tag::EXTRA_SAMPLES), None | Some(1 | 2));
        Ok(Page {
            width,
            height,
            colour,
            bits: bits.first().copied().unwrap_or(1),
            samples,
            compression: number(tag::COMPRESSION).unwrap_or(1),
            is_planar: number(tag::PLANAR) == Some(2) && samples > 1,
            has_alpha,
            orientation: number(tag::ORIENTATION).and_then(Orientation::of).unwrap_or(Orientation::STORED),
            directory,
        })
    }
}

/// Which camera's raw file it is: one that holds a sensor's samples, whatever previews come with them.
fn camera_raw(bytes: &[u8], pages: &[Directory<'_>]) -> Option<&'static str> {
    if bytes.get(8..10) == Some(b"CR") {
        return Some("a Canon camera's raw file (CR2)");
    }
    if pages.iter().any(|page| page.has(tag::DNG_VERSION)) {
        return Some("a camera's raw file (DNG)");
    }
    let is_sensor = |page: &Directory<'_>| page.number(tag::PHOTOMETRIC).is_some_and(|kind| SENSOR.contains(&kind));
    let holds_sensor = |page: &Directory<'_>| is_sensor(page) || page.within().iter().any(is_sensor);
    if !pages.iter().any(holds_sensor) {
        return None;
    }
    let make = pages.iter().find_map(|page| page.bytes(tag::MAKE)).unwrap_or_default().to_ascii_uppercase();
    let known: [(&[u8], &str); 4] = [
        (b"NIKON", "a Nikon camera's raw file (NEF)"),
        (b"SONY", "a Sony camera's raw file (ARW)"),
        (b"PENTAX", "a Pentax camera's raw file (PEF)"),
        (b"SAMSUNG", "a Samsung camera's raw file (SRW)"),
    ];
    let named = known.iter().find(|(name, _)| make.starts_with(name)).map(|&(_, name)| name);
    Some(named.unwrap_or("a camera's raw file"))
}
