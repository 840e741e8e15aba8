//! Bytes to and from the daemon: two byte rings in one shared page.

use crate::event::{Events, Port};
use crate::page::{self, SharedPage};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use xen_sys::io::xs_wire::{
    REQ, REQ_CONS, REQ_PROD, RSP, RSP_CONS, RSP_PROD, XENSTORE_PAYLOAD_MAX, XENSTORE_RING_SIZE,
    XsdSockmsg,
};

const HEADER_BYTES: usize = size_of::<XsdSockmsg>();
const RING: u32 = XENSTORE_RING_SIZE as u32;

/// A reply or a watch event.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Link {
    page: SharedPage,
    port: Port,
    events: Events,
    /// Requests not yet in the ring; bounded by the requests in flight.
    outgoing: VecDeque<u8>,
    /// The beginning of a message.
    incoming: Vec<u8>,
    arrived: VecDeque<Message>,
    down: bool,
}

impl Link {
    pub(super) fn new(page: SharedPage, port: Port, events: Events) -> Self {
        let (outgoing, incoming, arrived) = (VecDeque::new(), Vec::new(), VecDeque::new());
        Link {
            page,
            port,
            events,
            outgoing,
            incoming,
            arrived,
            down: false,
        }
    }

    pub(super) fn port(&self) -> Port {
        self.port
    }

    pub(super) fn is_down(&self) -> bool {
        self.down
    }

    pub(super) fn send(&mut self, header: XsdSockmsg, payload: &[&[u8]]) {
        self.outgoing.extend(header.to_bytes());
        for part in payload {
            self.outgoing.extend(*part);
        }
        if self.push() {
            self.events.notify(self.port);
        }
    }

    pub(super) fn take(&mut self) -> Option<Message> {
        self.arrived.pop_front()
    }

    /// Takes what arrived and sends what waits.
    pub(super) fn step(&mut self) {
        if self.down {
            return;
        }
        let pulled = self.pull();
        let pushed = self.push();
        if pulled || pushed {
            self.events.notify(self.port);
        }
    }

    fn push(&mut self) -> bool {
        if self.down || self.outgoing.is_empty() {
            return false;
        }
        let prod = self.page.load_u32(REQ_PROD, Ordering::Relaxed);
        let cons = self.page.load_u32(REQ_CONS, Ordering::Acquire);
        let used = prod.wrapping_sub(cons);
        if used > RING {
            self.fail("request");
            return false;
        }
        let count = self.outgoing.len().min((RING - used) as usize);
        for (index, byte) in (0u32..).zip(self.outgoing.drain(..count)) {
            let at = REQ + (prod.wrapping_add(index) & (RING - 1)) as usize;
            self.page.store_u8(at, byte, Ordering::Relaxed);
        }
        self.page
            .store_u32(REQ_PROD, prod.wrapping_add(count as u32), Ordering::Release);
        page::fence();
        count > 0
    }

    fn pull(&mut self) -> bool {
        let cons = self.page.load_u32(RSP_CONS, Ordering::Relaxed);
        let prod = self.page.load_u32(RSP_PROD, Ordering::Acquire);
        let available = prod.wrapping_sub(cons);
        if available > RING {
            self.fail("reply");
            return false;
        }
        for index in 0..available {
            let at = RSP + (cons.wrapping_add(index) & (RING - 1)) as usize;
            self.incoming.push(self.page.load_u8(at, Ordering::Relaxed));
        }
        self.page.store_u32(RSP_CONS, prod, Ordering::Release);
        page::fence();
        self.split();
        available > 0
    }

    /// Cuts whole messages off what arrived.
    fn split(&mut self) {
        while let Some(header) = self.incoming.first_chunk::<HEADER_BYTES>() {
            let header = XsdSockmsg::from_bytes(*header);
            let len = header.len as usize;
            if len > XENSTORE_PAYLOAD_MAX {
                return self.fail("message length");
            }
            if self.incoming.len() < HEADER_BYTES + len {
                return;
            }
            let rest = self.incoming.split_off(HEADER_BYTES + len);
            let mut payload = core::mem::replace(&mut self.incoming, rest);
            payload.drain(..HEADER_BYTES);
            self.arrived.push_back(Message {
                kind: header.kind,
                id: header.req_id,
                payload,
            });
        }
    }

    fn fail(&mut self, what: &str) {
        log::error!(
            "xenstore: the daemon's {what} makes no sense; xenstore is given up, devices that \
             are connected go on, a reboot of the domain brings it back"
        );
        self.down = true;
        self.outgoing.clear();
        self.incoming.clear();
    }
}
