//! The whole appliance in a simulated world: the image's own code, one seed, no time but ours.
//!
//! The log and the page observer are the process', so one simulation runs at a time.

mod alarm;
mod attach;
mod bare;
mod client;
mod death;
mod heap;
mod look;
mod three;

pub use alarm::SimulatedAlarm;
pub use bare::Bare;
pub use client::{Client, Outcome};
pub use heap::{held_by, is_refusal_due, refuse_nth};
pub use look::{Held, faults, request, request_at, until_ready};
pub use three::{check_all, put_all, put_each};

use kernel::flight::Recorder;
use kernel::machine::{HeapUsage, Host, Seed};
use kernel::run::{Appliance, Wake};
use sim::blkback::Blkback;
use sim::device;
use sim::disk::Disk;
use sim::domain::{Domain, Ended};
use sim::machine::{Machine, Touch, World};
use sim::netback::Netback;
use sim::peer::Peer;
use sim::random::Random;
use sim::trace::Trace;
use sim::wire::Wire;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use xen::attachment::AttachError;
use xen_sys::errno::Errno;

/// Where the guest is.
pub const GUEST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 50), 80);
/// Its admin port.
pub const GUEST_ADMIN: SocketAddrV4 = SocketAddrV4::new(*GUEST.ip(), 8081);
/// Where its peer is.
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const PEER_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// What most guests are told.
pub const COMMAND_LINE: &str = "ip=10.0.2.50/24 gw=10.0.2.2 auth=open metrics=open";
/// Number of the disk.
const XVDA: u32 = 51712;
/// Longest that anything may take that nothing hinders, in the simulated time.
pub const LIMIT_NS: u64 = 60_000_000_000;
/// What one step of the guest takes.
const STEP_NS: u64 = 5_000;

/// Requests after which the indices of rings wrap at the latest, where they do.
const WRAPS_WITHIN: u64 = 600;

/// Rounds without any time going by after which a world counts as standing still.
const STILL_MAX: u32 = 100_000;

/// How a simulation is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// All chance.
    pub seed: u64,
    /// The guest's memory, for its budgets.
    pub ram_bytes: u64,
    /// The disk; none without.
    pub disk_bytes: Option<u64>,
    /// The guest's command line.
    pub command_line: String,
    /// As [`World::interleaving`].
    pub interleaving: u64,
    /// Where what happens is written down.
    pub trace: Trace,
    /// This hypercall, from 0 on, is refused in each life.
    pub refuse_hypercall: Option<(u64, Errno)>,
    /// Pages that may be shared, if not as many as the budget says.
    pub pool_pages: Option<u32>,
    /// What watches the guest's loop.
    pub alarm: Option<SimulatedAlarm>,
    /// Hosts whose CPU gives randomness, one after the other; those after them have none.
    pub hosts_with_randomness: u32,
}

impl Options {
    /// A small guest with a disk.
    pub fn new(seed: u64) -> Options {
        Options {
            seed,
            ram_bytes: 16 << 20,
            disk_bytes: Some(16 << 20),
            command_line: COMMAND_LINE.to_owned(),
            interleaving: 20_000,
            trace: Trace::default(),
            refuse_hypercall: None,
            pool_pages: None,
            alarm: None,
            hosts_with_randomness: u32::MAX,
        }
    }
}

/// Why a simulation did not come where it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// The guest sleeps, and nothing will ever wake it.
    Forever,
    /// Time does not go on: somebody is due and never does what is due.
    Still,
    /// Not within the time given.
    TooLate,
    /// The guest has ended.
    Ended(Ended),
}

/// A guest in its world.
pub struct Simulation {
    machine: &'static Machine,
    appliance: Option<Appliance>,
    recorder: Option<Recorder>,
    options: Options,
    random: Random,
    /// Hosts that gave a seed.
    hosts: u32,
    asleep: bool,
    /// Steps of the guest so far.
    pub steps: u64,
    _alone: MutexGuard<'static, ()>,
}

/// Held by the one simulation there is.
static ALONE: Mutex<()> = Mutex::new(());

fn machine() -> &'static Machine {
    static MACHINE: OnceLock<&'static Machine> = OnceLock::new();
    MACHINE.get_or_init(Machine::leaked)
}

