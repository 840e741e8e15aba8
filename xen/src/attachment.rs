//! All that Xen gave us: ports, grants, watches, mappings, the timer's VIRQ.
//!
//! One value owns it and carries an epoch. After a resume in a new domain the
//! next one begins, in place: ports of before are dead (`event`), grants of
//! before are over (`grant`), xenstore is asked again (`xenstore::renew`), and
//! no adapter has to be handed anything.

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
    /// Where the pages are that Xen lends us.
    window: Gfn,
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

        let console = console(xen, mapper, &events);
        let store = given(xen, &events, STORE);
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
            window,
        })
    }

    /// Takes over the domain that this one was resumed in: what it was given is given anew, and
    /// whoever holds a handle of before keeps it. Backends have to be met again, and the
    /// hypervisor be told again how to deliver events.
    ///
    /// # Errors
    /// [`AttachError`]: the domain cannot go on.
    pub fn resume(&mut self, mapper: &mut dyn MapFrame) -> Result<(), AttachError> {
        self.epoch += 1;
        let xen = self.xen;
        xen.add_to_physmap(XENMAPSPACE_SHARED_INFO, 0, self.window)
            .map_err(AttachError::SharedInfo)?;
        let grants = self.grants.borrow_mut().renew();
        grants.map_err(AttachError::GrantTable)?;
        self.events.renew();
        self.timer = self.events.bind_timer().map_err(AttachError::Timer)?;
        self.clock.renew();
        self.console = console(xen, mapper, &self.events);
        let store = given(xen, &self.events, STORE);
        if let (Some(xenstore), Some((gfn, port))) = (&self.xenstore, store) {
            xenstore.renew(map_foreign(mapper, gfn), port, self.events.clone());
        }
        Ok(())
    }
}

/// The parameters of xenstore's ring: frame and port.
const STORE: (u32, u32) = (HVM_PARAM_STORE_PFN, HVM_PARAM_STORE_EVTCHN);
/// The console's.
const CONSOLE: (u32, u32) = (HVM_PARAM_CONSOLE_PFN, HVM_PARAM_CONSOLE_EVTCHN);

fn console(xen: Xen, mapper: &mut dyn MapFrame, events: &Events) -> Option<Console> {
    let (gfn, port) = given(xen, events, CONSOLE)?;
    Some(Console::new(map_foreign(mapper, gfn), port, events.clone()))
}

/// A ring the toolstack set up: its frame and port, or nothing.
fn given(xen: Xen, events: &Events, (frame, port): (u32, u32)) -> Option<(Gfn, Port)> {
    let gfn = xen.hvm_param(frame).ok().filter(|gfn| *gfn != 0)?;
    let port = events.given(xen.hvm_param(port).ok()?)?;
    Some((Gfn(gfn), port))
}
