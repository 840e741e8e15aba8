//! The xenstore client: requests, replies, watches, transactions.
//!
//! [`Xenstore`] is a cheap handle; its requests are futures that complete in
//! some later step. At most [`IN_FLIGHT_MAX`] requests are with the daemon
//! (its quota is 20), the rest wait for their turn. A watch that fires many
//! times before its owner looks has fired once: a flood costs no memory.
//!
//! # Trust
//!
//! The daemon's indices are bounded, its messages' lengths checked; a daemon
//! that breaks the protocol loses the link (every request fails, once said in
//! the log), and the guest goes on.
//!
//! Source: `xen/include/public/io/xs_wire.h`, `docs/misc/xenstore.txt`, Xen 4.17.

mod link;
mod renew;

use crate::event::{Events, Port};
use crate::page::SharedPage;
use crate::task::Timers;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use link::{Link, Message};
use xen_sys::io::xs_wire::{
    XENSTORE_PAYLOAD_MAX, XS_DIRECTORY, XS_ERROR, XS_READ, XS_RM, XS_TRANSACTION_END,
    XS_TRANSACTION_START, XS_UNWATCH, XS_WATCH, XS_WATCH_EVENT, XS_WRITE, XsdSockmsg,
};

/// Requests with the daemon at once.
pub const IN_FLIGHT_MAX: usize = 16;
/// Longest wait for a reply: a daemon that lost the request will not think of it later.
const REPLY_NS: u64 = 30_000_000_000;
/// Times a transaction is tried again after EAGAIN.
const TRANSACTION_ATTEMPTS: u32 = 16;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XsError {
    /// No such node.
    NotFound,
    /// The transaction met another's writes.
    Again,
    /// Not ours to read or write.
    Denied,
    /// A quota of the daemon is used up.
    Quota,
    /// The daemon refused for another reason of its own.
    Refused,
    /// The reply made no sense.
    Malformed,
    /// The request is longer than the protocol allows.
    TooLong,
    /// The daemon has not replied for thirty seconds.
    NoReply,
    /// The daemon broke the protocol: there is no xenstore any more.
    LinkDown,
}

impl fmt::Display for XsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XsError::NotFound => "no such node",
            XsError::Again => "transaction conflict",
            XsError::Denied => "permission denied",
            XsError::Quota => "quota exceeded",
            XsError::Refused => "refused by the daemon",
            XsError::Malformed => "malformed reply",
            XsError::TooLong => "request too long",
            XsError::NoReply => "no reply from the daemon for 30 s",
            XsError::LinkDown => "the xenstore link is down",
        })
    }
}

impl core::error::Error for XsError {}

/// The client; clones share one link.
#[derive(Clone, Debug)]
pub struct Xenstore {
    client: Rc<RefCell<Client>>,
    timers: Timers,
}

#[derive(Debug)]
struct Client {
    link: Link,
    /// Which connection it is.
    life: u32,
    next_id: u32,
    /// Requests sent.
    waiting: BTreeMap<u32, Request>,
    /// Watches by token.
    watches: BTreeMap<u32, Watched>,
    next_token: u32,
}

/// A request that was sent.
#[derive(Debug)]
struct Request {
    kind: u32,
    transaction: Transaction,
    payload: Vec<u8>,
    /// Once it is there.
    reply: Option<Message>,
}

impl Request {
    fn header(&self, id: u32) -> XsdSockmsg {
        XsdSockmsg {
            kind: self.kind,
            req_id: id,
            tx_id: self.transaction.number,
            len: self.payload.len() as u32,
        }
    }
}

/// A watch that is registered, or about to be.
#[derive(Debug)]
struct Watched {
    path: String,
    /// Whether it fired since last asked.
    fired: bool,
}

/// A transaction; reads and writes through it are seen together or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    number: u32,
    /// Of the connection that knows it.
    life: u32,
}

/// No transaction.
const OUTSIDE: Transaction = Transaction { number: 0, life: 0 };

impl Xenstore {
    pub(crate) fn new(page: SharedPage, port: Port, events: Events, timers: Timers) -> Self {
        events.unmask(port);
        let client = Rc::new(RefCell::new(Client {
            link: Link::new(page, port, events),
            life: 1,
            next_id: 1,
            waiting: BTreeMap::new(),
            watches: BTreeMap::new(),
            next_token: 1,
        }));
        Xenstore { client, timers }
    }

    /// Its event channel.
    pub fn port(&self) -> Port {
        self.client.borrow().link.port()
    }

