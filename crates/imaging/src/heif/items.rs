//! The box `meta`: which items a file has, what is said of each, and where its bytes lie.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::boxes::{Body, Fault};

/// More pieces than any encoder cuts items into. A piece need take no byte of the file, so only this bounds their number.
const MAX_EXTENTS: usize = 1 << 16;

/// What a file says of its items.
#[derive(Default)]
pub(super) struct Items<'a> {
    pub primary: Option<u32>,
    kinds: BTreeMap<u32, [u8; 4]>,
    places: BTreeMap<u32, Place>,
    properties: Vec<([u8; 4], Body<'a>)>,
    associations: BTreeMap<u32, Vec<u16>>,
    references: Vec<Reference>,
    /// Where items lie that are not in the file's own bytes.
    data: &'a [u8],
}

struct Place {
    is_in_data: bool,
    extents: Vec<(u64, u64)>,
}

struct Reference {
    kind: [u8; 4],
    from: u32,
    to: Vec<u32>,
}

impl<'a> Items<'a> {
    pub(crate) fn read(mut meta: Body<'a>) -> Result<Items<'a>, Fault> {
        let mut items = Items::default();
        meta.version_and_flags()?;
        while !meta.is_empty() {
            let (name, body) = meta.next_box()?;
            match &name {
                b"pitm" => items.read_primary(body)?,
                b"iinf" => items.read_kinds(body)?,
                b"iloc" => items.read_places(body)?,
                b"iprp" => items.read_properties(body)?,
                b"iref" => items.read_references(body)?,
                b"idat" => items.data = body.0,
                _ => {}
            }
        }
        Ok(items)
    }

    pub(crate) fn kind(&self, item: u32) -> Option<[u8; 4]> {
        self.kinds.get(&item).copied()
    }

    /// The bodies of an item's properties of this name.
    pub(crate) fn properties(&self, item: u32, name: [u8; 4]) -> impl Iterator<Item = Body<'a>> {
        self.all_properties(item).filter(move |(kind, _)| *kind == name).map(|(_, body)| body)
    }

    /// All of an item's properties, in the order in which they are applied, with their names.
    pub(crate) fn all_properties(&self, item: u32) -> impl Iterator<Item = ([u8; 4], Body<'a>)> {
        let own = self.associations.get(&item).into_iter().flatten();
        own.filter_map(|&number| self.properties.get(usize::from(number).checked_sub(1)?)).copied()
    }

    /// What an item refers to in this way.
    pub(crate) fn referred(&self, item: u32, kind: [u8; 4]) -> &[u32] {
        let found = self.references.iter().find(|reference| reference.from == item && reference.kind == kind);
        found.map_or(&[], |reference| &reference.to)
    }

    /// The items that refer to this one in this way.
    pub(crate) fn referring(&self, item: u32, kind: [u8; 4]) -> impl Iterator<Item = u32> {
        let all = self.references.iter();
        all.filter(move |reference| reference.kind == kind && reference.to.contains(&item))
            .map(|reference| reference.from)
    }

    /// The bytes of an item, never more than the file has.
    pub(crate) fn bytes(&self, item: u32, file: &'a [u8]) -> Result<Cow<'a, [u8]>, Fault> {
        let place = self.places.get(&item).ok_or("an item of it has no place")?;
        let source = if place.is_in_data { self.data } else { file };
        let piece = |&(offset, length): &(u64, u64)| {
            let from = usize::try_from(offset).ok()?;
            match length {
                // To the end.
                0 => source.get(from..),
                length => source.get(from..from.checked_add(usize::try_from(length).ok()?)?),
            }
        };
        let mut pieces = place.extents.iter().map(|extent| piece(extent).ok_or("it is cut off"));
        let first = pieces.next().ok_or("an item of it is empty")??;
        let mut bytes = Cow::Borrowed(first);
        for piece in pieces {
            let piece = piece?;
            if bytes.len() + piece.len() > file.len() {
                return Err("the pieces of an item overlap");
            }
            bytes.to_mut().extend_from_slice(piece);
        }
        Ok(bytes)
    }

    fn read_primary(&mut self, mut body: Body<'a>) -> Result<(), Fault> {
        let (version, _) = body.version_and_flags()?;
        self.primary = Some(body.id(version > 0)?);
        Ok(())
    }

    fn read_kinds(&mut self, mut body: Body<'a>) -> Result<(), Fault> {
        let (version, _) = body.version_and_flags()?;
        body.id(version > 0)?;
        while !body.is_empty() {
            let (name, mut entry) = body.next_box()?;
            let (version, _) = entry.version_and_flags()?;
            if name != *b"infe" || version < 2 {
                continue;
            }
            let item = entry.id(version > 2)?;
            entry.u16()?;
            self.kinds.insert(item, *entry.take(4)?.first_chunk().expect("four bytes"));
        }
        Ok(())
    }

    fn read_places(&mut self, mut body: Body<'a>) -> Result<(), Fault> {
        let (version, _) = body.version_and_flags()?;
        let sizes = body.u16()?;
        let size = |place: u16| usize::from(sizes >> (12 - 4 * place) & 15);
        let (offset_size, length_size, base_size) = (size(0), size(1), size(2));
        let index_size = if version > 0 { size(3) } else { 0 };
        if [offset_size, length_size, base_size, index_size].iter().any(|size| ![0, 4, 8].contains(size)) {
            return Err("the places of its items are written in numbers of no known size");
        }
        let mut total = 0;
        for _ in 0..body.id(version > 1)? {
            let item = body.id(version > 1)?;
            let method = if version > 0 { body.u16()? & 15 } else { 0 };
            // Which file the bytes are in; always this one.
            body.u16()?;
            let base = body.number(base_size)?;
            let count = body.u16()?;
            total += usize::from(count);
            if total > MAX_EXTENTS {
                return Err("its items are cut into too many pieces");
            }
            let mut extents = Vec::new();
            for _ in 0..count {
                body.number(index_size)?;
                let offset = base.checked_add(body.number(offset_size)?).ok_or("a piece of an item lies nowhere")?;
                extents.push((offset, body.number(length_size)?));
            }
            // Bytes that lie within other items belong to no picture.
            if method < 2 {
                self.places.insert(item, Place { is_in_data: method == 1, extents });
            }
        }
        Ok(())
    }

    fn read_properties(&mut self, mut body: Body<'a>) -> Result<(), Fault> {
        while !body.is_empty() {
            let (name, mut inner) = body.next_box()?;
            match &name {
                b"ipco" => {
                    while !inner.is_empty() {
                        self.properties.push(inner.next_box()?);
                    }
                }
                b"ipma" => self.read_associations(inner)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_associations(&mut self, mut body: Body<'a>) -> Result<(), Fault> {
        let (version, flags) = body.version_and_flags()?;
        for _ in 0..body.u32()? {
            let item = body.id(version > 0)?;
            let of_item = self.associations.entry(item).or_default();
            for _ in 0..body.u8()? {
                // The highest bit says whether it must be understood.
                of_item.push(if flags & 1 == 1 { body.u16()? & 0x7fff } else { (body.u8()? & 0x7f).into() });
            }
        }
        Ok(())
    }

    fn read_references(&mut self, mut body: Body<'a>) -> Result<(), Fault> {
        let (version, _) = body.version_and_flags()?;
        while !body.is_empty() {
            let (kind, mut entry) = body.next_box()?;
            let from = entry.id(version > 0)?;
            let count = entry.u16()?;
            let to = (0..count).map(|_| entry.id(version > 0)).collect::<Result<_, _>>()?;
            self.references.push(Reference { kind, from, to });
        }
        Ok(())
    }
}
