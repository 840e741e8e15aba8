//! How much memory the guest holds, and its refusal: an allocator that counts in a guest's name.
//!
//! The guest and its world share a thread. Who of them runs is said here: the guest while it is
//! stepped, and not while a hypercall of its, or an access that is observed, lets the world act.
#![expect(unsafe_code, reason = "an allocator")]

use kernel::machine::HeapUsage;
use sim::machine::World;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

/// The system's allocator, counted.
struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

thread_local! {
    static IS_GUEST: Cell<bool> = const { Cell::new(false) };
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<i64> = const { Cell::new(0) };
    static REFUSAL: Cell<Option<Refusal>> = const { Cell::new(None) };
}

/// One allocation of the guest's that is refused.
#[derive(Clone, Copy)]
struct Refusal {
    /// How many are granted before.
    left: u64,
    /// Looks at the world as the refusal finds it.
    look: fn(&mut World),
}

fn count(bytes: i64) {
    // A thread that ends has nothing to count any more.
    let _ = IS_GUEST.try_with(|is_guest| {
        if is_guest.get() {
            let held = HELD_BYTES.get() + bytes;
            HELD_BYTES.set(held);
            PEAK_BYTES.set(PEAK_BYTES.get().max(held));
        }
    });
}

/// Whether this allocation is the one to refuse.
fn is_refused() -> bool {
    if !IS_GUEST.try_with(Cell::get).unwrap_or(false) {
        return false;
    }
    match REFUSAL.try_with(Cell::take) {
        Ok(Some(Refusal { left: 0, look })) => {
            let _turn = worlds_turn();
            super::machine().with(look);
            true
        }
        Ok(Some(refusal)) => {
            let left = refusal.left - 1;
            REFUSAL.set(Some(Refusal { left, ..refusal }));
            false
        }
        _ => false,
    }
}

// SAFETY: every call is the system allocator's, with the same arguments, or is refused; nothing
// here unwinds: `look` aborts instead.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused() {
            return ptr::null_mut();
        }
        count(layout.size() as i64);
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused() {
            return ptr::null_mut();
        }
        count(layout.size() as i64);
        // SAFETY: passed on from the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if new_size > layout.size() && is_refused() {
            return ptr::null_mut();
        }
        count(new_size as i64 - layout.size() as i64);
        // SAFETY: passed on from the caller.
        unsafe { System.realloc(place, layout, new_size) }
    }
}

/// Puts things back as they were when it is dropped.
pub(super) struct Turn(bool);

/// From now on the guest runs, until the turn is dropped.
pub(super) fn guests_turn() -> Turn {
    Turn(IS_GUEST.replace(true))
}

/// From now on the world runs, until the turn is dropped.
pub(super) fn worlds_turn() -> Turn {
    Turn(IS_GUEST.replace(false))
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_GUEST.set(self.0);
    }
}

/// A new guest holds nothing.
pub(super) fn begin() {
    HELD_BYTES.set(0);
    PEAK_BYTES.set(0);
}

/// Refuses this thread's guest its `n`-th allocation from now (0 is the next), once.
///
/// `look` is called first, while the guest is still in the middle of what it did. It aborts
/// rather than panics.
pub fn refuse_nth(n: u64, look: fn(&mut World)) {
    REFUSAL.set(Some(Refusal { left: n, look }));
}

/// Whether the allocation that [`refuse_nth`] told of has not come.
pub fn is_refusal_due() -> bool {
    REFUSAL.get().is_some()
}

/// Runs something as the guest's; what it has left allocated, in bytes.
pub fn held_by<T>(run: impl FnOnce() -> T) -> (T, u64) {
    begin();
    let turn = guests_turn();
    let result = run();
    drop(turn);
    (result, usage().used_bytes)
}

/// What this thread's guest holds, and held at most.
pub(super) fn usage() -> HeapUsage {
    HeapUsage {
        total_bytes: 0,
        used_bytes: HELD_BYTES.get().max(0) as u64,
        peak_bytes: PEAK_BYTES.get().max(0) as u64,
    }
}
