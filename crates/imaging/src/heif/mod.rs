//! HEIF (ISO/IEC 23008-12), the container of AVIF: which picture of a file is meant, its sides, and the coded images that it is
//! made of, which may be tiles of a grid.
//!
//! Turning and mirroring are left alone, as EXIF's orientation is in other formats; [`orientation`] says what they are.

mod boxes;
mod items;

use std::borrow::Cow;
use std::ops::Range;

use boxes::{Body, Fault, find};
use items::Items;

use super::brands::{self, Codec};
use super::crop::Window;
use super::orientation::Orientation;
use super::planes::Cicp;
use super::{DecodeError, DecoderOutput, Format, Limits, Quality};

/// The picture that a file is about.
pub(super) struct Still<'a> {
    file: &'a [u8],
    items: Items<'a>,
    /// What is shown of it: all, or a part that encoders name which pad odd sides.
    pub shown: Window,
    /// Of all of it.
    pub width: u32,
    pub height: u32,
    /// Sides of one coded image: those of the whole where it is the only one.
    pub tile_width: u32,
    pub tile_height: u32,
    columns: usize,
    /// Row by row.
    tiles: Vec<u32>,
    pub colour: Option<Cicp>,
    pub has_alpha: bool,
    /// Whether there is an animation beside it.
    pub is_animated: bool,
}

/// The codec of a file whose brands do not name it.
pub(super) fn codec(file: &[u8]) -> Option<Codec> {
    brands::of(file)?.find(|brand| brands::is_of_pictures(brand))?;
    let items = Items::read(find(file, *b"meta").ok()??).ok()?;
    let primary = items.primary?;
    let coded = items.referred(primary, *b"dimg").first().copied().unwrap_or(primary);
    match &items.kind(coded)? {
        b"av01" => Some(Codec::Av1),
        b"hvc1" | b"hev1" => Some(Codec::Hevc),
        _ => None,
    }
}

/// How the picture of a file is turned and mirrored to be looked at.
pub(super) fn orientation(file: &[u8]) -> Option<Orientation> {
    let items = Items::read(find(file, *b"meta").ok()??).ok()?;
    let turned = |so_far: Orientation, (name, mut body): ([u8; 4], Body<'_>)| {
        let next = match (&name, body.u8().unwrap_or(0)) {
            // Quarters to the left.
            (b"irot", quarters) => [1, 8, 3, 6][usize::from(quarters & 3)],
            // Top for bottom, or left for right.
            (b"imir", mode) => [4, 2][usize::from(mode & 1)],
            _ => return so_far,
        };
        Orientation::of(next).map_or(so_far, |next| so_far.then(next))
    };
    Some(items.all_properties(items.primary?).fold(Orientation::STORED, turned))
}

/// A coded image, and where it lies in the picture.
pub(super) struct Tile<'a> {
    pub bytes: Cow<'a, [u8]>,
    pub left: usize,
    pub top: usize,
}