    /// Moves what can be moved between the rings and the waiting requests.
    pub fn step(&self) {
        let client = &mut *self.client.borrow_mut();
        client.link.step();
        while let Some(message) = client.link.take() {
            client.dispatch(message);
        }
    }

    /// Requests sent or replies not yet taken.
    pub fn waiting(&self) -> usize {
        self.client.borrow().waiting.len()
    }

    /// Watches registered.
    pub fn watches(&self) -> usize {
        self.client.borrow().watches.len()
    }

    /// Reads a node.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, XsError> {
        self.request(XS_READ, OUTSIDE, &[path.as_bytes(), b"\0"])
            .await
    }

    /// Reads a node as text; what is not UTF-8 is malformed.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn read_text(&self, path: &str) -> Result<String, XsError> {
        String::from_utf8(self.read(path).await?).map_err(|_| XsError::Malformed)
    }

    /// The children of a node.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn directory(&self, path: &str) -> Result<Vec<String>, XsError> {
        let reply = self
            .request(XS_DIRECTORY, OUTSIDE, &[path.as_bytes(), b"\0"])
            .await?;
        let names = reply
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty());
        names
            .map(|name| String::from_utf8(name.into()).map_err(|_| XsError::Malformed))
            .collect()
    }

    /// Writes a node, making it and its parents.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn write(&self, path: &str, value: &[u8]) -> Result<(), XsError> {
        self.write_in(OUTSIDE, path, value).await
    }

    /// Removes a node and all below it.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn remove(&self, path: &str) -> Result<(), XsError> {
        self.request(XS_RM, OUTSIDE, &[path.as_bytes(), b"\0"])
            .await
            .map(drop)
    }

    /// Writes several nodes, all or none, trying again when others interfere.
    ///
    /// # Errors
    /// [`XsError`]; then nothing was written.
    pub async fn write_all(&self, nodes: &[(String, String)]) -> Result<(), XsError> {
        'again: for _ in 0..TRANSACTION_ATTEMPTS {
            let transaction = self.begin().await?;
            for (path, value) in nodes {
                match self.write_in(transaction, path, value.as_bytes()).await {
                    Ok(()) => {}
                    // The daemon that knew it is another one's.
                    Err(XsError::Again) => continue 'again,
                    Err(error) => {
                        let _ = self.end(transaction, false).await;
                        return Err(error);
                    }
                }
            }
            match self.end(transaction, true).await {
                Err(XsError::Again) => {}
                result => return result,
            }
        }
        Err(XsError::Again)
    }

    /// Watches a node and all below it; it fires once at once.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn watch(&self, path: &str) -> Result<Watch, XsError> {
        let token = {
            let mut client = self.client.borrow_mut();
            let token = client.next_token;
            client.next_token += 1;
            let (path, fired) = (path.into(), false);
            client.watches.insert(token, Watched { path, fired });
            token
        };
        let watch = Watch {
            store: self.clone(),
            path: path.into(),
            token,
        };
        let text = format!("{token}");
        self.request(
            XS_WATCH,
            OUTSIDE,
            &[path.as_bytes(), b"\0", text.as_bytes(), b"\0"],
        )
        .await?;
        Ok(watch)
    }

    async fn begin(&self) -> Result<Transaction, XsError> {
        let reply = self
            .request(XS_TRANSACTION_START, OUTSIDE, &[b"\0"])
            .await?;
        let digits = reply.strip_suffix(b"\0").unwrap_or(&reply);
        let number = core::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok());
        let life = self.client.borrow().life;
        let begun = number.map(|number| Transaction { number, life });
        begun.ok_or(XsError::Malformed)
    }

    async fn end(&self, transaction: Transaction, commit: bool) -> Result<(), XsError> {
        let verdict: &[u8] = if commit { b"T\0" } else { b"F\0" };
        self.request(XS_TRANSACTION_END, transaction, &[verdict])
            .await
            .map(drop)
    }

    async fn write_in(
        &self,
        transaction: Transaction,
        path: &str,
        value: &[u8],
    ) -> Result<(), XsError> {
        self.request(XS_WRITE, transaction, &[path.as_bytes(), b"\0", value])
            .await
            .map(drop)
    }

    async fn request(
        &self,
        kind: u32,
        transaction: Transaction,
        payload: &[&[u8]],
    ) -> Result<Vec<u8>, XsError> {
        let id = poll_fn(|_| {
            self.client
                .borrow_mut()
                .try_send(kind, transaction, payload)
        })
        .await?;
        // Given up in between, the request's reply is dropped when it comes.
        let pending = PendingReply { store: self, id };
        let reply = poll_fn(|_| pending.store.client.borrow_mut().try_take(id));
        let reply = self.timers.timeout(REPLY_NS, reply).await;
        let reply = reply.ok_or(XsError::NoReply)??;
        match reply.kind {
            XS_ERROR => Err(named_error(&reply.payload)),
            answered if answered == kind => Ok(reply.payload),
            _ => Err(XsError::Malformed),
        }
    }
}

