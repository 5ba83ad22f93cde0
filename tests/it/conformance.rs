//! The crops against Pillow's, over the images that `make conformance` makes.

use std::path::PathBuf;

use assay::imaging::{self, Limits};

/// Where `tests/conformance/prepare.py` left its images.
fn material() -> PathBuf {
    let folder = std::env::var_os("ASSAY_CONFORMANCE")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/conformance"), PathBuf::from);
    assert!(folder.join("images").is_dir(), "{} holds no images: run `make conformance`", folder.display());
    folder
}

#[test]
fn crops_are_pillows_bit_for_bit() {
    let material = material();
    let limits = Limits { max_pixels: 120_000_000, max_decoded_bytes: 512 << 20 };
    let mut names: Vec<String> = std::fs::read_dir(material.join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 32, "only {} images in {}", names.len(), material.display());

    let mut differing = Vec::new();
    for name in &names {
        let bytes = std::fs::read(material.join("images").join(name)).unwrap();
        let want = std::fs::read(material.join("crops").join(format!("{name}.rgb"))).unwrap();
        match imaging::decode(&bytes, &limits) {
            Ok(decoded) if decoded.crop.pixels() == want => {}
            Ok(decoded) => {
                let pairs = decoded.crop.pixels().iter().zip(&want);
                let (count, most) = pairs.fold((0, 0), |(count, most), (&got, &want)| {
                    (count + usize::from(got != want), most.max(got.abs_diff(want)))
                });
                differing.push(format!("{name}: {count} bytes of {} differ, by up to {most}", want.len()));
            }
            Err(error) => differing.push(format!("{name}: {error}")),
        }
    }
    assert!(differing.is_empty(), "{} of {} images:\n{}", differing.len(), names.len(), differing.join("\n"));
}
