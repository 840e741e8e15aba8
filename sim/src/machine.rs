//! The machine as the guest and the harness see it: the domain, its devices, the network.

use crate::blkback::Blkback;
use crate::disk::Disk;
use crate::domain::{Domain, Ended};
use crate::netback::Netback;
use crate::peer::Peer;
use crate::wire::Wire;
use std::sync::{Mutex, MutexGuard, PoisonError};
use xen_sys::Hypercall;

/// The guest is about to load from a page that others may write, or has just stored there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The frame.
    pub gfn: u64,
    /// Where in it.
    pub offset: usize,
    /// How much of it.
    pub len: usize,
    /// Whether it is a load.
    pub is_load: bool,
}

/// Somebody who acts at every [`Touch`], before the guest goes on.
pub type Intruder = Box<dyn FnMut(&mut World, Touch) + Send>;

/// The world at one time.
pub struct World {
    /// The guest's domain.
    pub domain: Domain,
    /// Its disk, with the backend in front of it.
    pub vbd: Option<(Blkback, Disk)>,
    /// Its network interface.
    pub vif: Option<Netback>,
    /// The network.
    pub wire: Wire,
    /// Who talks to it.
    pub peer: Peer,
    /// How often, in a million chances, everybody else goes on in the middle of a guest's step:
    /// at its hypercalls and its accesses to shared pages.
    pub interleaving: u64,
    /// Who meddles with the guest's accesses.
    pub intruder: Option<Intruder>,
}

const MILLION: u64 = 1_000_000;
/// What such a moment takes at most.
const MOMENT_NS_MAX: u64 = 20_000;

impl World {
    /// A world without devices, in which nobody meddles.
    pub fn new(domain: Domain, wire: Wire, peer: Peer) -> World {
        World {
            domain,
            vbd: None,
            vif: None,
            wire,
            peer,
            interleaving: 0,
            intruder: None,
        }
    }

    /// Everybody but the guest does what is due now.
    pub fn step(&mut self) {
        let World {
            domain,
            vbd,
            vif,
            wire,
            peer,
            ..
        } = self;
        let now_ns = domain.now_ns;
        while let Some(frame) = peer.transmit(now_ns) {
            wire.from_peer(now_ns, frame);
        }
        domain.step_daemons();
        if let Some((backend, disk)) = vbd {
            backend.step(domain, disk);
        }
        match vif {
            Some(vif) => vif.step(domain, wire),
            None => wire.drop_all_for_guest(now_ns),
        }
        while let Some(frame) = wire.next_for_peer(now_ns) {
            peer.receive(now_ns, &frame);
        }
        while let Some(frame) = peer.transmit(now_ns) {
            wire.from_peer(now_ns, frame);
        }
    }

    /// A moment in the middle of a guest's step: the others may go on now.
    fn interleave(&mut self) {
        if self.interleaving > 0 && self.domain.random.chance(self.interleaving, MILLION) {
            let now_ns = self.domain.now_ns + self.domain.random.below(MOMENT_NS_MAX);
            self.domain.advance_to(now_ns);
            self.step();
        }
    }

    /// The guest touches a shared page: who meddles has the first word.
    fn touch(&mut self, touch: Touch) {
        if let Some(mut intruder) = self.intruder.take() {
            intruder(self, touch);
            self.intruder.get_or_insert(intruder);
        }
        self.interleave();
    }

    /// When anything happens by itself.
    pub fn deadline_ns(&self) -> Option<u64> {
        let vbd = self.vbd.as_ref();
        let deadlines = [
            self.domain.timer_ns(),
            self.domain.watchdog_ns(),
            vbd.and_then(|(backend, _)| backend.deadline_ns()),
            self.wire.deadline_ns(),
            self.peer.deadline_ns(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// How the guest ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        self.domain.ended
    }
}

/// The hypervisor under one guest after another: a place that is never moved.
#[derive(Default)]
pub struct Machine(Mutex<Option<World>>);

impl Machine {
    /// A machine that lives as long as the process: the guest holds references to it.
    pub fn leaked() -> &'static Machine {
        Box::leak(Box::default())
    }

    /// Puts a world in; the one that was there comes back. No guest may be running.
    pub fn load(&self, world: World) -> Option<World> {
        self.lock().replace(world)
    }

    /// Takes the world out.
    pub fn unload(&self) -> Option<World> {
        self.lock().take()
    }

    /// Does something with the world.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(self.lock().as_mut().expect("a world is loaded"))
    }

    /// The guest touches a page that others may write: they may have gone on meanwhile.
    pub fn touch(&self, touch: Touch) {
        if let Ok(mut world) = self.0.try_lock()
            && let Some(world) = world.as_mut()
        {
            world.touch(touch);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<World>> {
        // A guest that panics in the middle leaves nothing half done here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

mod instruction {
    #![expect(unsafe_code, reason = "the hypercall instruction's place")]
    use super::{Hypercall, Machine};

    // SAFETY: it reads and writes only what the argument structures of `op` are.
    unsafe impl Hypercall for Machine {
        unsafe fn hypercall(&self, op: usize, args: [usize; 5]) -> isize {
            self.with(|world| {
                // SAFETY: passed on from the caller.
                let result = unsafe { world.domain.call(op, args) };
                world.follow();
                if std::mem::take(&mut world.domain.has_yielded) {
                    world.step();
                }
                world.interleave();
                result
            })
        }
    }
}
