//! The PV console's ring: never blocks, never spins.
//!
//! Nobody may be reading, so what does not fit is the caller's to keep or drop.
//! The daemon's indices are loaded once and bounded; if they make no sense the
//! ring counts as full (or empty) for good.
//!
//! Source: `xen/include/public/io/console.h`, Xen 4.17.

use crate::Xen;
use crate::event::{Events, Port};
use crate::page::{self, SharedPage};
use core::sync::atomic::Ordering;
use xen_sys::io::console::{IN, IN_BYTES, IN_CONS, IN_PROD, OUT, OUT_BYTES, OUT_CONS, OUT_PROD};

/// The console.
#[derive(Debug)]
pub struct Console {
    page: SharedPage,
    port: Port,
    events: Events,
}

impl Console {
    pub(crate) fn new(page: SharedPage, port: Port, events: Events) -> Self {
        events.unmask(port);
        Console { page, port, events }
    }

    /// Its event channel.
    pub fn port(&self) -> Port {
        self.port
    }

    /// Writes as many bytes as there is room for; returns how many.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let taken = put(&self.page, bytes);
        if taken > 0 {
            self.events.notify(self.port);
        }
        taken
    }

    /// A second handle on the output, for the panic path.
    pub fn last_words(&self, xen: Xen) -> LastWords {
        LastWords {
            page: self.page.alias(),
            port: self.port,
            xen,
        }
    }

    /// Reads what was typed; returns how many bytes.
    pub fn read(&self, into: &mut [u8]) -> usize {
        let cons = self.page.load_u32(IN_CONS, Ordering::Relaxed);
        let prod = self.page.load_u32(IN_PROD, Ordering::Acquire);
        let available = prod.wrapping_sub(cons);
        if available > IN_BYTES {
            return 0;
        }
        let count = into.len().min(available as usize);
        for (index, byte) in (0u32..).zip(&mut into[..count]) {
            let at = cons.wrapping_add(index) & (IN_BYTES - 1);
            *byte = self.page.load_u8(IN + at as usize, Ordering::Relaxed);
        }
        if count > 0 {
            self.page
                .store_u32(IN_CONS, cons.wrapping_add(count as u32), Ordering::Release);
            self.events.notify(self.port);
        }
        count
    }
}

/// The console's output for a panic: needs nothing that may be in use.
#[derive(Debug)]
pub struct LastWords {
    page: SharedPage,
    port: Port,
    xen: Xen,
}

impl LastWords {
    /// Writes as many bytes as there is room for; returns how many.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let taken = put(&self.page, bytes);
        // Nobody is left to tell if this fails.
        let _ = self.xen.send(self.port.number());
        taken
    }
}

/// Copies into the output ring what fits and publishes it.
fn put(page: &SharedPage, bytes: &[u8]) -> usize {
    let prod = page.load_u32(OUT_PROD, Ordering::Relaxed);
    let cons = page.load_u32(OUT_CONS, Ordering::Acquire);
    let used = prod.wrapping_sub(cons).min(OUT_BYTES);
    let room = (OUT_BYTES - used) as usize;
    let taken = &bytes[..bytes.len().min(room)];
    for (index, byte) in (0u32..).zip(taken) {
        let at = prod.wrapping_add(index) & (OUT_BYTES - 1);
        page.store_u8(OUT + at as usize, *byte, Ordering::Relaxed);
    }
    if !taken.is_empty() {
        let new = prod.wrapping_add(taken.len() as u32);
        page.store_u32(OUT_PROD, new, Ordering::Release);
        page::fence();
    }
    taken.len()
}
