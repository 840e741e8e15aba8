//! One client: its bytes both ways, its watches and transactions.
//!
//! Source: `tools/xenstore/xenstored_core.c`, Xen 4.17.

use super::Quotas;
use super::fault::{Refusal, ReplyLie};
use super::path;
use super::transaction::Transaction;
use super::watch::{Change, Watch};
use super::wire::{self, RequestError};
use std::collections::{BTreeMap, VecDeque};
use xen_sys::io::xs_wire::{XENSTORE_PAYLOAD_MAX, XS_WATCH_EVENT, XsdSockmsg};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Reply,
    Event,
}

/// A message that goes to the client.
#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    origin: Origin,
}

/// What the daemon knows of a client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) domid: u16,
    /// What relative paths are below.
    pub(super) base: String,
    input: Vec<u8>,
    output: VecDeque<Outgoing>,
    /// Bytes of the first outgoing message that are with the client.
    sent_bytes: usize,
    replies_queued: usize,
    pub(super) watches: Vec<Watch>,
    pub(super) transactions: BTreeMap<u32, Transaction>,
    next_transaction: u32,
    pub(super) is_dead: bool,
    /// Of the next replies, each its lie, or none.
    lies: VecDeque<Option<ReplyLie>>,
    refusals: VecDeque<Refusal>,
}

impl Connection {
    pub(super) fn new(domid: u16) -> Connection {
        Connection {
            domid,
            base: path::of_domain(domid.into()),
            input: Vec::new(),
            output: VecDeque::new(),
            sent_bytes: 0,
            replies_queued: 0,
            watches: Vec::new(),
            transactions: BTreeMap::new(),
            next_transaction: 1,
            is_dead: false,
            lies: VecDeque::new(),
            refusals: VecDeque::new(),
        }
    }

    /// What a dead client sends is not looked at.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        if !self.is_dead {
            self.input.extend(bytes);
        }
    }

    /// The next request, if it is there and enough of its forerunners are answered.
    pub(super) fn take(&mut self, quotas: &Quotas) -> Option<(XsdSockmsg, Vec<u8>)> {
        if !self.has_room(quotas) {
            return None;
        }
        match wire::take(&mut self.input) {
            Ok(message) => message,
            Err(wire::Malformed) => {
                self.die();
                None
            }
        }
    }

    /// Whether another request would be looked at.
    pub(super) fn has_room(&self, quotas: &Quotas) -> bool {
        self.domid == 0 || self.replies_queued < quotas.requests_outstanding
    }

    fn die(&mut self) {
        let domid = self.domid;
        *self = Connection::new(domid);
        self.is_dead = true;
    }

    /// Queues a reply, as wrong as a test wants it.
    pub(super) fn reply(&mut self, kind: u32, request: XsdSockmsg, payload: &[u8]) {
        let (header, payload) = wire::message(kind, request, payload);
        let bytes = match self.lies.pop_front().flatten() {
            Some(lie) => lie.tell(header, payload),
            None => wire::to_bytes(header, &payload),
        };
        self.replies_queued += 1;
        let origin = Origin::Reply;
        self.output.push_back(Outgoing { bytes, origin });
    }

    /// Queues the events of a change.
    pub(super) fn hear(&mut self, change: &Change) {
        if !change.is_seen_by(self.domid) {
            return;
        }
        let events = self.watches.iter().filter_map(|watch| watch.event(change));
        for payload in events.collect::<Vec<_>>() {
            self.tell(&payload);
        }
    }

    /// The event of a registration.
    pub(super) fn tell_newest_watch(&mut self) {
        if let Some(watch) = self.watches.last() {
            self.tell(&watch.event_of_itself());
        }
    }

    /// What the client has not read yet is not told twice.
    fn tell(&mut self, payload: &[u8]) {
        let Some(bytes) = event_bytes(payload) else {
            return;
        };
        let mut pending = self.output.iter();
        if !pending.any(|out| out.origin == Origin::Event && out.bytes == bytes) {
            let origin = Origin::Event;
            self.output.push_back(Outgoing { bytes, origin });
        }
    }

    /// Tells the first watch's event again and again.
    pub(super) fn flood(&mut self, count: usize) {
        let payload = self.watches.first().map(Watch::event_of_itself);
        if let Some(bytes) = payload.as_deref().and_then(event_bytes) {
            let event = || Outgoing {
                bytes: bytes.clone(),
                origin: Origin::Event,
            };
            self.output
                .extend(std::iter::repeat_with(event).take(count));
        }
    }

    /// Up to so many of the next bytes.
    pub(super) fn send(&mut self, max_bytes: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < max_bytes
            && let Some(first) = self.output.front()
        {
            let rest = &first.bytes[self.sent_bytes..];
            let count = rest.len().min(max_bytes - bytes.len());
            bytes.extend(&rest[..count]);
            self.sent_bytes += count;
            if self.sent_bytes == first.bytes.len() {
                self.replies_queued -= usize::from(first.origin == Origin::Reply);
                self.sent_bytes = 0;
                self.output.pop_front();
            }
        }
        bytes
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// A new transaction's id.
    pub(super) fn begin(&mut self, quotas: &Quotas) -> Result<u32, RequestError> {
        if self.domid != 0 && self.transactions.len() > quotas.transactions_per_domain {
            return Err(RequestError::NoSpace);
        }
        // 0 says that there is none.
        while self.next_transaction == 0 || self.transactions.contains_key(&self.next_transaction) {
            self.next_transaction = self.next_transaction.wrapping_add(1);
        }
        let id = self.next_transaction;
        self.next_transaction = id.wrapping_add(1);
        self.transactions.insert(id, Transaction::default());
        Ok(id)
    }

    /// Drops watches and transactions.
    pub(super) fn reset(&mut self) {
        self.watches.clear();
        self.transactions.clear();
    }

    /// After so many replies that are true.
    pub(super) fn lie_after(&mut self, replies: usize, lie: ReplyLie) {
        self.lies.extend(std::iter::repeat_n(None, replies));
        self.lies.push_back(Some(lie));
    }

    pub(super) fn has_lied(&self) -> bool {
        self.lies.is_empty()
    }

    pub(super) fn refuse_next(&mut self, refusal: Refusal) {
        self.refusals.push_back(refusal);
    }

    /// The error that a test wants for this request.
    pub(super) fn take_refusal(&mut self, kind: u32) -> Option<&'static str> {
        let mut refusals = self.refusals.iter();
        let at = refusals.position(|refusal| refusal.kind == kind)?;
        self.refusals.remove(at).map(|refusal| refusal.error)
    }
}

/// Events that are too long are not sent at all.
fn event_bytes(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > XENSTORE_PAYLOAD_MAX {
        return None;
    }
    let (header, payload) = wire::message(XS_WATCH_EVENT, XsdSockmsg::default(), payload);
    Some(wire::to_bytes(header, &payload))
}
