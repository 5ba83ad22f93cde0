//! The curves of a training as TensorBoard reads them: an event file.
//!
//! Records of TFRecord (length, its checksum, the event, its checksum; CRC-32C, masked as TensorFlow's `record_writer` does), each
//! a protobuf message of TensorFlow's `event.proto` and `summary.proto`, of which a curve needs five fields.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crc_fast::{CrcAlgorithm, checksum};
use prost::Message;
use time::OffsetDateTime;

/// What a file begins with.
const VERSION: &str = "brain.Event:2";
/// `kMaskDelta` of TensorFlow's `crc32c.h`.
const MASK: u32 = 0xa282_ead8;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// `Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Appends to the file of a training. What stands there twice after an interruption TensorBoard shows twice, at the same step.
pub(super) struct EventsFile(File);

impl EventsFile {
    pub(super) fn append_to(path: &Path) -> io::Result<EventsFile> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if file.metadata()?.len() == 0 {
            let first = Event { wall_time: now(), file_version: Some(VERSION.into()), ..Event::default() };
            file.write_all(&record(&first))?;
        }
        Ok(EventsFile(file))
    }

    /// A point of each curve.
    pub(super) fn scalars(&mut self, step: u64, points: &[(String, f64)]) -> io::Result<()> {
        let scalar = |(tag, value): &(String, f64)| Scalar { tag: tag.clone(), simple_value: Some(*value as f32) };
        let summary = Summary { value: points.iter().map(scalar).collect() };
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        self.0.write_all(&record(&Event { wall_time: now(), step, summary: Some(summary), ..Event::default() }))
    }
}

/// In one piece: what is killed in between leaves whole records.
fn record(event: &Event) -> Vec<u8> {
    let event = event.encode_to_vec();
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), &event, &masked(&event)].concat()
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    crc.rotate_right(15).wrapping_add(MASK).to_le_bytes()
}

fn now() -> f64 {
    OffsetDateTime::now_utc().unix_timestamp_nanos() as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_are_tensorflows() {
        let event = Event { wall_time: 1.0, file_version: Some(VERSION.into()), ..Event::default() };
        let bytes = record(&event);
        // As files of TensorFlow's own begin: 24 bytes follow, and the checksum of that.
        assert_eq!(bytes[..12], [0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
        assert_eq!(bytes[12..21], [&[0x09][..], &1f64.to_le_bytes()].concat());
        assert_eq!(bytes.len(), 8 + 4 + 24 + 4);
    }

    #[test]
    fn a_file_that_is_gone_on_with_begins_once() {
        let path = std::env::temp_dir().join(format!("assay-events-{}", uuid::Uuid::new_v4()));
        for step in 1..3 {
            let mut file = EventsFile::append_to(&path).unwrap();
            file.scalars(step, &[("loss".into(), 0.5), ("learning_rate".into(), 1e-4)]).unwrap();
        }
        let (bytes, mut at, mut events) = (std::fs::read(&path).unwrap(), 0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            events.push(Event::decode(&bytes[at + 12..at + 12 + length]).unwrap());
            at += length + 16;
        }
        assert_eq!(events.iter().map(|event| event.step).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(events[0].file_version.as_deref(), Some(VERSION));
        let points = &events[2].summary.as_ref().unwrap().value;
        assert_eq!((points[0].tag.as_str(), points[0].simple_value), ("loss", Some(0.5)));
        std::fs::remove_file(path).unwrap();
    }
}
