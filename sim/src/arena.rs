//! The guest's memory: frames of one allocation, numbered from a small base.
//!
//! The guest holds raw pointers into it and writes when it likes, so nothing
//! here makes a reference to its bytes: all accesses are atomic, of the size asked for.
#![expect(unsafe_code, reason = "memory that the guest writes, too")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// Bytes of a frame.
pub const PAGE_BYTES: usize = 4096;

/// The frames.
#[derive(Debug)]
pub struct Arena {
    base: NonNull<u8>,
    base_gfn: u64,
    frames: u64,
}

// SAFETY: it owns its memory, and every access to it is atomic.
unsafe impl Send for Arena {}

macro_rules! integer {
    ($load:ident, $store:ident, $int:ty, $atomic:ty) => {
        /// Loads an integer; `None` outside of the memory.
        pub fn $load(&self, gfn: u64, offset: usize) -> Option<$int> {
            let place = self.place(gfn, offset, size_of::<$int>())?;
            // SAFETY: in bounds and aligned by `place`; atomics tolerate other accesses.
            Some(unsafe { place.cast::<$atomic>().as_ref() }.load(Ordering::SeqCst))
        }

        /// Stores an integer; outside of the memory nothing happens.
        pub fn $store(&self, gfn: u64, offset: usize, value: $int) {
            if let Some(place) = self.place(gfn, offset, size_of::<$int>()) {
                // SAFETY: in bounds and aligned by `place`; atomics tolerate other accesses.
                unsafe { place.cast::<$atomic>().as_ref() }.store(value, Ordering::SeqCst);
            }
        }
    };
}

impl Arena {
    /// Zeroed frames from `base_gfn` on.
    pub fn new(base_gfn: u64, frames: u64) -> Arena {
        let layout = layout(frames);
        // SAFETY: the layout is not empty.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) });
        let Some(base) = base else {
            handle_alloc_error(layout)
        };
        Arena {
            base,
            base_gfn,
            frames,
        }
    }

    /// Fills a frame with one byte.
    pub fn fill(&self, gfn: u64, byte: u8) {
        self.copy_in(gfn, 0, &[byte; PAGE_BYTES]);
    }

    /// Where a frame begins; the pointer is valid as long as the arena.
    pub fn pointer(&self, gfn: u64) -> Option<NonNull<u8>> {
        self.place(gfn, 0, 1)
    }

    /// Whether a frame is memory.
    pub fn has(&self, gfn: u64) -> bool {
        self.pointer(gfn).is_some()
    }

    fn place(&self, gfn: u64, offset: usize, len: usize) -> Option<NonNull<u8>> {
        let index = gfn.checked_sub(self.base_gfn)?;
        let inside = index < self.frames && offset + len <= PAGE_BYTES;
        if !inside || !offset.is_multiple_of(len) {
            return None;
        }
        // SAFETY: inside the allocation, as just checked.
        Some(unsafe { self.base.add(index as usize * PAGE_BYTES + offset) })
    }

    integer!(load_u8, store_u8, u8, AtomicU8);
    integer!(load_u16, store_u16, u16, AtomicU16);
    integer!(load_u32, store_u32, u32, AtomicU32);
    integer!(load_u64, store_u64, u64, AtomicU64);

    /// Sets bits of a word and returns what was there.
    pub fn set_u64(&self, gfn: u64, offset: usize, bits: u64) -> u64 {
        let Some(place) = self.place(gfn, offset, 8) else {
            return 0;
        };
        // SAFETY: in bounds and aligned by `place`.
        unsafe { place.cast::<AtomicU64>().as_ref() }.fetch_or(bits, Ordering::SeqCst)
    }

    /// Replaces a half word if it is `current`.
    pub fn replace_u16(&self, gfn: u64, offset: usize, current: u16, new: u16) -> bool {
        let Some(place) = self.place(gfn, offset, 2) else {
            return false;
        };
        // SAFETY: in bounds and aligned by `place`.
        let word = unsafe { place.cast::<AtomicU16>().as_ref() };
        word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Copies bytes of a frame out.
    pub fn copy_out(&self, gfn: u64, offset: usize, into: &mut [u8]) {
        for (index, byte) in into.iter_mut().enumerate() {
            *byte = self.load_u8(gfn, offset + index).unwrap_or(0xff);
        }
    }

    /// Copies bytes into a frame.
    pub fn copy_in(&self, gfn: u64, offset: usize, from: &[u8]) {
        for (index, byte) in from.iter().enumerate() {
            self.store_u8(gfn, offset + index, *byte);
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.base.as_ptr(), layout(self.frames)) };
    }
}

fn layout(frames: u64) -> Layout {
    let bytes = usize::try_from(frames).expect("frames fit the host") * PAGE_BYTES;
    Layout::from_size_align(bytes.max(PAGE_BYTES), PAGE_BYTES).expect("a size of memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_is_nothing() {
        let arena = Arena::new(16, 2);
        for (gfn, offset) in [(15, 0), (18, 0), (16, 4094), (16, 1), (u64::MAX, 0)] {
            assert_eq!(arena.load_u32(gfn, offset), None, "{gfn} {offset}");
            arena.store_u32(gfn, offset, 1);
        }
        arena.store_u32(17, 4092, 7);
        assert_eq!(arena.load_u32(17, 4092), Some(7));
        assert_eq!(arena.load_u8(17, 4092), Some(7));
    }
}
