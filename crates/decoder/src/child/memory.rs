//! A decoder that is refused memory ends with an exit code that says so, not with a crash.

use std::alloc::{GlobalAlloc, Layout, System};

use imaging::protocol::EXIT_OUT_OF_MEMORY;

/// The system's allocator, but where it has no more, the process ends with a code that says so: Rust would abort, which
/// looks like any other fault. The C decoders get their null and answer it themselves.
pub struct Allocator;

impl Allocator {
    fn or_end(memory: *mut u8) -> *mut u8 {
        if memory.is_null() {
            // SAFETY: it does not return, and runs nothing of this process's.
            unsafe { libc::_exit(EXIT_OUT_OF_MEMORY.into()) };
        }
        memory
    }
}

// SAFETY: every call is the system allocator's, with the caller's promises handed on.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::or_end(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::or_end(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::or_end(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}
