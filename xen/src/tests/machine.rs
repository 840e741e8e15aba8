//! A domain of a few pages, and the guest's hold on it.
#![expect(unsafe_code, reason = "hands the guest its memory")]

use crate::count::HypercallCounts;
use crate::page::{Gfn, MapFrame, PagePool};
use crate::{Attachment, Xen};
use core::ptr::NonNull;
use sim::domain::{Domain, POOL_GFN, WINDOW_GFN};
use sim::machine::{Machine, World};
use sim::peer::Peer;
use sim::random::Random;
use sim::wire::Wire;

static COUNTS: HypercallCounts = HypercallCounts::new();

pub(super) struct Frames(pub(super) &'static Machine);

fn pointer(machine: &Machine, gfn: u64) -> NonNull<u8> {
    let pointer = machine.with(|world| world.domain.arena.pointer(gfn));
    pointer.expect("the frame is memory")
}

// SAFETY: frames of an arena are page-aligned ordinary memory without references to it; the
// world is never unloaded.
unsafe impl MapFrame for Frames {
    fn map(&mut self, gfn: Gfn) -> NonNull<u8> {
        pointer(self.0, gfn.0)
    }
}

/// A fresh domain with that many pages to share.
pub(super) fn attached(pages: u32) -> (&'static Machine, Attachment) {
    let mut random = Random::new(1);
    let machine = Machine::leaked();
    let domain = Domain::new(random.word(), pages.into(), 0);
    let wire = Wire::new(random.fork());
    let peer = Peer::new([2; 6], [127, 0, 0, 1].into(), random.fork());
    machine.load(World::new(domain, wire, peer));
    let base = pointer(machine, POOL_GFN);
    // SAFETY: nobody else uses the frames from the pool's first one on; they stay for ever.
    let pool = unsafe { PagePool::new(base, pages, Gfn(POOL_GFN)) };
    let xen = Xen::new(machine, &COUNTS);
    let attached = Attachment::first(xen, pool, &mut Frames(machine), Gfn(WINDOW_GFN));
    (machine, attached.expect("a simulated Xen refuses nothing"))
}
