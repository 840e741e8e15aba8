//! The global allocator: two-level segregated fit over all RAM that is left.
//!
//! Interrupt entries never allocate, so the lock is never contended.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use kernel::boot_info::PhysRange;
use kernel::machine::HeapUsage;
use rlsf::Tlsf;
use spin::Mutex;

type Pool = Tlsf<'static, u32, u32, 31, 32>;

struct Heap(Mutex<State>);

struct State {
    pool: Pool,
    usage: HeapUsage,
}

#[global_allocator]
static HEAP: Heap = Heap(Mutex::new(State {
    pool: Pool::new(),
    usage: HeapUsage::EMPTY,
}));

/// Adds RAM to the heap.
///
/// # Safety
/// The range must be mapped RAM that nobody else uses, for ever.
pub(super) unsafe fn add(range: PhysRange) {
    let start = range.start.next_multiple_of(64);
    let end = range.end & !63;
    if end <= start {
        return;
    }
    let place = ptr::with_exposed_provenance_mut::<u8>(start as usize);
    let block = ptr::slice_from_raw_parts_mut(place, (end - start) as usize);
    let Some(block) = NonNull::new(block) else {
        return;
    };
    let state = &mut *HEAP.0.lock();
    // SAFETY: passed on to the caller.
    if let Some(len) = unsafe { state.pool.insert_free_block_ptr(block) } {
        state.usage.total_bytes += len.get() as u64;
    }
}

/// How much there is and how much is used.
pub(crate) fn usage() -> HeapUsage {
    HEAP.0.lock().usage
}

// SAFETY: TLSF hands out disjoint blocks of the layout asked for, under a lock.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let state = &mut *self.0.lock();
        let block = state.pool.allocate(layout);
        if block.is_some() {
            state.usage.take(layout.size() as u64);
        }
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else {
            return;
        };
        let state = &mut *self.0.lock();
        state.usage.give_back(layout.size() as u64);
        // SAFETY: by the trait's contract the block came from `alloc` with this layout.
        unsafe { state.pool.deallocate(block, layout.align()) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(old) = NonNull::new(block) else {
            return ptr::null_mut();
        };
        // SAFETY: by the trait's contract size and alignment make a layout.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let state = &mut *self.0.lock();
        // SAFETY: by the trait's contract the block came from `alloc` with this layout.
        let moved = unsafe { state.pool.reallocate(old, new) };
        if moved.is_some() {
            state.usage.give_back(layout.size() as u64);
            state.usage.take(new_size as u64);
        }
        moved.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}