impl Client {
    fn try_send(
        &mut self,
        kind: u32,
        transaction: Transaction,
        payload: &[&[u8]],
    ) -> Poll<Result<u32, XsError>> {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        if len > XENSTORE_PAYLOAD_MAX {
            return Poll::Ready(Err(XsError::TooLong));
        }
        if self.link.is_down() {
            return Poll::Ready(Err(XsError::LinkDown));
        }
        if transaction != OUTSIDE && transaction.life != self.life {
            return Poll::Ready(Err(XsError::Again));
        }
        if self.waiting.len() >= IN_FLIGHT_MAX {
            return Poll::Pending;
        }
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        let request = Request {
            kind,
            transaction,
            payload: payload.concat(),
            reply: None,
        };
        self.link.send(request.header(id), &[&request.payload]);
        self.waiting.insert(id, request);
        Poll::Ready(Ok(id))
    }

    /// Sends what nobody waits for the reply of.
    fn send_unasked(&mut self, kind: u32, payload: &[&[u8]]) {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        // Id 0 is nobody's: the reply is ignored.
        let header = XsdSockmsg {
            kind,
            req_id: 0,
            tx_id: 0,
            len: len as u32,
        };
        self.link.send(header, payload);
    }

    fn try_take(&mut self, id: u32) -> Poll<Result<Message, XsError>> {
        match self.waiting.get(&id) {
            Some(Request { reply: Some(_), .. }) => {
                let reply = self.waiting.remove(&id).and_then(|request| request.reply);
                Poll::Ready(reply.ok_or(XsError::Malformed))
            }
            _ if self.link.is_down() => Poll::Ready(Err(XsError::LinkDown)),
            _ => Poll::Pending,
        }
    }

    fn dispatch(&mut self, message: Message) {
        if message.kind == XS_WATCH_EVENT {
            let mut parts = message.payload.split(|byte| *byte == 0);
            let token = parts
                .nth(1)
                .and_then(|token| core::str::from_utf8(token).ok());
            let token = token.and_then(|token| token.parse::<u32>().ok());
            if let Some(watched) = token.and_then(|token| self.watches.get_mut(&token)) {
                watched.fired = true;
            }
        } else if let Some(request) = self.waiting.get_mut(&message.id) {
            request.reply = Some(message);
        }
    }
}

/// Forgets a request whose future was dropped.
struct PendingReply<'a> {
    store: &'a Xenstore,
    id: u32,
}

impl Drop for PendingReply<'_> {
    fn drop(&mut self) {
        self.store.client.borrow_mut().waiting.remove(&self.id);
    }
}

/// A registered watch; dropped, it is removed.
#[derive(Debug)]
pub struct Watch {
    store: Xenstore,
    path: String,
    token: u32,
}

impl Watch {
    /// Waits until it fired since last asked.
    pub async fn fired(&self) {
        poll_fn(|_| {
            if self.take_fired() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Whether it fired since last asked. A dead link never fires.
    pub fn take_fired(&self) -> bool {
        let mut client = self.store.client.borrow_mut();
        let watched = client.watches.get_mut(&self.token);
        watched.is_some_and(|watched| core::mem::take(&mut watched.fired))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let client = &mut *self.store.client.borrow_mut();
        client.watches.remove(&self.token);
        if client.link.is_down() {
            return;
        }
        let token = format!("{}", self.token);
        let payload = [self.path.as_bytes(), b"\0", token.as_bytes(), b"\0"];
        client.send_unasked(XS_UNWATCH, &payload);
    }
}

fn named_error(payload: &[u8]) -> XsError {
    match payload.strip_suffix(b"\0").unwrap_or(payload) {
        b"ENOENT" => XsError::NotFound,
        b"EAGAIN" => XsError::Again,
        b"EACCES" | b"EPERM" | b"EROFS" => XsError::Denied,
        b"ENOSPC" | b"E2BIG" | b"ENOMEM" | b"EQUOTA" => XsError::Quota,
        _ => XsError::Refused,
    }
}
