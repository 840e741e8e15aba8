//! The guest's domain: all that the hypervisor and the toolstack hold of it.

use crate::arena::Arena;
use crate::event::{Events, PortKind};
use crate::grant::Grants;
use crate::random::Random;
use crate::xenstored::{Client, Quotas, Xenstored};
use std::collections::BTreeMap;
use std::mem::offset_of;
use xen_sys::event_channel::VIRQ_TIMER;
use xen_sys::hvm::{
    HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_CONSOLE_PFN, HVM_PARAM_STORE_EVTCHN, HVM_PARAM_STORE_PFN,
};
use xen_sys::shared_info::{SharedInfo, VcpuInfo, VcpuTimeInfo};

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

/// Wall time when the system clock began: 2026-01-01, in seconds since 1970.
const WALL_S: u32 = 1_767_225_600;

/// How a domain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// `SHUTDOWN_poweroff`.
    Poweroff,
    /// `SHUTDOWN_reboot`.
    Reboot,
    /// `SHUTDOWN_crash`, or a reason that is none.
    Crash,
}

/// The domain.
#[derive(Debug)]
pub struct Domain {
    /// System time, in ns.
    pub now_ns: u64,
    /// All chance of this life.
    pub random: Random,
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
    /// Hypercalls that were refused.
    pub refused: Vec<String>,
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
            refused: Vec::new(),
            params,
            timer_ns: None,
            store_port,
            console_port,
        }
    }

    /// The TSC at the time it is: one tick is one nanosecond.
    pub fn tsc(&self) -> u64 {
        self.now_ns
    }

    /// Time goes on; a timer that is due fires.
    pub fn advance_to(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
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

    /// When the timer fires.
    pub fn timer_ns(&self) -> Option<u64> {
        self.timer_ns
    }

    /// Writes the clocks into a shared info page that has just been put in place.
    pub(crate) fn show_clocks(&self, gfn: u64) {
        let time = offset_of!(VcpuInfo, time);
        let arena = &self.arena;
        arena.store_u64(gfn, time + offset_of!(VcpuTimeInfo, tsc_timestamp), 0);
        arena.store_u64(gfn, time + offset_of!(VcpuTimeInfo, system_time), 0);
        let mul = offset_of!(VcpuTimeInfo, tsc_to_system_mul);
        arena.store_u32(gfn, time + mul, 1 << 31);
        arena.store_u8(gfn, time + offset_of!(VcpuTimeInfo, tsc_shift), 1);
        arena.store_u32(gfn, time + offset_of!(VcpuTimeInfo, version), 2);
        arena.store_u32(gfn, offset_of!(SharedInfo, wc_sec), WALL_S);
        arena.store_u32(gfn, offset_of!(SharedInfo, wc_version), 2);
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
