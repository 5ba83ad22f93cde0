//! Pixels on their way to a GPU, the Rust side of `staging.cpp`: while one part of a batch is computed, the next one
//! crosses, from pinned memory and on a stream of its own.

use tch::Tensor;
use torch_sys::C_tensor;

use crate::torch_error::{Status, TorchError, output};
use imaging::{CROP_SIDE, Crop};

/// C++'s `Staging`.
#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn assay_staging_new(device: i64, shape: *const i64, staging: *mut *mut Handle) -> Status;
    fn assay_staging_free(staging: *mut Handle);
    fn assay_staging_buffer(staging: *mut Handle, slot: usize, pixels: *mut *mut u8) -> Status;
    fn assay_staging_send(staging: *mut Handle, slot: usize, images: i64, sent: *mut *mut C_tensor) -> Status;
    fn assay_staging_taken(staging: *mut Handle, slot: usize) -> Status;
}

/// Buffers in each place. With two, one is filled while the other is read.
const SLOTS: usize = 2;

/// Two buffers for up to `most` images each.
#[derive(Debug)]
pub(crate) struct Staging {
    handle: *mut Handle,
    most: usize,
    next: usize,
}

// SAFETY: nothing in it belongs to a thread: buffers, events and a stream, used by one owner at a time.
unsafe impl Send for Staging {}

/// Pixels on the device, in a buffer that is not written again before [`Staging::taken`] has been told.
#[derive(Debug)]
pub(crate) struct Crossing {
    /// u8, `[size, 256, 256, 3]`.
    pub pixels: Tensor,
    slot: usize,
}

impl Staging {
    /// On GPU number `device`. Needs libtorch's CUDA part to be open.
    pub(crate) fn new(device: usize, most: usize) -> Result<Staging, TorchError> {
        let side = CROP_SIDE as i64;
        let shape = [most as i64, side, side, 3];
        let mut handle = std::ptr::null_mut();
        // SAFETY: the shape has four sides, and the handle is written on success.
        unsafe { assay_staging_new(device as i64, shape.as_ptr(), &raw mut handle).check()? };
        Ok(Staging { handle, most, next: 0 })
    }

    /// Sends the crops on their way, filled up with blank ones to `size`. Waits only for what was sent two calls ago to
    /// have left its buffer.
    ///
    /// # Panics
    /// If `size` is more than the buffers hold, or fewer than the crops.
    pub(crate) fn send(&mut self, crops: &[&Crop], size: usize) -> Result<Crossing, TorchError> {
        assert!(
            crops.len() <= size && size <= self.most,
            "{} crops, {size} wanted, {} at most",
            crops.len(),
            self.most
        );
        let slot = self.next;
        self.next = (slot + 1) % SLOTS;
        let mut pixels = std::ptr::null_mut();
        // SAFETY: the handle lives as long as `self`, the slot exists, and the pointer is written on success.
        unsafe { assay_staging_buffer(self.handle, slot, &raw mut pixels).check()? };
        // SAFETY: the buffer holds `most` crops, of which nobody else reads or writes any until it is sent.
        let buffer = unsafe { std::slice::from_raw_parts_mut(pixels, size * Crop::BYTES) };
        let (filled, blank) = buffer.split_at_mut(crops.len() * Crop::BYTES);
        filled.chunks_exact_mut(Crop::BYTES).zip(crops).for_each(|(place, crop)| place.copy_from_slice(crop.pixels()));
        blank.fill(0);
        // SAFETY: as above; `size` images are in the buffer.
        let pixels = unsafe { output(|sent| assay_staging_send(self.handle, slot, size as i64, sent))? };
        Ok(Crossing { pixels, slot })
    }

    /// What has been asked of the device so far is all that reads these pixels.
    #[allow(clippy::needless_pass_by_value, reason = "the pixels are not to be read any more")]
    pub(crate) fn taken(&mut self, crossing: Crossing) -> Result<(), TorchError> {
        // SAFETY: the handle lives as long as `self`, and the slot exists.
        unsafe { assay_staging_taken(self.handle, crossing.slot).check() }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // SAFETY: the handle is from `assay_staging_new` and is not used again.
        unsafe { assay_staging_free(self.handle) }
    }
}
