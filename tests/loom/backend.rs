//! The backend's half of a ring, by the macros of the header.
//!
//! Source: `xen/include/public/io/ring.h` (`RING_FINAL_CHECK_FOR_REQUESTS`,
//! `RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`), Xen 4.17.

use crate::page::{self, SharedPage};
use loom::sync::atomic::{AtomicBool, Ordering};
use xen_sys::io::ring;

/// A notification that stays until it is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event(&'static AtomicBool);

impl Event {
    pub(crate) fn new() -> Event {
        Event(Box::leak(Box::new(AtomicBool::new(false))))
    }

    pub(crate) fn raise(self) {
        // As Xen sets the bit: in one exchange.
        self.0.swap(true, Ordering::AcqRel);
    }

    pub(crate) fn take(self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// Offset of a slot of that many bytes.
pub(crate) fn slot(index: u32, bytes: usize) -> usize {
    ring::SLOTS + index as usize * bytes
}

/// The backend.
pub(crate) struct Backend {
    pub(crate) page: SharedPage,
    req_cons: u32,
    rsp_prod: u32,
}

impl Backend {
    pub(crate) fn new(page: SharedPage) -> Backend {
        Backend {
            page,
            req_cons: 0,
            rsp_prod: 0,
        }
    }

    /// Takes all requests; when it returns it has asked for an event and looked once more.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(&SharedPage, u32)) {
        loop {
            let prod = self.page.load_u32(ring::REQ_PROD, Ordering::Acquire);
            while self.req_cons != prod {
                take(&self.page, self.req_cons);
                self.req_cons += 1;
            }
            let event = self.req_cons + 1;
            self.page
                .store_u32(ring::REQ_EVENT, event, Ordering::Relaxed);
            page::fence();
            if self.page.load_u32(ring::REQ_PROD, Ordering::Relaxed) == self.req_cons {
                return;
            }
        }
    }

    /// Requests taken.
    pub(crate) fn taken(&self) -> u32 {
        self.req_cons
    }

    /// Writes the next response's words and shows it; whether the frontend wants to know.
    pub(crate) fn respond(&mut self, words: &[u32], slot_bytes: usize) -> bool {
        let at = slot(self.rsp_prod, slot_bytes);
        for (index, word) in words.iter().enumerate() {
            self.page
                .store_u32(at + index * 4, *word, Ordering::Relaxed);
        }
        let (old, new) = (self.rsp_prod, self.rsp_prod + 1);
        self.rsp_prod = new;
        self.page.store_u32(ring::RSP_PROD, new, Ordering::Release);
        page::fence();
        let event = self.page.load_u32(ring::RSP_EVENT, Ordering::Relaxed);
        new.wrapping_sub(event) < new.wrapping_sub(old)
    }
}

/// Offsets of a ring's indices, and of its first slots.
pub(crate) fn offsets(slots: u32, slot_bytes: usize) -> Vec<usize> {
    let indices = [
        ring::REQ_PROD,
        ring::REQ_EVENT,
        ring::RSP_PROD,
        ring::RSP_EVENT,
    ];
    let end = slot(slots, slot_bytes);
    indices
        .into_iter()
        .chain((ring::SLOTS..end).step_by(4))
        .collect()
}
