//! A guest of one device in a simulated domain, whose pages somebody else writes, too.

use crate::attach;
use sim::device;
use sim::disk::Disk;
use sim::domain::{Domain, POOL_GFN, STORE_GFN};
use sim::machine::{Machine, World};
use sim::peer::Peer;
use sim::random::Random;
use sim::wire::Wire;
use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use xen::Attachment;
use xen::page::{Access, Gfn};

/// What one step takes.
const STEP_NS: u64 = 1_000_000;
/// Steps in which a backend in good order is connected.
const STEPS_MAX: u32 = 1000;

/// A byte that changes in the middle of what the guest does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flip {
    /// At which access from now on.
    pub(crate) countdown: u8,
    /// Which byte, counted from the first one accessed.
    pub(crate) offset: u8,
    /// What it becomes.
    pub(crate) value: u8,
}

thread_local! {
    static MACHINE: &'static Machine = Machine::leaked();
    static FLIPS: RefCell<Vec<Flip>> = const { RefCell::new(Vec::new()) };
    static WRITER: Cell<Writer> = const { Cell::new(Writer::Backend) };
}

/// Who writes in between, and so which pages change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The xenstore daemon: its ring.
    Daemon,
    /// A backend: what was granted to it.
    Backend,
}

/// Called before each load and after each store of the guest's.
fn observe(gfn: Gfn, offset: usize, len: usize, _: Access) {
    let is_writable = match WRITER.get() {
        Writer::Daemon => gfn.0 == STORE_GFN,
        Writer::Backend => gfn.0 >= POOL_GFN,
    };
    if !is_writable {
        return;
    }
    FLIPS.with_borrow_mut(|flips| {
        flips.retain_mut(|flip| {
            let due = flip.countdown == 0;
            flip.countdown = flip.countdown.saturating_sub(1);
            if due && len > 0 {
                let at = offset + usize::from(flip.offset) % len;
                MACHINE.with(|machine| {
                    machine.with(|world| world.domain.arena.store_u8(gfn.0, at, flip.value));
                });
            }
            !due
        });
    });
}

/// The guest, and its world.
pub(crate) struct Guest {
    machine: &'static Machine,
    attachment: Option<Attachment>,
}

impl Guest {
    /// A fresh domain to which `attach_device` gives its device.
    pub(crate) fn begin(
        pages: u32,
        writer: Writer,
        attach_device: impl FnOnce(&mut World),
    ) -> Guest {
        xen::page::set_observer(observe);
        FLIPS.with_borrow_mut(Vec::clear);
        WRITER.set(writer);
        let mut random = Random::new(1);
        let mut domain = Domain::new(random.word(), pages.into(), 0);
        device::introduce(&mut domain, &[]);
        let wire = Wire::new(random.fork());
        let peer = Peer::new([2; 6], Ipv4Addr::LOCALHOST, random.fork());
        let mut world = World::new(domain, wire, peer);
        attach_device(&mut world);
        let machine = MACHINE.with(|machine| *machine);
        machine.load(world);
        Guest {
            machine,
            attachment: Some(attach::attach(machine, pages)),
        }
    }

    pub(crate) fn attachment(&self) -> &Attachment {
        self.attachment.as_ref().expect("taken only by drop")
    }

    /// Does something with the world.
    pub(crate) fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.machine.with(act)
    }

    /// What everybody does in one step of the guest, but for the device.
    pub(crate) fn step(&self, duration_ns: u64) {
        let now_ns = self.world(|world| {
            let now_ns = world.domain.now_ns + duration_ns;
            world.domain.advance_to(now_ns);
            world.step();
            now_ns
        });
        let attachment = self.attachment();
        attachment.timers.begin(now_ns);
        attachment.events.take_pending(|_| ());
        if let Some(xenstore) = &attachment.xenstore {
            xenstore.step();
        }
    }

    /// Steps until `is_done`.
    pub(crate) fn step_until(&self, mut is_done: impl FnMut() -> bool) {
        for _ in 0..STEPS_MAX {
            self.step(STEP_NS);
            if is_done() {
                return;
            }
        }
        panic!("a backend in good order is never connected");
    }

    /// A byte that is written in the middle of what the guest does next.
    pub(crate) fn arm(&self, flip: Flip) {
        FLIPS.with_borrow_mut(|flips| flips.push(flip));
    }

    /// Nothing is written any more.
    pub(crate) fn disarm(&self) {
        FLIPS.with_borrow_mut(Vec::clear);
    }

    /// What the guest holds: nothing but what a backend keeps mapped, when its device is gone.
    pub(crate) fn assert_all_given_back(&self, ports: usize) {
        let attachment = self.attachment();
        let grants = attachment.grants.borrow();
        assert_eq!(
            grants.in_use() as usize,
            grants.quarantined(),
            "grants are left"
        );
        let pool = attachment.pool;
        assert_eq!(pool.lost(), 0, "a page is lost");
        assert_eq!(
            pool.free() as usize + grants.quarantined(),
            pool.total() as usize
        );
        assert_eq!(self.world(|world| world.domain.events.count()), ports);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.disarm();
        // The guest goes before the memory it points into.
        drop(self.attachment.take());
        drop(self.machine.unload());
    }
}

/// A disk of the simulated kind.
pub(crate) fn disk() -> Disk {
    Disk::new(1 << 20, Random::new(2))
}
