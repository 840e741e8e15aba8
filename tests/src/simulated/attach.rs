//! The guest's memory out of a simulated machine's: the one place where they touch.
#![expect(unsafe_code, reason = "hands the guest its memory")]

use super::heap;
use sim::domain::{POOL_GFN, WINDOW_GFN};
use sim::machine::Machine;
use std::ptr::NonNull;
use xen::attachment::AttachError;
use xen::count::HypercallCounts;
use xen::page::{Gfn, MapFrame, PagePool};
use xen::{Attachment, Xen};
use xen_sys::Hypercall;

static COUNTS: HypercallCounts = HypercallCounts::new();

/// Frames of the machine's domain.
pub(super) struct Frames(pub(super) &'static Machine);

fn pointer(machine: &Machine, gfn: u64) -> NonNull<u8> {
    let pointer = machine.with(|world| world.domain.arena.pointer(gfn));
    pointer.unwrap_or_else(|| panic!("the guest maps frame {gfn:#x}, which is no memory"))
}

// SAFETY: frames of an arena are page-aligned ordinary memory without references to it; they
// are valid until the world is unloaded, which happens only after the guest was dropped.
unsafe impl MapFrame for Frames {
    fn map(&mut self, gfn: Gfn) -> NonNull<u8> {
        pointer(self.0, gfn.0)
    }
}

/// The machine's hypercalls: what they allocate is not the guest's.
struct Counted(&'static Machine);

// SAFETY: as the machine's.
unsafe impl Hypercall for Counted {
    unsafe fn hypercall(&self, op: usize, args: [usize; 5]) -> isize {
        let _turn = heap::worlds_turn();
        // SAFETY: passed on from the caller.
        unsafe { self.0.hypercall(op, args) }
    }
}

/// Takes over the machine's domain, with that many pages to share.
pub(super) fn attach(machine: &'static Machine, pages: u32) -> Result<Attachment, AttachError> {
    let base = pointer(machine, POOL_GFN);
    // SAFETY: as for `Frames`; nobody else uses the frames from the pool's first one on.
    let pool = unsafe { PagePool::new(base, pages, Gfn(POOL_GFN)) };
    // It lives as long as the machine, which is as long as the process.
    let hypercalls: &'static Counted = Box::leak(Box::new(Counted(machine)));
    let xen = Xen::new(hypercalls, &COUNTS);
    Attachment::first(xen, pool, &mut Frames(machine), Gfn(WINDOW_GFN))
}
