//! Errors of libtorch, by kind: memory that runs out and a device that is lost are handled, everything else is reported.

use std::ffi::{CStr, c_char};
use std::fmt;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

/// What libtorch, or our own C++ on top of it, failed with.
#[derive(Debug)]
pub struct TorchError {
    pub kind: TorchErrorKind,
    /// Without the C++ stack trace, which tells an operator nothing.
    message: String,
    cause: Option<TchError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TorchErrorKind {
    OutOfMemory,
    /// Nothing can be computed on the device any more by this process.
    DeviceLost,
    Other,
}

impl TorchError {
    /// Of a message of libtorch's; only its first line is kept.
    pub fn new(kind: TorchErrorKind, message: &str) -> TorchError {
        TorchError { kind, message: message.lines().next().unwrap_or_default().into(), cause: None }
    }
}

impl fmt::Display for TorchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TorchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

/// What libtorch says where memory runs out: on a GPU, and on a CPU.
const OUT_OF_MEMORY: [&str; 2] = ["out of memory", "can't allocate memory"];
const DEVICE_LOST: [&str; 4] =
    ["CUDA error", "CUDNN_STATUS_EXECUTION_FAILED", "CUDNN_STATUS_INTERNAL_ERROR", "CUDA driver"];

impl From<TchError> for TorchError {
    /// By the words of the message: tch hands out the text of an exception and not its type. Our own C++ reports a code.
    fn from(error: TchError) -> TorchError {
        let text = error.to_string();
        let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
        let kind = if says(&OUT_OF_MEMORY) {
            TorchErrorKind::OutOfMemory
        } else if says(&DEVICE_LOST) {
            TorchErrorKind::DeviceLost
        } else {
            TorchErrorKind::Other
        };
        TorchError { cause: Some(error), ..TorchError::new(kind, &text) }
    }
}

impl From<TorchError> for TchError {
    /// For training, which treats all kinds alike.
    fn from(error: TorchError) -> TchError {
        error.cause.unwrap_or(TchError::Torch(error.message))
    }
}

/// How a call of our C++ ended: `Status` in `status.h`.
#[repr(C)]
#[must_use]
pub(crate) struct Status {
    code: i32,
    /// Null on success, else from `malloc`, or null where there was no memory for it.
    message: *mut c_char,
}

impl Status {
    const DONE: i32 = 0;
    const OUT_OF_MEMORY: i32 = 1;
    const DEVICE_LOST: i32 = 2;

    /// # Safety
    /// It must come from our C++, which gives the message away.
    pub(crate) unsafe fn check(self) -> Result<(), TorchError> {
        let kind = match self.code {
            Status::DONE => return Ok(()),
            Status::OUT_OF_MEMORY => TorchErrorKind::OutOfMemory,
            Status::DEVICE_LOST => TorchErrorKind::DeviceLost,
            _ => TorchErrorKind::Other,
        };
        if self.message.is_null() {
            return Err(TorchError::new(kind, "there was no memory left to say what failed"));
        }
        // SAFETY: as the caller promised; the text is copied before it is freed.
        let text = unsafe {
            let text = CStr::from_ptr(self.message).to_string_lossy().into_owned();
            libc::free(self.message.cast());
            text
        };
        Err(TorchError::new(kind, &text))
    }
}

/// The tensor that a call of our C++ makes.
///
/// # Safety
/// On success `call` must have written a tensor that nobody else owns.
pub(crate) unsafe fn output(call: impl FnOnce(*mut *mut C_tensor) -> Status) -> Result<Tensor, TorchError> {
    let mut tensor = std::ptr::null_mut();
    // SAFETY: as the caller promised.
    unsafe {
        call(&raw mut tensor).check()?;
        Ok(Tensor::from_ptr(tensor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn assay_fail(how: i32) -> Status;
    }

    #[test]
    fn messages_that_come_without_a_code_are_sorted_by_their_words() {
        let sorted = |text: &str| TorchError::from(TchError::Torch(text.into()));
        let memory = sorted("CUDA out of memory. Tried to allocate 2.00 GiB\nException raised from malloc");
        assert_eq!(memory.kind, TorchErrorKind::OutOfMemory);
        assert!(!memory.to_string().contains("Exception"), "the stack trace is left out");
        let memory =
            sorted("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to");
        assert_eq!(memory.kind, TorchErrorKind::OutOfMemory);
        assert_eq!(sorted("CUDA error: device-side assert triggered").kind, TorchErrorKind::DeviceLost);
        assert_eq!(sorted("shape mismatch").kind, TorchErrorKind::Other);
    }

    #[test]
    fn every_exception_of_our_cpp_arrives_with_the_code_of_its_type() {
        use TorchErrorKind::{DeviceLost, Other, OutOfMemory};
        // In the order of `assay_fail`.
        let exceptions = [
            ("c10::OutOfMemoryError", OutOfMemory),
            ("std::bad_alloc", OutOfMemory),
            ("c10::AcceleratorError for memory", OutOfMemory),
            ("c10::AcceleratorError", DeviceLost),
            ("c10::Error", Other),
            ("std::runtime_error", Other),
            ("an int", Other),
        ];
        for (how, (exception, kind)) in exceptions.into_iter().enumerate() {
            // SAFETY: the status comes from our C++.
            let error = unsafe { assay_fail(how as i32).check() }.unwrap_err();
            assert_eq!(error.kind, kind, "{exception}: {error}");
            assert!(!error.to_string().is_empty(), "{exception}");
        }
        // SAFETY: as above.
        assert!(unsafe { assay_fail(-1).check() }.is_ok());
    }
}