impl Simulation {
    /// A world in which the guest has just been created.
    ///
    /// # Panics
    /// If the guest cannot begin.
    pub fn begin(options: Options) -> Simulation {
        Simulation::try_begin(options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A world in which the guest has just been created.
    ///
    /// # Errors
    /// Why the guest cannot begin.
    pub fn try_begin(options: Options) -> Result<Simulation, AttachError> {
        Simulation::try_begin_on(options, None)
    }

    /// A world in which the guest has just been created on a disk that has been in use.
    ///
    /// # Panics
    /// If the guest cannot begin.
    pub fn begin_on(options: Options, disk: Disk) -> Simulation {
        let begun = Simulation::try_begin_on(options, Some(disk));
        begun.unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_begin_on(options: Options, used: Option<Disk>) -> Result<Simulation, AttachError> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        xen::page::set_observer(|gfn, offset, len, access| {
            let _turn = heap::worlds_turn();
            machine().touch(Touch {
                gfn: gfn.0,
                offset,
                len,
                is_load: access == xen::page::Access::Load,
            });
        });
        let mut random = Random::new(options.seed);
        let domain = Domain::new(random.word(), pool_pages(&options).max(1), 0);
        let disk = options.disk_bytes.map(|len| Disk::new(len, random.fork()));
        let disk = used.or(disk);
        let world = World {
            interleaving: options.interleaving,
            ..new_world(domain, &mut random)
        };
        let mut simulation = Simulation {
            machine: machine(),
            appliance: None,
            recorder: None,
            options,
            random,
            hosts: 0,
            asleep: false,
            steps: 0,
            _alone: alone,
        };
        simulation.create(world, disk)?;
        Ok(simulation)
    }

    /// The toolstack makes the devices, and the guest starts.
    fn create(&mut self, mut world: World, disk: Option<Disk>) -> Result<(), AttachError> {
        xen::ring::set_first_index(self.first_index());
        // The log is the process': where a guest before this one left it is not this one's start.
        kernel::logger::start(|_| {});
        kernel::logger::end_early();
        world.domain.trace = self.options.trace.clone();
        world.domain.refuse = self.options.refuse_hypercall;
        device::introduce(&mut world.domain, &[]);
        world.vif = Some(Netback::attach(&mut world.domain, 0));
        world.vbd = disk.map(|disk| (Blkback::attach(&mut world.domain, XVDA), disk));
        self.machine.load(world);
        heap::begin();
        let turn = heap::guests_turn();
        let attachment = attach::attach(self.machine, pool_pages(&self.options) as u32)?;
        let host = Host {
            seed: self.seed(),
            ram_bytes: self.options.ram_bytes,
            emulated: false,
            heap: heap::usage,
            alarm: self.options.alarm.clone().map(|alarm| Box::new(alarm) as _),
        };
        let command_line = self.options.command_line.as_bytes();
        self.appliance = Some(Appliance::new(attachment, command_line, host));
        drop(turn);
        self.asleep = false;
        Ok(())
    }

    /// Where this life's rings begin: every other time their indices wrap soon.
    fn first_index(&self) -> u32 {
        let mut random = Random::new(self.options.seed ^ self.steps);
        match random.below(2) {
            0 => 0,
            _ => 0_u32.wrapping_sub(random.below(WRAPS_WITHIN) as u32),
        }
    }

    /// Does something with the world.
    pub fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.machine.with(act)
    }

    /// One step of everybody.
    ///
    /// # Errors
    /// The guest has ended, or sleeps for ever.
    pub fn step(&mut self) -> Result<(), Stuck> {
        self.step_until(u64::MAX)
    }

    /// As [`Simulation::step`]; who sleeps longer is left asleep at `end_ns`.
    fn step_until(&mut self, end_ns: u64) -> Result<(), Stuck> {
        if let Some(ended) = self.world(|world| world.ended()) {
            return Err(Stuck::Ended(ended));
        }
        if self.asleep {
            return self.sleep(end_ns);
        }
        let tsc = self.world(|world| world.domain.tsc());
        let appliance = self.appliance.as_mut().expect("a guest is loaded");
        let wake = {
            let _turn = heap::guests_turn();
            let wake = appliance.step(tsc);
            if let Some(recorder) = appliance.changed_recorder() {
                self.recorder = recorder;
            }
            wake
        };
        self.steps += 1;
        self.world(|world| {
            let now_ns = world.domain.now_ns + STEP_NS;
            world.domain.advance_to(now_ns);
            world.step();
        });
        let seed = (wake == Wake::Suspend).then(|| self.seed());
        let appliance = self.appliance.as_mut().expect("a guest is loaded");
        if let Some(seed) = seed {
            let mut arrived = || seed.clone();
            let _turn = heap::guests_turn();
            appliance.suspend(&mut attach::Frames(self.machine), &mut arrived);
        }
        self.asleep = appliance.arm(wake);
        Ok(())
    }

    /// Randomness as the next host's CPU gives it.
    fn seed(&mut self) -> Seed {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes);
        let strong = self.hosts < self.options.hosts_with_randomness;
        self.hosts += 1;
        Seed { bytes, strong }
    }

