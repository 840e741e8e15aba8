//! Both byte rings of the daemons: xenstore's and the console's.
//!
//! Source: `xen/include/public/io/xs_wire.h` and `console.h`, Xen 4.17.

use crate::domain::{CONSOLE_GFN, Domain, STORE_GFN};
use xen_sys::io::{console, xs_wire};

/// One direction of a ring: where its bytes and both indices lie in which frame.
struct ByteRing {
    gfn: u64,
    data: usize,
    len: u32,
    cons: usize,
    prod: usize,
}

const STORE_REQUESTS: ByteRing = ByteRing {
    gfn: STORE_GFN,
    data: xs_wire::REQ,
    len: xs_wire::XENSTORE_RING_SIZE as u32,
    cons: xs_wire::REQ_CONS,
    prod: xs_wire::REQ_PROD,
};
const STORE_REPLIES: ByteRing = ByteRing {
    gfn: STORE_GFN,
    data: xs_wire::RSP,
    len: xs_wire::XENSTORE_RING_SIZE as u32,
    cons: xs_wire::RSP_CONS,
    prod: xs_wire::RSP_PROD,
};
const CONSOLE_OUT: ByteRing = ByteRing {
    gfn: CONSOLE_GFN,
    data: console::OUT,
    len: console::OUT_BYTES,
    cons: console::OUT_CONS,
    prod: console::OUT_PROD,
};
const CONSOLE_IN: ByteRing = ByteRing {
    gfn: CONSOLE_GFN,
    data: console::IN,
    len: console::IN_BYTES,
    cons: console::IN_CONS,
    prod: console::IN_PROD,
};

impl ByteRing {
    /// All that the guest has written.
    fn take(&self, domain: &Domain) -> Vec<u8> {
        let arena = &domain.arena;
        let prod = arena.load_u32(self.gfn, self.prod).unwrap_or(0);
        let cons = arena.load_u32(self.gfn, self.cons).unwrap_or(0);
        let count = prod.wrapping_sub(cons);
        assert!(count <= self.len, "the guest's producer is out of its ring");
        let at = |index: u32| self.data + (cons.wrapping_add(index) & (self.len - 1)) as usize;
        let bytes = (0..count).map(|index| arena.load_u8(self.gfn, at(index)).unwrap_or(0));
        let bytes = bytes.collect();
        arena.store_u32(self.gfn, self.cons, prod);
        bytes
    }

    /// How much the guest has room for.
    fn room(&self, domain: &Domain) -> usize {
        let prod = domain.arena.load_u32(self.gfn, self.prod).unwrap_or(0);
        let cons = domain.arena.load_u32(self.gfn, self.cons).unwrap_or(0);
        let used = prod.wrapping_sub(cons);
        assert!(used <= self.len, "the guest's consumer is out of its ring");
        (self.len - used) as usize
    }

    /// Gives the guest what it has room for.
    fn put(&self, domain: &Domain, bytes: &[u8]) {
        let prod = domain.arena.load_u32(self.gfn, self.prod).unwrap_or(0);
        for (index, byte) in (0_u32..).zip(bytes) {
            let at = self.data + (prod.wrapping_add(index) & (self.len - 1)) as usize;
            domain.arena.store_u8(self.gfn, at, *byte);
        }
        let new = prod.wrapping_add(bytes.len() as u32);
        domain.arena.store_u32(self.gfn, self.prod, new);
    }
}

impl Domain {
    /// The daemons take what the guest has written and give what is ready.
    pub(crate) fn step_daemons(&mut self) {
        if !self.xenstored.is_dead(self.client) {
            self.step_xenstore();
        }
        if !self.holds_console {
            self.step_console();
        }
    }

    fn step_xenstore(&mut self) {
        let requests = if self.xenstored.accepts_input(self.client) {
            STORE_REQUESTS.take(self)
        } else {
            Vec::new()
        };
        let mut moved = !requests.is_empty();
        self.xenstored.receive(self.client, &requests);
        let room = STORE_REPLIES.room(self);
        let replies = self.xenstored.send(self.client, room);
        moved |= !replies.is_empty();
        STORE_REPLIES.put(self, &replies);
        self.events.take_notified(self.store_port);
        if moved {
            self.events.raise(&self.arena, self.store_port);
        }
    }

    fn step_console(&mut self) {
        let written = CONSOLE_OUT.take(self);
        let room = CONSOLE_IN.room(self).min(self.typed.len());
        let moved = !written.is_empty() || room > 0;
        self.console.extend(written);
        let typed: Vec<u8> = self.typed.drain(..room).collect();
        CONSOLE_IN.put(self, &typed);
        self.events.take_notified(self.console_port);
        if moved {
            self.events.raise(&self.arena, self.console_port);
        }
    }
}
