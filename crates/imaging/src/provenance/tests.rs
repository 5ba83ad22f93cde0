//! What is found in files of each format, and that nothing else leaves.

use std::io::Write;

use proptest::prelude::*;

use super::*;

/// What is found, in words: `software Photoshop`, and what it claims.
fn said(bytes: &[u8]) -> Vec<String> {
    let found = of(bytes);
    let kind = |kind: HintKind| serde_json::to_value(kind).unwrap().as_str().unwrap().to_string();
    let word = |hint: &Hint| format!("{} {}", kind(hint.kind), hint.name.map_or("?", Name::as_str));
    found.hints.iter().map(word).chain(found.has_c2pa.then(|| "c2pa".to_string())).collect()
}

fn png_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    [&(data.len() as u32).to_be_bytes()[..], name, data, &[0; 4]].concat()
}

fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let chunks: Vec<u8> = chunks.iter().flat_map(|(name, data)| png_chunk(name, data)).collect();
    [b"\x89PNG\r\n\x1a\n", &png_chunk(b"IHDR", &[0; 13])[..], &chunks, &png_chunk(b"IEND", b"")].concat()
}

fn jpeg(segments: &[(u8, &[u8])]) -> Vec<u8> {
    let segment =
        |&(marker, body): &(u8, &[u8])| [&[0xff, marker], &(body.len() as u16 + 2).to_be_bytes()[..], body].concat();
    [&[0xff, 0xd8][..], &segments.iter().flat_map(segment).collect::<Vec<u8>>(), &[0xff, 0xda, 0, 2, 1, 2, 0xff, 0xd9]]
        .concat()
}

fn webp(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let fill = vec![0; data.len() % 2];
    let chunk = |name: &[u8], data: &[u8]| [name, &(data.len() as u32).to_le_bytes(), data].concat();
    [b"RIFF\0\0\0\0WEBP", &chunk(b"VP8L", b"12345\0")[..], &chunk(name, data), &fill].concat()
}

fn gif(extension: &[u8]) -> Vec<u8> {
    [b"GIF89a\x01\0\x01\0\0\0\0!", extension, b"\0;"].concat()
}

/// A TIFF of these entries, texts and bytes; one under 34665 is a directory of its own.
fn tiff(entries: &[(u16, &[u8])]) -> Vec<u8> {
    fn directory(at: usize, entries: &[(u16, &[u8])]) -> Vec<u8> {
        let mut behind = Vec::new();
        let mut bytes = (entries.len() as u16).to_le_bytes().to_vec();
        let first = at + 2 + entries.len() * 12 + 4;
        for (tag, data) in entries {
            let place = (first + behind.len()) as u32;
            let (kind, count, value) = match *tag {
                34665 => (4_u16, 1_u32, place.to_le_bytes()),
                _ if data.len() <= 4 => (2, data.len() as u32, std::array::from_fn(|n| *data.get(n).unwrap_or(&0))),
                _ => (2, data.len() as u32, place.to_le_bytes()),
            };
            bytes.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat());
            match *tag {
                34665 => behind.extend(directory(place as usize, &[(37510, data)])),
                _ if data.len() > 4 => behind.extend(*data),
                _ => {}
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(behind);
        bytes
    }
    [b"II\x2a\0\x08\0\0\0".to_vec(), directory(8, entries)].concat()
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn box_of(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], name, body].concat()
}

const PARAMETERS: &[u8] =
    b"a secret castle\nNegative prompt: people\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512";
const TRAINED: &[u8] = b"<rdf:Description Iptc4xmpExt:DigitalSourceType=\"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia\"/>";
const XMP_HEAD: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const WEBUI: &str = "generator_settings Stable Diffusion WebUI";
const TRAINED_SAID: &str = "digital_source_type trainedAlgorithmicMedia";