impl<'a> Still<'a> {
    /// `codec`: the kind of item that coded images are.
    pub(crate) fn read(file: &'a [u8], codec: [u8; 4]) -> Result<Still<'a>, Trouble> {
        let Some(meta) = find(file, *b"meta")? else {
            let moving = find(file, *b"moov").is_ok_and(|found| found.is_some());
            return Err(if moving {
                Trouble::Unsupported("an animation without a still picture")
            } else {
                Trouble::Damaged("it holds no picture")
            });
        };
        let items = Items::read(meta)?;
        let primary = items.primary.ok_or("it does not say which of its pictures is meant")?;
        let (width, height) = sides(&items, primary)?.ok_or("its picture has no sides")?;
        let has_alpha = items.referring(primary, *b"auxl").any(|other| is_alpha(&items, other));
        let mut still = Still {
            file,
            shown: Window { left: 0, top: 0, width: width as usize, height: height as usize },
            width,
            height,
            tile_width: width,
            tile_height: height,
            columns: 1,
            tiles: vec![primary],
            colour: None,
            has_alpha,
            is_animated: find(file, *b"moov").is_ok_and(|found| found.is_some()),
            items,
        };
        match still.items.kind(primary) {
            Some(kind) if kind == codec => {}
            Some(kind) if kind == *b"grid" => still.read_grid(primary)?,
            Some(_) => {
                return Err(Trouble::Unsupported("its picture is put together from others, or of another codec"));
            }
            None => return Err(Trouble::Damaged("its picture is not among its items")),
        }
        still.shown = aperture(&still.items, primary, still.width, still.height).unwrap_or(Window {
            left: 0,
            top: 0,
            width: still.width as usize,
            height: still.height as usize,
        });
        still.colour = [primary, still.tiles[0]].iter().find_map(|&item| colour(&still.items, item));
        Ok(still)
    }

    /// Reads a file, unless its sides are beyond the limits.
    pub(crate) fn admitted(
        file: &'a [u8],
        format: Format,
        codec: [u8; 4],
        limits: &Limits,
    ) -> Result<Still<'a>, DecodeError> {
        let still = Still::read(file, codec).map_err(|trouble| trouble.of(format))?;
        limits.admit(format, still.width, still.height)?;
        limits.admit(format, still.tile_width, still.tile_height)?;
        Ok(still)
    }

    fn read_grid(&mut self, grid: u32) -> Result<(), Trouble> {
        let bytes = self.items.bytes(grid, self.file)?;
        let mut body = Body(&bytes);
        let (_, flags) = (body.u8()?, body.u8()?);
        let (rows, columns) = (usize::from(body.u8()?) + 1, usize::from(body.u8()?) + 1);
        (self.width, self.height) = (body.id(flags & 1 == 1)?, body.id(flags & 1 == 1)?);
        self.columns = columns;
        self.tiles = self.items.referred(grid, *b"dimg").to_vec();
        if self.tiles.len() != rows * columns {
            return Err(Trouble::Damaged("it has more or fewer tiles than its grid has places"));
        }
        (self.tile_width, self.tile_height) = sides(&self.items, self.tiles[0])?.ok_or("its tiles have no sides")?;
        let covers = |tile: u32, count: usize, side: u32| u64::from(tile) * count as u64 >= u64::from(side);
        if !covers(self.tile_width, columns, self.width) || !covers(self.tile_height, rows, self.height) {
            return Err(Trouble::Damaged("its tiles do not cover it"));
        }
        Ok(())
    }

    /// The middle of what is shown.
    pub(crate) fn window(&self, side: usize) -> Window {
        let window = Window::centre(self.shown.width as u32, self.shown.height as u32, side);
        Window { left: window.left + self.shown.left, top: window.top + self.shown.top, ..window }
    }

    /// The picture, of whose window these are the pixels.
    pub(crate) fn output(&self, window: Vec<u8>, is_grey: bool) -> DecoderOutput {
        let mut quality = Vec::new();
        if self.is_animated {
            quality.push(Quality::Animated);
        }
        if self.has_alpha {
            quality.push(Quality::Transparent);
        }
        if is_grey {
            quality.push(Quality::Greyscale);
        }
        quality.push(Quality::UnfamiliarCodec);
        let (width, height) = (self.shown.width as u32, self.shown.height as u32);
        DecoderOutput { width, height, window, quality }
    }