    /// Time goes on to the next thing that happens; the guest wakes if it concerns it.
    fn sleep(&mut self, end_ns: u64) -> Result<(), Stuck> {
        self.world(|world| {
            // The harness may have given the others something to do.
            world.step();
            if !world.domain.has_upcall() {
                let deadline = world.deadline_ns().ok_or(Stuck::Forever)?;
                world.domain.advance_to(deadline.min(end_ns));
                world.step();
            }
            Ok(())
        })?;
        self.asleep = !self.world(|world| world.domain.take_upcall());
        Ok(())
    }

    /// Steps until `done`, for at most that much of the simulated time.
    ///
    /// # Errors
    /// Why not.
    pub fn run(
        &mut self,
        limit_ns: u64,
        mut done: impl FnMut(&mut World) -> bool,
    ) -> Result<(), Stuck> {
        let mut last_ns = self.world(|world| world.domain.now_ns);
        let end_ns = last_ns + limit_ns;
        let mut still = 0;
        loop {
            let (is_done, now_ns) = self.world(|world| (done(world), world.domain.now_ns));
            still = if now_ns > last_ns { 0 } else { still + 1 };
            last_ns = now_ns;
            if still > STILL_MAX {
                return Err(Stuck::Still);
            }
            if is_done {
                return Ok(());
            }
            if now_ns >= end_ns {
                return Err(Stuck::TooLate);
            }
            self.step_until(end_ns)?;
        }
    }

    /// Lets that much time go by, also where nobody has anything to do.
    ///
    /// # Errors
    /// The guest ended, or time does not go on.
    pub fn pass(&mut self, duration_ns: u64) -> Result<(), Stuck> {
        let end_ns = self.world(|world| world.domain.now_ns) + duration_ns;
        match self.run(duration_ns, |_| false) {
            Err(Stuck::Forever) => {
                self.world(|world| world.domain.advance_to(end_ns));
                Ok(())
            }
            Ok(()) | Err(Stuck::TooLate) => Ok(()),
            Err(stuck) => Err(stuck),
        }
    }

    /// The guest is killed and created again; `cut` also cuts the disk's power.
    pub fn restart(&mut self, cut: Cut) {
        drop(self.recorder.take());
        drop(self.appliance.take());
        let mut world = self.machine.unload().expect("a world is loaded");
        let seed = self.random.word();
        let now_ns = world.domain.now_ns;
        let disk = world.vbd.take().map(|(mut backend, mut disk)| {
            backend.cut_power(&mut world.domain, &mut disk);
            match cut {
                Cut::Guest => disk.kill(),
                Cut::Power => disk.crash(),
            }
            disk
        });
        let pages = pool_pages(&self.options).max(1);
        let domain = Domain::new(seed, pages, now_ns);
        let world = World {
            interleaving: self.options.interleaving,
            ..new_world(domain, &mut self.random)
        };
        let created = self.create(world, disk);
        created.unwrap_or_else(|error| panic!("{error}"));
    }

    /// What the image's heap would have: the RAM without the pool, the image and its tables.
    pub fn heap_bytes(&self) -> u64 {
        const IMAGE_BYTES: u64 = 7 << 19;
        let pool_bytes = pool_pages(&self.options) * sim::arena::PAGE_BYTES as u64;
        self.options.ram_bytes - pool_bytes - IMAGE_BYTES
    }

    /// What the guest holds of its memory.
    pub fn heap(&self) -> HeapUsage {
        heap::usage()
    }

    /// What the guest has written to its console.
    pub fn console(&self) -> String {
        self.world(|world| world.domain.console_text())
    }
}

/// What a restart takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The guest only: what its disk has cached stays.
    Guest,
    /// The disk's cache, too.
    Power,
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // Whatever made a test fail, the others do not go on with it while the guest goes.
        self.world(|world| world.interleaving = 0);
        // The guest goes before the memory it points into.
        drop(self.appliance.take());
        drop(self.machine.unload());
    }
}

fn new_world(domain: Domain, random: &mut Random) -> World {
    let wire = Wire::new(random.fork());
    World::new(domain, wire, Peer::new(PEER_MAC, PEER, random.fork()))
}

fn pool_pages(options: &Options) -> u64 {
    let budget = kernel::budget::Budget::from_ram(options.ram_bytes);
    options.pool_pages.unwrap_or(budget.pool_pages).into()
}