#[test]
fn texts_of_png_tell_whose_settings_they_are() {
    let text = |key: &[u8], text: &[u8]| png(&[(b"tEXt", &[key, b"\0", text].concat())]);
    let comfy = br#"{"3": {"class_type": "KSampler", "inputs": {"seed": 1}}}"#;
    for (bytes, want) in [
        (text(b"parameters", PARAMETERS), WEBUI),
        (png(&[(b"zTXt", &[b"parameters\0\0", &packed(PARAMETERS)[..]].concat())]), WEBUI),
        (png(&[(b"iTXt", &[b"parameters\0\0\0\0\0", PARAMETERS].concat())]), WEBUI),
        (png(&[(b"iTXt", &[b"parameters\0\x01\0en\0p\0", &packed(PARAMETERS)[..]].concat())]), WEBUI),
        (text(b"parameters", br#"{"sui_image_params": {"prompt": "x"}}"#), "generator_settings SwarmUI"),
        (text(b"prompt", comfy), "generator_settings ComfyUI"),
        (text(b"workflow", br#"{"last_node_id": 9, "nodes": []}"#), "generator_settings ComfyUI"),
        (text(b"invokeai_metadata", b"{}"), "generator_settings InvokeAI"),
        (text(b"sd-metadata", b"{}"), "generator_settings InvokeAI"),
        (text(b"Comment", br#"{"prompt": "x", "sampler": "k_euler", "uc": "y"}"#), "generator_settings NovelAI"),
        (text(b"Software", b"NovelAI"), "software NovelAI"),
        (text(b"Description", b"a castle --v 6 Job ID: 1234"), "generator_settings Midjourney"),
        (text(b"Software", b"Adobe Photoshop 25.0"), "software Photoshop"),
        (text(b"XML:com.adobe.xmp", TRAINED), TRAINED_SAID),
        (png(&[(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", TRAINED].concat())]), TRAINED_SAID),
        (png(&[(b"eXIf", &tiff(&[(271, b"Canon\0")]))]), "camera_make Canon"),
        (png(&[(b"caBX", b"jumb jumd c2pa")]), "c2pa"),
    ] {
        assert_eq!(said(&bytes), [want], "{}", bytes.escape_ascii());
    }
    for bytes in [text(b"prompt", b"{}"), text(b"parameters", b"none"), text(b"Title", b"A castle"), png(&[])] {
        assert_eq!(of(&bytes), Provenance::default(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_format_is_looked_through() {
    let manifest = [b"jumb\0\0\0\0jumdc2pa", TRAINED].concat();
    let comment = [b"UNICODE\0", &PARAMETERS.iter().flat_map(|&byte| [0, byte]).collect::<Vec<u8>>()[..]].concat();
    let exif = tiff(&[(271, b"NIKON CORPORATION\0"), (305, b"GIMP 2.10\0"), (34665, &comment)]);
    let all = ["camera_make Nikon", "software GIMP", WEBUI];
    let headed = [b"Exif\0\0", &exif[..]].concat();
    let files = [
        (jpeg(&[(0xe0, b"JFIF\0"), (0xe1, &headed)]), &all[..]),
        (webp(b"EXIF", &exif), &all),
        (webp(b"EXIF", &headed), &all),
        (exif, &all),
        (jpeg(&[(0xe1, &[XMP_HEAD, TRAINED].concat())]), &[TRAINED_SAID]),
        (webp(b"XMP ", TRAINED), &[TRAINED_SAID]),
        (gif(&[b"\xff\x0bXMP DataXMP", TRAINED].concat()), &[TRAINED_SAID]),
        (tiff(&[(700, TRAINED)]), &[TRAINED_SAID]),
        (jpeg(&[(0xeb, &[b"JP\0\x01\0\0\0\x01", &manifest[..]].concat())]), &[TRAINED_SAID, "c2pa"]),
        (webp(b"C2PA", &manifest), &[TRAINED_SAID, "c2pa"]),
        (gif(b"\xff\x0bC2PA_GIF\x01\0\0\x04jumb"), &["c2pa"]),
        (tiff(&[(52545, &manifest)]), &[TRAINED_SAID, "c2pa"]),
        (jpeg(&[(0xfe, PARAMETERS)]), &[WEBUI]),
        (gif(b"\xfe\x11Created with GIMP"), &["software GIMP"]),
        (tiff(&[(271, b"Prompt:{\"3\": {\"class_type\": 1}}\0")]), &["generator_settings ComfyUI"]),
    ];
    for (bytes, want) in files {
        assert_eq!(said(&bytes), want, "{}", bytes.escape_ascii());
    }
}

#[test]
fn files_of_boxes_are_looked_through() {
    let head = box_of(b"ftyp", b"avif\0\0\0\0mif1");
    let with = |rest: &[u8]| [&head[..], rest].concat();
    let exif = [b"\0\0\0\0", &tiff(&[(271, b"Apple\0")])[..]].concat();
    let uuid = |name: &[u8], text: &[u8]| box_of(b"uuid", &[name, text].concat());
    let c2pa = uuid(b"\xd8\xfe\xc3\xd6\x1b\x0e\x48\x3c\x92\x97\x58\x28\x87\x7e\xc4\x81", b"\0\0\0\0manifest\0");
    assert_eq!(said(&with(&c2pa)), ["c2pa"]);
    let xmp = uuid(b"\xbe\x7a\xcf\xcb\x97\xa9\x42\xe8\x9c\x71\x99\x94\x91\xe3\xaf\xac", TRAINED);
    assert_eq!(said(&with(&xmp)), [TRAINED_SAID]);
    let jxl = |rest: &[u8]| [b"\0\0\0\x0cJXL \r\n\x87\n", rest].concat();
    assert_eq!(said(&jxl(&box_of(b"Exif", &exif))), ["camera_make Apple"]);
    assert_eq!(said(&jxl(&box_of(b"xml ", TRAINED))), [TRAINED_SAID]);
    assert_eq!(said(&jxl(&box_of(b"jumb", b"\0\0\0\0jumdc2pa"))), ["c2pa"]);

    // Two items of HEIF: where they lie is known once the boxes before them are.
    let info = |item: u8, kind: &[u8]| box_of(b"infe", &[b"\x02\0\0\0\0", &[item][..], b"\0\0", kind, b"\0"].concat());
    let infos = box_of(b"iinf", &[b"\0\0\0\0\0\x02", &info(1, b"Exif")[..], &info(2, b"mime")].concat());
    let place = |item: u8, at: usize, length: usize| {
        let numbers = [(at as u32).to_be_bytes(), (length as u32).to_be_bytes()].concat();
        [b"\0", &[item][..], b"\0\0\0\x01", &numbers].concat()
    };
    let places = |first: usize| {
        let both = [place(1, first, exif.len()), place(2, first + exif.len(), TRAINED.len())].concat();
        box_of(b"iloc", &[b"\0\0\0\0\x44\0\0\x02", &both[..]].concat())
    };
    let meta = |first: usize| box_of(b"meta", &[b"\0\0\0\0", &infos[..], &places(first)].concat());
    let first = head.len() + meta(0).len() + 8;
    let data = box_of(b"mdat", &[&exif[..], TRAINED].concat());
    assert_eq!(said(&with(&[meta(first), data].concat())), ["camera_make Apple", TRAINED_SAID]);
}

#[test]
fn what_words_claim() {
    let claim = |bytes: &[u8]| of(bytes).hints.first().and_then(Hint::claim);
    let source = |word: &str| jpeg(&[(0xe1, &[XMP_HEAD, b"DigitalSourceType=\"", word.as_bytes(), b"\""].concat())]);
    let path = |word: &str| source(&format!("http://cv.iptc.org/newscodes/digitalsourcetype/{word}"));
    for (word, want) in [
        ("trainedAlgorithmicMedia", Some(Claim::Synthetic)),
        ("compositeWithTrainedAlgorithmicMedia", Some(Claim::Edit)),
        ("compositeCapture", Some(Claim::Edit)),
        ("composite", Some(Claim::Edit)),
        ("digitalCapture", Some(Claim::Capture)),
        ("screenCapture", None),
    ] {
        for bytes in [source(word), path(word)] {
            assert_eq!(said(&bytes), [format!("digital_source_type {word}")]);
            assert_eq!(claim(&bytes), want, "{word}");
        }
    }
    assert_eq!(said(&path("somethingElse")), [""; 0]);
    let make = |make: &[u8]| tiff(&[(271, make)]);
    assert_eq!(said(&make(b"Acme Optics Ltd.\0")), ["camera_make ?"]);
    assert_eq!(claim(&make(b"Acme Optics Ltd.\0")), Some(Claim::Capture));
    assert_eq!(claim(&make(b"<script>\0")), None);
    assert_eq!(said(&tiff(&[(305, b"unheard-of 1.0\0")])), [""; 0]);
}

#[test]
fn no_word_of_a_file_leaves_but_known_names() {
    let bytes = png(&[
        (b"tEXt", &[b"parameters\0", PARAMETERS].concat()),
        (b"tEXt", b"Software\0Photoshop for Jane Doe"),
        (b"eXIf", &tiff(&[(271, b"Jane Doe\0")])),
    ]);
    let sent = serde_json::to_string(&of(&bytes)).unwrap();
    assert!(sent.contains("Photoshop") && sent.contains("camera_make"), "{sent}");
    assert!(!sent.contains("castle") && !sent.contains("Jane"), "{sent}");
    assert_eq!(serde_json::from_str::<Provenance>(&sent).unwrap(), of(&bytes));
    // A decoder that was taken over can't hand on other words either.
    assert!(serde_json::from_str::<Hint>(r#"{"kind": "software", "name": "castle"}"#).is_err());
}

#[test]
fn little_text_is_looked_at_however_much_there_is() {
    let filling = vec![b'x'; 60_000];
    let many: Vec<(&[u8; 4], &[u8])> = vec![(b"caBX", &filling); 400];
    let last = [b"parameters\0", PARAMETERS].concat();
    let bytes = png(&[&many[..], &[(b"tEXt", &last)]].concat());
    assert_eq!(said(&bytes), ["c2pa"]);
    // 20 MB that unpack to 20 GB; a text before them is found.
    let bomb = [b"prompt\0\0", &packed(&vec![b' '; 20 << 20])[..]].concat();
    let bombs: Vec<(&[u8; 4], &[u8])> = std::iter::repeat_n((b"zTXt", &bomb[..]), 1000).collect();
    assert_eq!(said(&png(&[&[(b"tEXt", &last[..])], &bombs[..]].concat())), [WEBUI]);
    // One long prompt hides nothing behind it.
    let long = [b"parameters\0", &vec![b'x'; 1 << 20][..]].concat();
    assert_eq!(said(&png(&[(b"tEXt", &long), (b"tEXt", b"Software\0GIMP")])), ["software GIMP"]);
}

/// A file with something of each kind in it, of each format.
fn rich_files() -> Vec<Vec<u8>> {
    let exif =
        tiff(&[(271, b"Canon\0"), (305, b"GIMP\0"), (34665, &[b"ASCII\0\0\0", PARAMETERS].concat()), (700, TRAINED)]);
    let headed = [b"Exif\0\0", &exif[..]].concat();
    let item = [b"\0\0\0\0", &exif[..]].concat();
    vec![
        png(&[(b"zTXt", &[b"parameters\0\0", &packed(PARAMETERS)[..]].concat()), (b"eXIf", &exif), (b"caBX", b"c2pa")]),
        jpeg(&[(0xe1, &headed), (0xe1, &[XMP_HEAD, TRAINED].concat()), (0xeb, b"JP\0\x01\0\0\0\x01jumbc2pa")]),
        webp(b"EXIF", &exif),
        gif(&[b"\xff\x0bXMP DataXMP", TRAINED].concat()),
        [box_of(b"ftyp", b"heic"), box_of(b"Exif", &item), box_of(b"xml ", TRAINED)].concat(),
        exif,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_and_mutated_files_never_panic(
        tail in prop::collection::vec(any::<u8>(), 0..400),
        flips in prop::collection::vec((0.0..1.0, any::<u8>()), 1..12),
        cut in 0.0..1.0,
    ) {
        let look = |bytes: &[u8]| {
            let mut finder = Finder::new(BUDGET);
            containers::look(bytes, &mut finder);
        };
        for magic in [&b"\xff\xd8\xff\xe1"[..], b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"II\x2a\0", b"MM\0\x2b",
            b"\0\0\0\x10ftypheic\0\0\0\0", b"\0\0\0\x0cJXL \r\n\x87\n"] {
            look(&[magic, &tail].concat());
        }
        for mut bytes in rich_files() {
            for &(part, byte) in &flips {
                let place = (bytes.len() as f64 * part) as usize;
                bytes[place] = byte;
            }
            look(&bytes);
            look(&bytes[..(bytes.len() as f64 * cut) as usize]);
        }
    }
}
