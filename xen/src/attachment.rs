//! All that Xen gave us: ports, grants, watches, mappings, the timer's VIRQ.
//!
//! One value owns it and carries an epoch. After a resume in a new domain the
//! old epoch is dropped without revoking anything (those handles belong to a
//! domain that is gone) and the next is made; no adapter keeps a raw handle.

use crate::clock::Clock;
use crate::console::Console;
use crate::event::{Events, Port};
use crate::grant::{self, GrantTable};
use crate::page::{Gfn, MapFrame, PagePool, map_foreign};
use crate::task::Timers;
use crate::xenstore::Xenstore;
use crate::{Errno, Xen};
use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;
use xen_sys::hvm::{
    HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_CONSOLE_PFN, HVM_PARAM_STORE_EVTCHN, HVM_PARAM_STORE_PFN,
};
use xen_sys::memory::XENMAPSPACE_SHARED_INFO;

/// Guest frames that must be free at the window's start: shared info and the grant table.
pub const WINDOW_FRAMES: u64 = 1 + grant::FRAMES;

/// What Xen gave us, in one life of the domain.
#[derive(Debug)]
pub struct Attachment {
    /// Which life.
    pub epoch: u32,
    /// The hypervisor.
    pub xen: Xen,
    /// The pages that may be shared.
    pub pool: PagePool,
    /// Event channels.
    pub events: Events,
    /// The grant table.
    pub grants: Rc<RefCell<GrantTable>>,
    /// Monotonic and wall time.
    pub clock: Clock,
    /// The one-shot timer's port.
    pub timer: Port,
    /// The time of the current step.
    pub timers: Timers,
    /// The console, where there is one.
    pub console: Option<Console>,
    /// Xenstore, where there is one.
    pub xenstore: Option<Xenstore>,
}

/// What Xen refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// The shared info page cannot be mapped.
    SharedInfo(Errno),
    /// The grant table cannot be mapped.
    GrantTable(Errno),
    /// The timer cannot be bound.
    Timer(Errno),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, errno) = match self {
            AttachError::SharedInfo(errno) => ("map the shared info page", errno),
            AttachError::GrantTable(errno) => ("map the grant table", errno),
            AttachError::Timer(errno) => ("bind the timer", errno),
        };
        write!(f, "the hypervisor refused to {what}: {errno}")
    }
}

impl core::error::Error for AttachError {}

impl Attachment {
    /// Takes over a fresh domain. The guest frames from `window` on must be unused.
    ///
    /// # Errors
    /// [`AttachError`]: the domain cannot work without these.
    pub fn first(
        xen: Xen,
        pool: PagePool,
        mapper: &mut dyn MapFrame,
        window: Gfn,
    ) -> Result<Attachment, AttachError> {
        xen.add_to_physmap(XENMAPSPACE_SHARED_INFO, 0, window)
            .map_err(AttachError::SharedInfo)?;
        let shared_info = Rc::new(map_foreign(mapper, window));
        let grants = GrantTable::new(xen, mapper, Gfn(window.0 + 1));
        let grants = Rc::new(RefCell::new(grants.map_err(AttachError::GrantTable)?));
        let events = Events::new(xen, Rc::clone(&shared_info));
        let timer = events.bind_timer().map_err(AttachError::Timer)?;

        let console = given(xen, HVM_PARAM_CONSOLE_PFN, HVM_PARAM_CONSOLE_EVTCHN);
        let console =
            console.map(|(gfn, port)| Console::new(map_foreign(mapper, gfn), port, events.clone()));
        let store = given(xen, HVM_PARAM_STORE_PFN, HVM_PARAM_STORE_EVTCHN);
        let timers = Timers::default();
        let xenstore = store.map(|(gfn, port)| {
            let page = map_foreign(mapper, gfn);
            Xenstore::new(page, port, events.clone(), timers.clone())
        });

        let clock = Clock::new(shared_info);
        Ok(Attachment {
            epoch: 1,
            xen,
            pool,
            events,
            grants,
            clock,
            timer,
            timers,
            console,
            xenstore,
        })
    }
}

/// A ring the toolstack set up: its frame and port, or nothing.
fn given(xen: Xen, frame: u32, port: u32) -> Option<(Gfn, Port)> {
    let gfn = xen.hvm_param(frame).ok().filter(|gfn| *gfn != 0)?;
    let port = Port::given(xen.hvm_param(port).ok()?)?;
    Some((Gfn(gfn), port))
}
