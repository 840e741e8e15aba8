//! The guest's memory out of a simulated machine's: the one place where they touch.
#![expect(unsafe_code, reason = "hands the guest its memory")]

use sim::domain::{POOL_GFN, WINDOW_GFN};
use sim::machine::Machine;
use std::ptr::NonNull;
use xen::count::HypercallCounts;
use xen::page::{Gfn, MapFrame, PagePool};
use xen::{Attachment, Xen};

static COUNTS: HypercallCounts = HypercallCounts::new();

struct Frames(&'static Machine);

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

/// Takes over the machine's domain, with that many pages to share.
pub(crate) fn attach(machine: &'static Machine, pages: u32) -> Attachment {
    let base = pointer(machine, POOL_GFN);
    // SAFETY: as for `Frames`; nobody else uses the frames from the pool's first one on.
    let pool = unsafe { PagePool::new(base, pages, Gfn(POOL_GFN)) };
    let xen = Xen::new(machine, &COUNTS);
    let attached = Attachment::first(xen, pool, &mut Frames(machine), Gfn(WINDOW_GFN));
    attached.expect("a simulated Xen gives all that is asked for")
}
