//! Batch sizes that a device is fast with. cuDNN chooses its kernels anew for every batch size that it has not seen, so a
//! GPU sees few: a batch is cut into the largest of them, and what is left is filled up with blank images.

/// Sizes in rising order, the first of them 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets(&'static [usize]);

/// On a CPU more than one image at a time only costs memory and misses its caches.
pub const CPU: Buckets = Buckets(&[1]);
/// Half of the default batch at most, so that its second half crosses to the device while the first is computed.
/// The steps keep what is filled up below a half, and below a third from 8 on.
pub const GPU: Buckets = Buckets(&[1, 2, 4, 8, 12, 16, 24, 32]);

/// A part of a batch that is computed at once: so many images, filled up with blank ones to `size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubBatch {
    pub images: usize,
    pub size: usize,
}

impl Buckets {
    /// The parts that `images` are scored in, in order.
    pub fn split(self, images: usize) -> Vec<SubBatch> {
        let full = SubBatch { images: self.largest(), size: self.largest() };
        let mut parts = vec![full; images / self.largest()];
        let rest = images % self.largest();
        if rest > 0 {
            parts.push(SubBatch { images: rest, size: self.holding(rest) });
        }
        parts
    }

    /// Every size that batches of at most so many images can need, the largest first.
    pub fn up_to(self, images: usize) -> Vec<usize> {
        let most = self.holding(images);
        self.0.iter().rev().copied().filter(|size| *size <= most).collect()
    }

    pub fn largest(self) -> usize {
        self.0.last().copied().expect("there is a size")
    }

    /// The smallest size that holds so many, or the largest there is.
    fn holding(self, images: usize) -> usize {
        self.0.iter().copied().find(|size| *size >= images).unwrap_or(self.largest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_in_one_part_that_is_large_enough() {
        for buckets in [CPU, GPU] {
            for images in 0..100 {
                let parts = buckets.split(images);
                assert_eq!(parts.iter().map(|part| part.images).sum::<usize>(), images);
                assert!(parts.iter().all(|part| part.images > 0 && part.images <= part.size));
            }
        }
    }

    #[test]
    fn a_batch_is_cut_into_the_largest_and_the_rest_is_filled_up() {
        let part = |images, size| SubBatch { images, size };
        assert_eq!(GPU.split(64), [part(32, 32), part(32, 32)]);
        assert_eq!(GPU.split(45), [part(32, 32), part(13, 16)]);
        assert_eq!(GPU.split(5), [part(5, 8)]);
        assert_eq!(CPU.split(2), [part(1, 1), part(1, 1)]);
    }

    #[test]
    fn every_size_that_a_batch_needs_is_warmed_up() {
        for most in 1..100 {
            let warm = GPU.up_to(most);
            assert!((1..=most).flat_map(|images| GPU.split(images)).all(|part| warm.contains(&part.size)), "{most}");
        }
        assert_eq!(GPU.up_to(5), [8, 4, 2, 1]);
        assert_eq!(CPU.up_to(8), [1]);
    }

    #[test]
    fn filling_up_costs_less_than_a_half_and_less_than_a_third_of_larger_ones() {
        for images in 1..=32 {
            let part = GPU.split(images)[0];
            let blank = part.size - part.images;
            assert!(2 * blank < part.size && (images < 8 || 3 * blank < part.size + 3), "{part:?}");
        }
    }
}
