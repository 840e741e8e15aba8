//! Event channels: ports, and the two-level bitmap that says which are pending.
//!
//! The upcall only makes the CPU look; which ports fired is read here, from the
//! main loop. A port's pending bit is cleared before its owner is told, so an
//! event that comes in between is seen at the next scan and none is lost.
//!
//! A port belongs to one life of the domain: after a resume its number may be another channel's,
//! so nothing is done with a port of before.
//!
//! Source: `xen/include/public/event_channel.h`, Xen 4.17; order of the scan: `docs/xen.md`.

use crate::page::SharedPage;
use crate::{Domid, Errno, Xen};
use alloc::rc::Rc;
use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::Ordering;
use xen_sys::event_channel::{EVTCHN_2L_NR_CHANNELS, VIRQ_TIMER};
use xen_sys::shared_info::{SharedInfo, VcpuInfo};

const PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
const MASK: usize = offset_of!(SharedInfo, evtchn_mask);
/// vCPU 0 uses the place in the shared page.
const PENDING_SEL: usize = offset_of!(VcpuInfo, evtchn_pending_sel);
const UPCALL_PENDING: usize = offset_of!(VcpuInfo, evtchn_upcall_pending);
const WORDS: usize = EVTCHN_2L_NR_CHANNELS as usize / 64;

/// One end of an event channel, of one attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    number: u32,
    life: u32,
}

impl Port {
    /// Notifies the other end when nothing else of this guest runs any more.
    pub fn notify_last(self, xen: Xen) {
        let _ = xen.send(self.number);
    }

    /// The number, as backends are told.
    pub fn number(self) -> u32 {
        self.number
    }
}

/// All event channels of the domain; a cheap handle.
#[derive(Clone, Debug)]
pub struct Events(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    xen: Xen,
    shared_info: Rc<SharedPage>,
    life: Cell<u32>,
}

impl Events {
    /// Takes over the shared page's bitmaps: everything masked, nothing pending.
    pub(crate) fn new(xen: Xen, shared_info: Rc<SharedPage>) -> Self {
        let events = Events(Rc::new(Inner {
            xen,
            shared_info,
            life: Cell::new(0),
        }));
        events.renew();
        events
    }

    /// The shared page is that of a new life: no port of before is one any more.
    pub(crate) fn renew(&self) {
        self.0.life.set(self.0.life.get() + 1);
        for word in 0..WORDS {
            let place = MASK + word * 8;
            self.0
                .shared_info
                .store_u64(place, u64::MAX, Ordering::SeqCst);
        }
    }

    fn port(&self, number: u32) -> Port {
        let life = self.0.life.get();
        Port { number, life }
    }

    fn is_known(&self, port: Port) -> bool {
        port.life == self.0.life.get()
    }

    /// A port the toolstack bound before we started.
    pub(crate) fn given(&self, number: u64) -> Option<Port> {
        let number = u32::try_from(number).ok()?;
        let is_one = number != 0 && number < EVTCHN_2L_NR_CHANNELS;
        is_one.then(|| self.port(number))
    }

    /// A fresh port for `remote` to bind to, unmasked.
    ///
    /// # Errors
    /// Xen's error.
    pub fn alloc_unbound(&self, remote: Domid) -> Result<Port, Errno> {
        let port = self.port(self.0.xen.alloc_unbound(remote)?);
        self.unmask(port);
        Ok(port)
    }

    /// The one-shot timer's port, unmasked.
    pub(crate) fn bind_timer(&self) -> Result<Port, Errno> {
        let port = self.port(self.0.xen.bind_virq(VIRQ_TIMER, 0)?);
        self.unmask(port);
        Ok(port)
    }

    /// Gives the port up.
    pub fn close(&self, port: Port) {
        if self.is_known(port) {
            self.mask(port);
            // Only our own ports are closed, so Xen has nothing to refuse.
            let _ = self.0.xen.close_port(port.number);
        }
    }

    /// Notifies the other end. One that is gone is noticed through xenstore.
    pub fn notify(&self, port: Port) {
        if self.is_known(port) {
            let _ = self.0.xen.send(port.number);
        }
    }

    /// Lets the port raise upcalls; what is pending is raised again.
    pub fn unmask(&self, port: Port) {
        if !self.is_known(port) {
            return;
        }
        let (word, bit) = place(port);
        self.0.shared_info.clear_u64(MASK + word, bit);
        if self
            .0
            .shared_info
            .load_u64(PENDING + word, Ordering::SeqCst)
            & bit
            != 0
        {
            let _ = self.0.xen.unmask(port.number);
        }
    }

    /// Keeps the port from raising upcalls.
    pub fn mask(&self, port: Port) {
        if self.is_known(port) {
            let (word, bit) = place(port);
            self.0.shared_info.set_u64(MASK + word, bit);
        }
    }

    /// Whether a scan would find anything.
    pub fn any_pending(&self) -> bool {
        self.0.shared_info.load_u64(PENDING_SEL, Ordering::SeqCst) != 0
    }

    /// Clears what is pending and names it, each port once.
    ///
    /// The upcall's byte is cleared first, although the upcall itself clears it, too: as long as
    /// it is set Xen interrupts for no further event (`vcpu_mark_events_pending`,
    /// `xen/arch/x86/domain.c`), so one interrupt that got lost would be the last.
    pub fn take_pending(&self, mut named: impl FnMut(Port)) {
        let info = &self.0.shared_info;
        info.store_u8(UPCALL_PENDING, 0, Ordering::SeqCst);
        let mut selected = info.swap_u64(PENDING_SEL, 0);
        while selected != 0 {
            let word = selected.trailing_zeros() as usize;
            selected &= selected - 1;
            let masked = info.load_u64(MASK + word * 8, Ordering::SeqCst);
            let mut fired = info.load_u64(PENDING + word * 8, Ordering::SeqCst) & !masked;
            info.clear_u64(PENDING + word * 8, fired);
            while fired != 0 {
                let bit = fired.trailing_zeros();
                fired &= fired - 1;
                named(self.port(word as u32 * 64 + bit));
            }
        }
    }
}

/// Byte offset of the port's word in a bitmap, and its bit.
fn place(port: Port) -> (usize, u64) {
    debug_assert!(port.number < EVTCHN_2L_NR_CHANNELS);
    (port.number as usize / 64 * 8, 1 << (port.number % 64))
}
