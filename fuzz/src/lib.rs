//! What the targets call, and how it is fed.

use std::collections::BTreeMap;

use broker::wire::{self, Message, Properties};
use imaging::Limits;
use time::OffsetDateTime;

/// Decodes bytes that begin as the format does.
pub fn decode_as(magic: &[u8], data: &[u8]) {
    let mut bytes = data.to_vec();
    if bytes.len() < magic.len() {
        return;
    }
    bytes[..magic.len()].copy_from_slice(magic);
    let limits = Limits { max_pixels: 4 << 20, max_decoded_bytes: 64 << 20 };
    if let Err(error) = imaging::decode(&bytes, &limits) {
        let words = error.to_string();
        assert!(!words.contains("panicked"), "{words}");
    }
}

/// Reads a message that has this key; what it asks for must survive being sent on.
pub fn read_message(key: &str, data: &[u8]) {
    let tenants = BTreeMap::from([("uploads".to_string(), "acme".to_string())]);
    let message = Message { body: data.to_vec(), properties: Properties::default() };
    let Ok(requests) = wire::read(&message, false, &tenants) else { return };
    if !String::from_utf8_lossy(data).contains(key) {
        return;
    }
    for request in requests {
        let sent = wire::request(&request, OffsetDateTime::UNIX_EPOCH);
        let read = wire::read(&sent, false, &tenants).expect("what is sent on can be read");
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].key, request.key);
        assert_eq!(read[0].image, request.image);
        assert_eq!(read[0].metadata, request.metadata);
    }
}
