//! Whether pictures show the same thing, whatever was done to them since: recompressed, rescaled, reconstructed by a network.
//!
//! What was learnt from one of them is no surprise in the other. So they belong on the same side wherever images to learn
//! from are kept apart from images to judge by.

mod near_duplicates;

use image::RgbImage;
use image_hasher::{HashAlg, HasherConfig, ImageHash};

use super::Picture;
use near_duplicates::Hash;

/// Side of the square of frequencies that are looked at.
const SIDE: u32 = 16;
/// Of its 256 bits. By another implementation of the same hash, of 64 photographs and their reconstructions by an autoencoder
/// and an upscaler no two were more than 18 apart, and of 380,000 pairs of other images, faces in the same pose among them,
/// none less than 58.
const ALIKE: u32 = 32;

/// What a picture looks like from afar: which of its lowest frequencies are above their median. No use as a proof that two
/// files are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness(ImageHash<[u8; 32]>);

impl Likeness {
    pub fn of(picture: &Picture) -> Likeness {
        let (width, height) = (picture.width() as u32, picture.height() as u32);
        let image = RgbImage::from_raw(width, height, picture.rgb().to_vec()).expect("a picture has all of its pixels");
        let hasher = HasherConfig::with_bytes_type::<[u8; 32]>()
            .hash_size(SIDE, SIDE)
            .hash_alg(HashAlg::Median)
            .preproc_dct()
            .to_hasher();
        Likeness(hasher.hash_image(&image))
    }

    /// As [`Likeness::as_bytes`] gave it; `None` for another number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Likeness> {
        // The library would fill up a shorter one.
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        ImageHash::from_bytes(bytes).ok().map(Likeness)
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub fn is_like(&self, other: &Likeness) -> bool {
        self.bits_apart(other) <= ALIKE
    }

    fn bits_apart(&self, other: &Likeness) -> u32 {
        near_duplicates::bits_apart(&self.hash(), &other.hash())
    }

    fn hash(&self) -> Hash {
        let (words, _) = self.0.as_bytes().as_chunks();
        std::array::from_fn(|word| u64::from_le_bytes(words[word]))
    }
}

/// The group of each: those that are alike are in one, and so are those that a chain of such pairs joins. Groups are
/// numbered by their first members.
pub fn groups(likenesses: &[Likeness]) -> Vec<usize> {
    let hashes: Vec<Hash> = likenesses.iter().map(Likeness::hash).collect();
    near_duplicates::groups(&hashes, ALIKE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use crate::{Codecs, Filters, Resize};

    /// Soft blobs of light in some places.
    fn scene(seed: u64, side: usize) -> Picture {
        let mut rng = Rng::new(seed);
        let blobs: Vec<[f64; 4]> =
            (0..12).map(|_| [rng.unit(), rng.unit(), 0.03 + 0.1 * rng.unit(), rng.unit()]).collect();
        let level = |x: usize, y: usize| {
            let (x, y) = (x as f64 / side as f64, y as f64 / side as f64);
            let light = blobs.iter().map(|[bx, by, size, light]| {
                light * (-((x - bx).powi(2) + (y - by).powi(2)) / (2.0 * size * size)).exp()
            });
            (40.0 + 150.0 * light.sum::<f64>()).min(255.0) as u8
        };
        let rgb = (0..side * side).flat_map(|place| [level(place % side, place / side); 3]).collect();
        Picture::new(side, side, rgb).unwrap()
    }

    #[test]
    fn what_was_done_to_a_picture_does_not_hide_what_it_shows() {
        let whole = scene(1, 400);
        let copies = [whole.through_jpeg(40), whole.resized(150, 150), whole.blurred(7), scene(1, 256)];
        let likeness = Likeness::of(&whole);
        for (copy, picture) in copies.iter().enumerate() {
            assert!(
                likeness.is_like(&Likeness::of(picture)),
                "copy {copy}: {}",
                likeness.bits_apart(&Likeness::of(picture))
            );
        }
    }

    #[test]
    fn pictures_of_other_things_are_not_alike() {
        let likenesses: Vec<Likeness> = (0..20).map(|seed| Likeness::of(&scene(seed, 200))).collect();
        assert_eq!(groups(&likenesses), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn groups_are_joined_by_chains_and_numbered_by_their_first_members() {
        let of = |ones: usize, at: usize| {
            let mut bytes = [0_u8; 32];
            bytes[at..at + ones].fill(0xff);
            Likeness(ImageHash::from_bytes(&bytes).unwrap())
        };
        // Bits apart: 0 and 32 are alike, 32 and 64 too; 0 and 64 are not. The last ones have nothing in common with them.
        let likenesses = [of(0, 0), of(8, 0), of(8, 24), of(4, 0), of(16, 16), of(8, 24)];
        assert!(!likenesses[0].is_like(&likenesses[1]));
        assert_eq!(groups(&likenesses), [0, 0, 1, 0, 2, 1]);
        assert_eq!(groups(&[]), Vec::<usize>::new());
    }
}
