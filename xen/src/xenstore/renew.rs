//! The same client with another daemon's connection: after a resume.
//!
//! Nothing of the old connection is known there. Requests are asked again, watches are registered
//! again and have fired, so that whoever waits looks anew; what belongs to a transaction has met
//! others' writes.

use super::{Client, OUTSIDE, Xenstore};
use crate::event::{Events, Port};
use crate::page::SharedPage;
use crate::xenstore::link::{Link, Message};
use alloc::format;
use alloc::vec::Vec;
use xen_sys::io::xs_wire::{XS_ERROR, XS_TRANSACTION_START, XS_WATCH};

impl Xenstore {
    /// Goes on over another ring.
    pub(crate) fn renew(&self, page: SharedPage, port: Port, events: Events) {
        events.unmask(port);
        let client = &mut *self.client.borrow_mut();
        client.link = Link::new(page, port, events);
        client.life += 1;
        client.ask_again();
        client.watch_again();
    }
}

impl Client {
    fn ask_again(&mut self) {
        for (id, request) in &mut self.waiting {
            // A transaction that was begun and nobody knows of yet is begun again.
            if request.reply.is_some() && request.kind != XS_TRANSACTION_START {
                continue;
            }
            request.reply = None;
            if request.transaction == OUTSIDE {
                self.link.send(request.header(*id), &[&request.payload]);
                continue;
            }
            request.reply = Some(Message {
                kind: XS_ERROR,
                id: *id,
                payload: b"EAGAIN\0".to_vec(),
            });
        }
    }

    fn watch_again(&mut self) {
        let payload = |path: &str, token: u32| format!("{path}\0{token}\0").into_bytes();
        // Those about to be registered have just been asked for again.
        let asked = self
            .waiting
            .values()
            .filter(|request| request.kind == XS_WATCH);
        let asked: Vec<Vec<u8>> = asked.map(|request| request.payload.clone()).collect();
        let mut again = Vec::new();
        for (token, watched) in &mut self.watches {
            watched.fired = true;
            let payload = payload(&watched.path, *token);
            if !asked.contains(&payload) {
                again.push(payload);
            }
        }
        for payload in again {
            self.send_unasked(XS_WATCH, &[&payload]);
        }
    }
}
