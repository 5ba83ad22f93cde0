//! Which texts say what.

use std::io::Read;

use flate2::read::ZlibDecoder;
use memchr::memmem;

use super::names::{FRONT_ENDS, MAKES, Name, SOFTWARE, SOURCE_TYPES};
use super::{Hint, HintKind, Provenance};

/// The most that is looked at of one text: of a prompt it is enough to see whose it is, so that long ones hide nothing behind them.
const PIECE: usize = 16 << 10;
/// What looking at a text costs beside its length.
const OVERHEAD: usize = 64;
/// The longest name of a camera's maker that is not a known one.
const LONGEST_MAKE: usize = 32;

/// Looks at texts until its budget is spent.
pub(super) struct Finder {
    pub found: Provenance,
    left: usize,
}

impl Finder {
    pub(crate) fn new(budget: usize) -> Finder {
        Finder { found: Provenance::default(), left: budget }
    }

    /// As much of a text as may be looked at, in small letters.
    fn take(&mut self, text: &[u8]) -> Vec<u8> {
        self.left = self.left.saturating_sub(OVERHEAD);
        let length = text.len().min(PIECE).min(self.left);
        self.left -= length;
        text[..length].to_ascii_lowercase()
    }

    /// For looking where texts may be.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.left <= OVERHEAD
    }

    fn add(&mut self, kind: HintKind, name: Option<Name>) {
        let hint = Hint { kind, name };
        if !self.found.hints.contains(&hint) {
            self.found.hints.push(hint);
        }
    }

    fn add_front_end(&mut self, name: &str) {
        let name = Name::exactly(FRONT_ENDS, name.as_bytes());
        self.add(HintKind::GeneratorSettings, name);
    }

    /// A manifest of Content Credentials, or a part of one.
    pub(crate) fn c2pa(&mut self, manifest: &[u8]) {
        self.found.has_c2pa = true;
        let text = self.take(manifest);
        self.source_types(&text);
    }

    pub(crate) fn xmp(&mut self, text: &[u8]) {
        let text = self.take(text);
        self.source_types(&text);
        for value in values(&text, b"creatortool") {
            if let Some(name) = Name::within(SOFTWARE, value) {
                self.add(HintKind::Software, Some(name));
            }
        }
        if memmem::find(&text, b"made with google ai").is_some() {
            self.add(HintKind::Software, Name::within(SOFTWARE, b"google ai"));
        }
        for value in values(&text, b"tiff:make") {
            self.make_of(value);
        }
    }

    fn source_types(&mut self, text: &[u8]) {
        for value in values(text, b"digitalsourcetype") {
            // In CBOR there is nothing between it and what follows.
            if let Some(name) = Name::at_the_beginning(SOURCE_TYPES, value) {
                self.add(HintKind::DigitalSourceType, Some(name));
            }
        }
    }

    /// The name of a program.
    pub(crate) fn software(&mut self, text: &[u8]) {
        let text = self.take(text);
        if let Some(name) = Name::within(SOFTWARE, &text) {
            self.add(HintKind::Software, Some(name));
        }
    }

    /// The maker of a camera.
    pub(crate) fn make(&mut self, text: &[u8]) {
        let text = self.take(text);
        self.make_of(&text);
    }

    fn make_of(&mut self, text: &[u8]) {
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        let text = text[..end].trim_ascii();
        let name = Name::at_the_beginning(MAKES, text);
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b" .-_&,".contains(byte);
        let may_be_one = (1..=LONGEST_MAKE).contains(&text.len()) && text.iter().all(is_name);
        if name.is_some() || may_be_one {
            self.add(HintKind::CameraMake, name);
        }
    }

    /// What front-ends write where no key says what it is: a comment, the description of an image.
    pub(crate) fn comment(&mut self, text: &[u8]) {
        let text = self.take(text);
        self.settings(&text);
        let signs = [&b"created "[..], b"made ", b"generated ", b"edited "];
        let line = &text[..text.len().min(80)];
        if signs.iter().any(|sign| line.starts_with(sign))
            && let Some(name) = Name::within(SOFTWARE, line)
        {
            self.add(HintKind::Software, Some(name));
        }
    }

    /// EXIF's user comment: eight bytes say how the text is written.
    pub(crate) fn user_comment(&mut self, comment: &[u8]) {
        let Some((code, text)) = comment.split_at_checked(8) else { return };
        // In 16 bits a character: what is looked for has a zero in one of them.
        let narrow: Vec<u8>;
        let text = if code.starts_with(b"UNICODE") {
            narrow = text.iter().take(2 * PIECE).copied().filter(|&byte| byte != 0).collect();
            &narrow
        } else {
            text
        };
        let text = self.take(text);
        self.settings(&text);
    }

    /// A text under a key, as PNG has them.
    pub(crate) fn keyed(&mut self, key: &[u8], text: &[u8]) {
        match key.to_ascii_lowercase().as_slice() {
            b"software" | b"source" | b"title" => self.software(text),
            b"xml:com.adobe.xmp" => self.xmp(text),
            b"invokeai_metadata" | b"invokeai_graph" | b"invokeai_workflow" | b"sd-metadata" => {
                self.add_front_end("invokeai");
            }
            b"fooocus_scheme" => self.add_front_end("fooocus"),
            b"parameters" | b"prompt" | b"workflow" | b"comment" | b"description" => {
                self.comment(text);
            }
            _ => {}
        }
    }

    /// A text that is packed by zlib, under a key.
    pub(crate) fn packed(&mut self, key: &[u8], packed: &[u8]) {
        if self.is_spent() {
            return;
        }
        let mut text = Vec::new();
        // What comes before a defect is a text, too.
        let packed = &packed[..packed.len().min(PIECE)];
        let _ = ZlibDecoder::new(packed).take(PIECE as u64).read_to_end(&mut text);
        let before = self.left;
        self.keyed(key, &text);
        // Unpacking it cost something, whether it was looked at or not.
        self.left = self.left.min(before.saturating_sub(text.len() + OVERHEAD));
    }

    /// Whose settings a text is, if it is some.
    fn settings(&mut self, text: &[u8]) {
        let has = |word: &[u8]| memmem::find(text, word).is_some();
        if has(b"sui_image_params") {
            self.add_front_end("swarmui");
        } else if has(b"fooocus") {
            self.add_front_end("fooocus");
        } else if has(b"steps: ") && (has(b"sampler: ") || has(b"cfg scale: ")) {
            self.add_front_end("stable diffusion webui");
        } else if has(b"\"class_type\"") || (has(b"\"last_node_id\"") && has(b"\"nodes\"")) {
            self.add_front_end("comfyui");
        } else if has(b"\"sampler\"") && has(b"\"uc\"") {
            self.add_front_end("novelai");
        } else if has(b" job id: ") {
            self.add_front_end("midjourney");
        }
    }
}

/// What stands behind each place of a key: as an attribute, an element or a path's last part.
fn values<'a>(text: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(text, key).map(|at| {
        let value = &text[at + key.len()..];
        let begin = value.iter().position(|byte| !b" =\"'>/:".contains(byte)).unwrap_or(value.len());
        let value = &value[begin..];
        let end = value.iter().position(|byte| b"\"'<\0\r\n".contains(byte) || !byte.is_ascii()).unwrap_or(value.len());
        &value[..end.min(80)]
    })
}
