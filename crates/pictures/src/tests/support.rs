//! Files to look at, a store that counts, and decoders.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use image::{ExtendedColorType, ImageEncoder};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::{Picture, Pictures, Settings};
use decoder::Pool;
use domain::{ImageRef, JudgedImage};
use imaging::Limits;
use objects::memory::Memory;
use objects::{Allowed, FetchError, Listed, Object, Objects, StoreError};

pub(super) const LIMITS: Limits = Limits { max_pixels: 20_000_000, max_decoded_bytes: 256 << 20 };
const MAX_BYTES: u64 = 20 << 20;

static POOL: LazyLock<Arc<Pool>> = LazyLock::new(|| {
    let test = std::env::current_exe().expect("the system says which program this is");
    let program = test.parent().and_then(Path::parent).expect("tests lie in deps/").join("assay-decoder");
    assert!(program.exists(), "{} is not there: run cargo build -p decoder --bins", program.display());
    let memory = decoder::memory(&LIMITS, MAX_BYTES);
    let timeout = Duration::from_secs(60);
    Arc::new(Pool::open(decoder::Settings { program, limits: LIMITS, memory, timeout }).expect("decoders start"))
});

/// Pictures over a store in memory.
pub(super) struct Bench {
    pub memory: Arc<Memory>,
    pub pictures: Pictures,
    counting: Arc<Counting>,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let Settings { cache_bytes, cache_for, .. } = Settings::new(MAX_BYTES);
        Bench::keeping(cache_bytes, cache_for)
    }

    pub(super) fn keeping(cache_bytes: usize, cache_for: Duration) -> Bench {
        let memory = Arc::new(Memory::new());
        memory.create_bucket("uploads");
        let counting = Arc::new(Counting { memory: Arc::clone(&memory), fetches: AtomicUsize::new(0) });
        let places = |tenant: &str, place: &str| (tenant.to_owned(), vec![place.to_owned()]);
        let allowed = Allowed {
            buckets: vec!["uploads".into()],
            tenants: [places("acme", "uploads/acme/"), places("*", "uploads/others/")].into(),
        };
        let settings = Settings { cache_bytes, cache_for, ..Settings::new(MAX_BYTES) };
        let store: Arc<dyn Objects> = Arc::<Counting>::clone(&counting);
        let pictures = Pictures::new(store, Arc::clone(&POOL), allowed, &settings);
        Bench { memory, pictures, counting }
    }

    /// Stores an image, as a verdict names it.
    pub(super) fn judged(&self, key: &str, bytes: &[u8]) -> JudgedImage {
        let ImageRef { bucket, key, version_id, etag, .. } = self.memory.put("uploads", key, bytes.to_vec());
        JudgedImage {
            bucket,
            key,
            version_id,
            etag,
            sha256: digest(bytes),
            bytes: bytes.len() as u64,
            format: domain::ImageFormat::Png,
            width: 1,
            height: 1,
        }
    }

    pub(super) fn fetches(&self) -> usize {
        self.counting.fetches.load(Ordering::SeqCst)
    }
}

struct Counting {
    memory: Arc<Memory>,
    fetches: AtomicUsize,
}

#[async_trait]
impl Objects for Counting {
    async fn fetch(&self, image: &ImageRef, max_bytes: u64) -> Result<Object, FetchError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.memory.fetch(image, max_bytes).await
    }

    async fn list(&self, b: &str, p: &str, s: Option<&str>, to: mpsc::Sender<Listed>) -> Result<(), StoreError> {
        self.memory.list(b, p, s, to).await
    }

    async fn check(&self, bucket: &str) -> Result<(), StoreError> {
        self.memory.check(bucket).await
    }

    async fn download(&self, bucket: &str, key: &str, to: &Path) -> Result<String, FetchError> {
        self.memory.download(bucket, key, to).await
    }

    async fn upload(&self, bucket: &str, key: &str, from: &Path) -> Result<(), StoreError> {
        self.memory.upload(bucket, key, from).await
    }
}

pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// RGB of which no two neighbours are alike.
pub(super) fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut state = width * 31 + height;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..width * height * 3).map(|_| next()).collect()
}

pub(super) fn png(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header().unwrap().write_image_data(rgb).unwrap();
    bytes
}

/// Frames of one colour each.
pub(super) fn gif(width: u16, height: u16, shades: &[u8]) -> Vec<u8> {
    let palette: Vec<u8> = (0..=255u8).flat_map(|n| [n, n ^ 0x55, 255 - n]).collect();
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &palette).unwrap();
    for &shade in shades {
        let indices = vec![shade; usize::from(width) * usize::from(height)];
        encoder.write_frame(&gif::Frame::from_indexed_pixels(width, height, indices, None)).unwrap();
    }
    drop(encoder);
    bytes
}

/// One file of each format.
pub(super) fn formats(width: u32, height: u32) -> Vec<(&'static str, Vec<u8>)> {
    let rgb = noise(width, height);
    let (mut bmp, mut tiff) = (Vec::new(), std::io::Cursor::new(Vec::new()));
    image::codecs::bmp::BmpEncoder::new(&mut bmp).write_image(&rgb, width, height, ExtendedColorType::Rgb8).unwrap();
    let encoder = image::codecs::tiff::TiffEncoder::new(&mut tiff);
    encoder.write_image(&rgb, width, height, ExtendedColorType::Rgb8).unwrap();
    vec![
        ("png", png(width, height, &rgb)),
        ("gif", gif(width as u16, height as u16, &[7])),
        ("bmp", bmp),
        ("tiff", tiff.into_inner()),
        ("webp", webp(width, height, &rgb)),
        ("avif", include_bytes!("../../../imaging/samples/still.avif").to_vec()),
        ("jxl", include_bytes!("../../../imaging/samples/still.jxl").to_vec()),
        ("alpha.jxl", include_bytes!("../../../imaging/samples/alpha.jxl").to_vec()),
    ]
}

fn webp(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let (width, height) = (width as i32, height as i32);
    let mut output = std::ptr::null_mut();
    // SAFETY: the pixels are as many as the sides say; the output is copied before it is freed.
    unsafe {
        let size = libwebp_sys::WebPEncodeLosslessRGB(rgb.as_ptr(), width, height, width * 3, &mut output);
        let bytes = std::slice::from_raw_parts(output, size).to_vec();
        libwebp_sys::WebPFree(output.cast());
        bytes
    }
}

/// EXIF that says an orientation.
pub(super) fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    [&b"MM\0\x2a\0\0\0\x08\0\x01"[..], &entry, &[0; 4]].concat()
}

/// A PNG with a chunk behind its header.
pub(super) fn with_chunk(png: &[u8], name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&name[..], data].concat();
    [&png[..33], &(data.len() as u32).to_be_bytes(), &body, &crc32(&body).to_be_bytes(), &png[33..]].concat()
}

/// As PNG sums its chunks.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

/// Of a picture without loss.
pub(super) fn pixels(picture: &Picture) -> Vec<u8> {
    assert_eq!(picture.content_type, "image/png");
    imaging::whole(&picture.bytes, u32::MAX, &LIMITS).unwrap().picture.into_rgb()
}
