//! How much room the headers of a copy have.
//!
//! All properties of a message go in one frame, which the broker limits (`frame_max`, 131,072 bytes unless it is set otherwise).
//! One byte more, and it closes the connection, with all channels on it. A message may come with headers that fill the frame;
//! its copy has ours besides. So the largest of the sender's are left out, and named.

use lapin::types::{AMQPValue, FieldTable, ShortString};

/// The most that is copied of a stranger's headers, in bytes as they are sent.
const MOST: usize = 64 << 10;
/// What is kept for our headers, the other properties and the frame itself.
const OURS: usize = 6 << 10;
/// Where frames are as small as AMQP allows.
const LEAST: usize = 512;
/// Longest list of names of what was left out, in bytes.
const MAX_NAMES: usize = 1024;

/// The room for copied headers in a frame of so many bytes.
pub(super) fn within(frame_max: u32) -> usize {
    (frame_max as usize).saturating_sub(OURS).clamp(LEAST, MOST)
}

/// Takes out the largest headers until the others fit. Gives how many it took, and which.
pub(super) fn fit(headers: FieldTable, room: usize) -> (FieldTable, Option<Dropped>) {
    let mut sized: Vec<_> = headers.inner().iter().map(|(name, value)| (entry(name, value), name.clone())).collect();
    let mut total: usize = sized.iter().map(|(size, _)| size).sum();
    if total <= room {
        return (headers, None);
    }
    sized.sort();
    let mut dropped = Dropped { count: 0, names: String::new() };
    let mut unfit = std::collections::BTreeSet::new();
    while total > room
        && let Some((size, name)) = sized.pop()
    {
        total -= size;
        dropped.add(name.as_str(), size);
        unfit.insert(name);
    }
    let mut kept = FieldTable::default();
    for (name, value) in headers.inner().iter().filter(|(name, _)| !unfit.contains(*name)) {
        kept.insert(name.clone(), value.clone());
    }
    (kept, Some(dropped))
}

/// Headers that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    pub count: u64,
    /// Their names with their sizes, as far as there is room for them.
    pub names: String,
}

impl Dropped {
    fn add(&mut self, name: &str, size: usize) {
        self.count += 1;
        let item = format!("{name} ({size} bytes)");
        if self.names.ends_with('…') {
            return;
        }
        if !self.names.is_empty() {
            self.names.push_str(", ");
        }
        self.names.push_str(if self.names.len() + item.len() > MAX_NAMES { "…" } else { &item });
    }
}

/// One entry of a table: the length of the name, the name, the value.
fn entry(name: &ShortString, value: &AMQPValue) -> usize {
    1 + name.as_str().len() + size(value)
}

/// A value with the byte for its type.
fn size(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::Void => 0,
        AMQPValue::Boolean(_) | AMQPValue::ShortShortInt(_) | AMQPValue::ShortShortUInt(_) => 1,
        AMQPValue::ShortInt(_) | AMQPValue::ShortUInt(_) => 2,
        AMQPValue::LongInt(_) | AMQPValue::LongUInt(_) | AMQPValue::Float(_) => 4,
        AMQPValue::DecimalValue(_) => 5,
        AMQPValue::LongLongInt(_) | AMQPValue::Double(_) | AMQPValue::Timestamp(_) => 8,
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::LongString(text) => 4 + text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.as_slice().len(),
        AMQPValue::FieldArray(values) => 4 + values.as_slice().iter().map(size).sum::<usize>(),
        AMQPValue::FieldTable(table) => 4 + table.inner().iter().map(|(name, value)| entry(name, value)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> AMQPValue {
        AMQPValue::LongString("x".repeat(bytes).into())
    }

    fn names(table: &FieldTable) -> Vec<String> {
        table.inner().keys().map(|name| name.as_str().to_string()).collect()
    }

    #[test]
    fn the_largest_headers_are_left_out_and_named() {
        let mut headers = FieldTable::default();
        headers.insert("tenant".into(), text(4));
        headers.insert("huge".into(), text(130_900));
        let mut nested = FieldTable::default();
        nested.insert("inside".into(), text(70_000));
        headers.insert("nested".into(), AMQPValue::FieldTable(nested));
        let (kept, dropped) = fit(headers.clone(), within(131_072));
        assert_eq!(names(&kept), ["tenant"]);
        let expected = "huge (130910 bytes), nested (70024 bytes)";
        assert_eq!(dropped, Some(Dropped { count: 2, names: expected.into() }));
        assert_eq!(fit(kept.clone(), within(131_072)), (kept, None));
    }

    #[test]
    fn many_small_headers_are_cut_too_and_the_list_of_them_is_bounded() {
        let mut headers = FieldTable::default();
        for number in 0..10_000 {
            headers.insert(format!("k{number:05}").into(), text(2));
        }
        let (kept, dropped) = fit(headers, 1000);
        let dropped = dropped.unwrap();
        assert_eq!(kept.inner().len() + dropped.count as usize, 10_000);
        let total: usize = kept.inner().iter().map(|(name, value)| entry(name, value)).sum();
        assert!(total <= 1000 && total > 900, "{total}");
        assert!(dropped.names.len() <= MAX_NAMES + 5 && dropped.names.ends_with('…'), "{}", dropped.names);
    }

    #[test]
    fn small_frames_leave_little_room() {
        assert_eq!((within(131_072), within(8192), within(4096)), (MOST, 8192 - OURS, LEAST));
        assert_eq!(within(u32::MAX), MOST);
    }
}