    /// Of HEVC, how many samples of chroma there are: 0 none, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    pub(crate) fn chroma_of_hevc(&self) -> u8 {
        // Nearly all have 4:2:0.
        self.byte_of_hevc(16).map_or(1, |byte| byte & 3)
    }

    /// Of HEVC, the bits of a sample of luma.
    pub(crate) fn depth_of_hevc(&self) -> u8 {
        8 + self.byte_of_hevc(17).map_or(0, |byte| byte & 7)
    }

    fn byte_of_hevc(&self, place: usize) -> Option<u8> {
        self.items.properties(self.tiles[0], *b"hvcC").next()?.0.get(place).copied()
    }

    /// Whether another picture says how transparent it is.
    pub(crate) fn has_alpha(&self) -> bool {
        self.has_alpha
    }

    /// The coded images that a part of the picture is made of; each is of `tile_width` × `tile_height` pixels.
    pub(crate) fn tiles_under(&self, part: &Window) -> impl Iterator<Item = Result<Tile<'a>, Trouble>> {
        let (wide, high) = (self.tile_width as usize, self.tile_height as usize);
        let under = |from: usize, to: usize, side: usize| -> Range<usize> { from / side..to.div_ceil(side) };
        let rows = under(part.top, part.bottom(), high);
        let columns = under(part.left, part.right(), wide);
        rows.flat_map(move |row| columns.clone().map(move |column| (row, column))).map(move |(row, column)| {
            let item = self.tiles.get(row * self.columns + column).ok_or("a tile of it is missing")?;
            let bytes = self.items.bytes(*item, self.file)?;
            Ok(Tile { bytes, left: column * wide, top: row * high })
        })
    }
}

/// Why a picture can't be had.
#[derive(Clone, Copy)]
pub(super) enum Trouble {
    Damaged(Fault),
    Unsupported(&'static str),
}

impl Trouble {
    /// Of a file of this format.
    pub(crate) fn of(self, format: Format) -> DecodeError {
        match self {
            Trouble::Damaged(detail) => format.damaged(detail),
            Trouble::Unsupported(detail) => format.unsupported(detail),
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Damaged(fault)
    }
}

fn sides(items: &Items, item: u32) -> Result<Option<(u32, u32)>, Fault> {
    let Some(mut body) = items.properties(item, *b"ispe").next() else { return Ok(None) };
    body.version_and_flags()?;
    let (width, height) = (body.u32()?, body.u32()?);
    if width == 0 || height == 0 {
        return Err("its header says that it has no pixels");
    }
    Ok(Some((width, height)))
}

/// The clean aperture, if there is one, of whole pixels, and within the picture.
fn aperture(items: &Items, item: u32, width: u32, height: u32) -> Option<Window> {
    let mut body = items.properties(item, *b"clap").next()?;
    // A side, how far its middle lies from the picture's, each as a fraction; first across, then down.
    let mut fraction = || Some((i64::from(body.u32().ok()? as i32), i64::from(body.u32().ok()?)));
    let [across, down, right, low] = [fraction()?, fraction()?, fraction()?, fraction()?];
    let along = |whole: u32, (length, parts): (i64, i64), (offset, offset_parts): (i64, i64)| {
        if parts == 0 || offset_parts == 0 || length % parts != 0 || (2 * offset) % offset_parts != 0 {
            return None;
        }
        let (whole, length, offset) = (i64::from(whole), length / parts, 2 * offset / offset_parts);
        let start = whole - length + offset;
        let fits = start >= 0 && start % 2 == 0 && length > 0 && start / 2 + length <= whole;
        fits.then_some((start as usize / 2, length as usize))
    };
    let ((left, width), (top, height)) = (along(width, across, right)?, along(height, down, low)?);
    Some(Window { left, top, width, height })
}

/// Colours as numbers of ITU-T H.273, where they are not given by a profile.
fn colour(items: &Items, item: u32) -> Option<Cicp> {
    items.properties(item, *b"colr").find_map(|mut body| {
        if body.take(4).ok()? != b"nclx" {
            return None;
        }
        let (primaries, _, matrix) = (body.u16().ok()?, body.u16().ok()?, body.u16().ok()?);
        Some(Cicp { primaries, matrix, is_full_range: body.u8().ok()? >> 7 == 1 })
    })
}

fn is_alpha(items: &Items, item: u32) -> bool {
    items.properties(item, *b"auxC").any(|mut body| {
        let _ = body.version_and_flags();
        let name = body.0.split(|&byte| byte == 0).next().unwrap_or_default();
        name == b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha" || name == b"urn:mpeg:hevc:2015:auxid:1"
    })
}
