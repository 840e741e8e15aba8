//! Event channels: the guest's ports, and the bits Xen sets for them.
//!
//! Source: `xen/common/event_channel.c` and `event_2l.c`, Xen 4.17.

use crate::arena::Arena;
use std::collections::BTreeMap;
use std::mem::offset_of;
use xen_sys::event_channel::EVTCHN_2L_NR_CHANNELS;
use xen_sys::shared_info::{SharedInfo, VcpuInfo};

const PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
const MASK: usize = offset_of!(SharedInfo, evtchn_mask);
const PENDING_SEL: usize = offset_of!(VcpuInfo, evtchn_pending_sel);
const UPCALL_PENDING: usize = offset_of!(VcpuInfo, evtchn_upcall_pending);

/// What a port of the guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// Made for a backend in that domain; notifications are kept for it.
    Interdomain(u16),
    /// A virtual IRQ.
    Virq(u32),
}

#[derive(Clone, Copy, Debug)]
struct Port {
    kind: PortKind,
    /// The guest has notified and nobody has looked.
    notified: bool,
}

/// All ports of the guest.
#[derive(Debug, Default)]
pub struct Events {
    ports: BTreeMap<u32, Port>,
    /// Where the shared info page is.
    pub(crate) shared_info: Option<u64>,
    /// Events raised so far.
    pub raised: u64,
}

impl Events {
    /// A free port of that kind.
    pub fn open(&mut self, kind: PortKind) -> Option<u32> {
        let free = |port: &u32| !self.ports.contains_key(port);
        let port = (1..EVTCHN_2L_NR_CHANNELS).find(free)?;
        let notified = false;
        self.ports.insert(port, Port { kind, notified });
        Some(port)
    }

    /// The guest closes a port; whether there was one.
    pub(crate) fn close(&mut self, port: u32) -> bool {
        self.ports.remove(&port).is_some()
    }

    /// The guest notifies; whether there is such a port.
    pub(crate) fn send(&mut self, port: u32) -> bool {
        let Some(port) = self.ports.get_mut(&port) else {
            return false;
        };
        port.notified = true;
        matches!(port.kind, PortKind::Interdomain(_))
    }

    /// Whether the guest has notified since the last look.
    pub fn take_notified(&mut self, port: u32) -> bool {
        self.ports
            .get_mut(&port)
            .is_some_and(|port| std::mem::take(&mut port.notified))
    }

    /// Whether a backend in `domid` may bind to the port.
    pub fn is_for(&self, port: u32, domid: u16) -> bool {
        self.ports
            .get(&port)
            .is_some_and(|port| port.kind == PortKind::Interdomain(domid))
    }

    /// The port of a virtual IRQ.
    pub fn virq(&self, virq: u32) -> Option<u32> {
        let mut ports = self.ports.iter();
        ports
            .find(|(_, port)| port.kind == PortKind::Virq(virq))
            .map(|(number, _)| *number)
    }

    /// Sets the port pending, and raises an upcall if it is not masked.
    pub fn raise(&mut self, arena: &Arena, port: u32) {
        let Some(page) = self.shared_info else { return };
        if !self.ports.contains_key(&port) {
            return;
        }
        self.raised += 1;
        let (word, bit) = (port as usize / 64 * 8, 1_u64 << (port % 64));
        let before = arena.set_u64(page, PENDING + word, bit);
        if before & bit == 0 {
            self.select(arena, page, port);
        }
    }

    /// `EVTCHNOP_unmask`: what is pending is raised again.
    pub(crate) fn unmask(&mut self, arena: &Arena, port: u32) {
        let Some(page) = self.shared_info else { return };
        let (word, bit) = (port as usize / 64 * 8, 1_u64 << (port % 64));
        let mask = arena.load_u64(page, MASK + word).unwrap_or(0);
        arena.store_u64(page, MASK + word, mask & !bit);
        if arena.load_u64(page, PENDING + word).unwrap_or(0) & bit != 0 {
            self.select(arena, page, port);
        }
    }

    fn select(&self, arena: &Arena, page: u64, port: u32) {
        let (word, bit) = (port as usize / 64, 1_u64 << (port % 64));
        let mask = arena.load_u64(page, MASK + word * 8).unwrap_or(0);
        if mask & bit == 0 {
            arena.set_u64(page, PENDING_SEL, 1 << word);
            arena.store_u8(page, UPCALL_PENDING, 1);
        }
    }

    /// Whether an upcall is due.
    pub(crate) fn has_upcall(&self, arena: &Arena) -> bool {
        let page = self.shared_info;
        page.and_then(|page| arena.load_u8(page, UPCALL_PENDING))
            .is_some_and(|pending| pending != 0)
    }

    /// Clears it; whether it was due.
    pub(crate) fn take_upcall(&mut self, arena: &Arena) -> bool {
        let due = self.has_upcall(arena);
        if let Some(page) = self.shared_info {
            arena.store_u8(page, UPCALL_PENDING, 0);
        }
        due
    }

    /// The ports there are.
    pub fn ports(&self) -> Vec<u32> {
        self.ports.keys().copied().collect()
    }

    /// How many ports there are.
    pub fn count(&self) -> usize {
        self.ports.len()
    }
}
