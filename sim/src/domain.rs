//! The guest's domain: all that the hypervisor and the toolstack hold of it.

use crate::arena::Arena;
use crate::clock::{Clock, TscRate};
use crate::event::{Events, PortKind};
use crate::grant::Grants;
use crate::random::Random;
use crate::resume::Save;
use crate::trace::Trace;
use crate::xenstored::{Client, Quotas, Xenstored};
use std::collections::{BTreeMap, VecDeque};
use xen_sys::errno::Errno;
use xen_sys::event_channel::VIRQ_TIMER;
use xen_sys::hvm::{
    HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_CONSOLE_PFN, HVM_PARAM_STORE_EVTCHN, HVM_PARAM_STORE_PFN,
};

/// The guest's domain number.
pub const DOMID: u16 = 1;
/// The first frame of its memory here.
pub const BASE_GFN: u64 = 0x100;
/// Frame of the xenstore ring.
pub const STORE_GFN: u64 = BASE_GFN;
/// Frame of the console ring.
pub const CONSOLE_GFN: u64 = BASE_GFN + 1;
/// First of the frames in which the guest puts Xen's pages.
pub const WINDOW_GFN: u64 = BASE_GFN + 2;
/// Frames kept for that.
pub const WINDOW_FRAMES: u64 = 14;
/// First of the frames that the guest may share.
pub const POOL_GFN: u64 = WINDOW_GFN + WINDOW_FRAMES;

/// What is in the guest's memory before it writes there: nobody else may ever see it.
pub const STALE: u8 = 0xa5;

/// How a domain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// `SHUTDOWN_poweroff`.
    Poweroff,
    /// `SHUTDOWN_reboot`.
    Reboot,
    /// `SHUTDOWN_crash`, or a reason that is none.
    Crash,
    /// By the hypervisor: a watchdog has run out.
    Watchdog,
}

/// The domain.
#[derive(Debug)]
pub struct Domain {
    /// System time, in ns.
    pub now_ns: u64,
    /// All chance of this life.
    pub random: Random,
    /// What happens to it.
    pub trace: Trace,
    /// Its memory.
    pub arena: Arena,
    /// Its event channels.
    pub events: Events,
    /// Its grants.
    pub grants: Grants,
    /// The daemon.
    pub xenstored: Xenstored,
    /// The guest's connection to it.
    pub client: Client,
    /// How it ended.
    pub ended: Option<Ended>,
    /// What it wrote to its console.
    pub console: Vec<u8>,
    /// What is typed there and not read yet.
    pub typed: Vec<u8>,
    /// Nobody looks after the console for now.
    pub holds_console: bool,
    /// Hypercalls so far.
    pub hypercalls: u64,
    /// This hypercall, by its number, is refused, for a test.
    pub refuse: Option<(u64, Errno)>,
    /// Hypercalls that were refused.
    pub refused: Vec<String>,
    /// What becomes of the next suspends; others are refused.
    pub saves: VecDeque<Save>,
    /// The domain is another one, and its devices are not there yet.
    pub(crate) has_moved: bool,
    /// It lets the others run.
    pub(crate) has_yielded: bool,
    /// When each of its watchdogs runs out.
    pub(crate) watchdogs_ns: [Option<u64>; 2],
    /// Whether it has any; QEMU's emulation has not.
    pub has_watchdogs: bool,
    /// When the timer of its local APIC goes off.
    pub apic_timer_ns: Option<u64>,
    pub(crate) clock: Clock,
    pub(crate) params: BTreeMap<u32, u64>,
    pub(crate) timer_ns: Option<u64>,
    pub(crate) store_port: u32,
    pub(crate) console_port: u32,
}

impl Domain {
    /// A fresh domain with that many frames to share, created at that time.
    pub fn new(seed: u64, pool_frames: u64, now_ns: u64) -> Domain {
        let mut xenstored = Xenstored::new(Quotas::default());
        let client = xenstored.connect(DOMID);
        let mut events = Events::default();
        let store_port = events
            .open(PortKind::Interdomain(0))
            .expect("the first port");
        let console_port = events.open(PortKind::Interdomain(0)).expect("the second");
        let params = BTreeMap::from([
            (HVM_PARAM_STORE_PFN, STORE_GFN),
            (HVM_PARAM_STORE_EVTCHN, u64::from(store_port)),
            (HVM_PARAM_CONSOLE_PFN, CONSOLE_GFN),
            (HVM_PARAM_CONSOLE_EVTCHN, u64::from(console_port)),
        ]);
        let arena = Arena::new(BASE_GFN, POOL_GFN - BASE_GFN + pool_frames);
        for gfn in POOL_GFN..POOL_GFN + pool_frames {
            arena.fill(gfn, STALE);
        }
        Domain {
            now_ns,
            random: Random::new(seed),
            trace: Trace::default(),
            arena,
            events,
            grants: Grants::default(),
            xenstored,
            client,
            ended: None,
            console: Vec::new(),
            typed: Vec::new(),
            holds_console: false,
            hypercalls: 0,
            refuse: None,
            refused: Vec::new(),
            saves: VecDeque::new(),
            has_moved: false,
            has_yielded: false,
            watchdogs_ns: [None; 2],
            has_watchdogs: true,
            apic_timer_ns: None,
            clock: Clock::default(),
            params,
            timer_ns: None,
            store_port,
            console_port,
        }
    }

    /// The TSC at the time it is.
    pub fn tsc(&self) -> u64 {
        self.clock.tsc(self.now_ns)
    }

    /// The TSC ticks at another rate from now on.
    pub fn set_tsc_rate(&mut self, rate: TscRate) {
        self.clock.set_rate(self.now_ns, rate);
        self.show_clocks();
    }

    /// Somebody sets the wall clock: the system clock began at this time, in seconds since 1970.
    pub fn set_wall(&mut self, wall_s: u32) {
        self.clock.set_wall(wall_s);
        self.show_clocks();
    }

    /// Time goes on; a timer that is due fires.
    pub fn advance_to(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        if self.watchdog_ns().is_some_and(|at_ns| at_ns <= self.now_ns) {
            self.ended = self.ended.or(Some(Ended::Watchdog));
        }
        if self
            .timer_ns
            .is_some_and(|deadline| deadline <= self.now_ns)
        {
            self.timer_ns = None;
            if let Some(port) = self.events.virq(VIRQ_TIMER) {
                self.events.raise(&self.arena, port);
            }
        }
    }

    /// When a watchdog runs out.
    pub fn watchdog_ns(&self) -> Option<u64> {
        self.watchdogs_ns.iter().flatten().min().copied()
    }

    /// When the timer fires.
    pub fn timer_ns(&self) -> Option<u64> {
        self.timer_ns
    }

    /// Writes the clocks into the shared info page, if it is in place.
    pub(crate) fn show_clocks(&mut self) {
        if let Some(gfn) = self.events.shared_info {
            self.clock.show(&self.arena, gfn);
        }
    }

    /// Writes down what happened now.
    pub fn note(&self, what: impl FnOnce() -> String) {
        self.trace.note(self.now_ns, what);
    }

    /// Whether the vCPU has to wake.
    pub fn has_upcall(&self) -> bool {
        self.events.has_upcall(&self.arena)
    }

    /// The vCPU's stub takes the upcall, as the image's does; whether there was one.
    pub fn take_upcall(&mut self) -> bool {
        self.events.take_upcall(&self.arena)
    }

    /// The console so far, as text.
    pub fn console_text(&self) -> String {
        String::from_utf8_lossy(&self.console).into_owned()
    }
}
