//! The daemon, seen from its clients.

mod chance;
mod faults;
mod quotas;
mod requests;
mod transactions;
mod watches;

use super::{Access, Client, Quotas, ReplyLie, Xenstored, wire};
use xen_sys::io::xs_wire::*;

/// A daemon with a guest, and the words the guest says to it.
struct Bed {
    daemon: Xenstored,
    guest: Client,
}

impl Bed {
    /// Domain 7 owns its directory.
    fn new() -> Bed {
        Bed::with(Quotas::default())
    }

    fn with(quotas: Quotas) -> Bed {
        let mut daemon = Xenstored::new(quotas);
        daemon.write("/local/domain/7", b"");
        daemon.set_owner("/local/domain/7", 7);
        let guest = daemon.connect(7);
        Bed { daemon, guest }
    }

    /// Sends a request without a look at what comes back.
    fn say(&mut self, kind: u32, tx_id: u32, payload: &[u8]) {
        let bytes = request(kind, tx_id, payload);
        self.daemon.receive(self.guest, &bytes);
    }

    /// Everything that is ready for the guest.
    fn hear(&mut self) -> Vec<(u32, String)> {
        let bytes = self.daemon.send(self.guest, usize::MAX);
        messages(&bytes)
    }

    /// The reply to a request: its payload, or its error with a `!` before it.
    fn ask_in(&mut self, tx_id: u32, kind: u32, payload: &[u8]) -> String {
        self.say(kind, tx_id, payload);
        let mut replies = self.hear();
        replies.retain(|(kind, _)| *kind != XS_WATCH_EVENT);
        let [(answered, text)] = &replies[..] else {
            panic!("one request has one reply, not {replies:?}");
        };
        if *answered == XS_ERROR {
            return format!("!{}", text.trim_end_matches('|'));
        }
        assert_eq!(*answered, kind);
        text.clone()
    }

    fn ask(&mut self, kind: u32, payload: &[u8]) -> String {
        self.ask_in(0, kind, payload)
    }

    fn begin(&mut self) -> u32 {
        let reply = self.ask(XS_TRANSACTION_START, b"\0");
        let number = reply.trim_end_matches('|').parse();
        number.expect("a started transaction has a number")
    }
}

fn request(kind: u32, tx_id: u32, payload: &[u8]) -> Vec<u8> {
    let header = XsdSockmsg {
        kind,
        req_id: 42,
        tx_id,
        len: payload.len() as u32,
    };
    wire::to_bytes(header, payload)
}

/// Messages with their payload as text, a `|` for each NUL.
fn messages(mut bytes: &[u8]) -> Vec<(u32, String)> {
    let mut messages = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<16>() {
        let header = XsdSockmsg::from_bytes(*header);
        let id = if header.kind == XS_WATCH_EVENT { 0 } else { 42 };
        assert_eq!(header.req_id, id);
        let (payload, rest) = rest.split_at(header.len as usize);
        let text = String::from_utf8_lossy(payload).replace('\0', "|");
        messages.push((header.kind, text));
        bytes = rest;
    }
    assert_eq!(bytes, b"", "nothing but whole messages");
    messages
}
