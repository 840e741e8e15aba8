//! The log over the network: what the console says, and the access log, to a syslog server.
//!
//! The logger keeps lines (`waiting`), and each step of the loop sends those for which the stack
//! has room, as datagrams. Nothing is waited for, and nothing is sent twice: what was lost on
//! its way is lost, and what found no room here is counted.
//!
//! Source: RFC 5424 (the message), RFC 5426 (one in each datagram of UDP).

mod message;
mod waiting;

pub(crate) use waiting::{keep, lost, sent, start};

use crate::config::Settings;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddrV4;
use net::{DatagramError, Stack};
use store::Now;

/// Sends lines to a server.
pub(crate) struct Syslog {
    to: SocketAddrV4,
    hostname: String,
    datagram: Vec<u8>,
    /// The time of the first step: what was said before it carries none.
    begun_ns: u64,
    /// What kept a line from being sent when it was tried last.
    held_by: Option<DatagramError>,
}

impl Syslog {
    /// Where the settings name a server. What was said before it was known goes there, too.
    pub(crate) fn begin(settings: &Settings, begun_ns: u64) -> Option<Syslog> {
        waiting::decide(settings.syslog.is_some());
        Some(Syslog {
            to: settings.syslog?,
            hostname: settings.hostname.clone(),
            datagram: Vec::new(),
            begun_ns,
            held_by: None,
        })
    }

    /// Sends what there is room for.
    pub(crate) fn step(&mut self, stack: &mut impl Stack, now: Now) {
        let before = self.held_by.take();
        loop {
            self.datagram.clear();
            let found = waiting::oldest(|line| {
                let ns = line.ns.max(self.begun_ns);
                let line = message::Line { ns, ..line };
                message::write(&mut self.datagram, line, &self.hostname, now);
            });
            if !found {
                return;
            }
            self.datagram.truncate(stack.datagram_bytes_max());
            match stack.send_datagram(self.to, &self.datagram) {
                Ok(()) => waiting::remove_oldest(),
                Err(error) => {
                    self.held_by = Some(error);
                    if error == DatagramError::NoRoute && before != self.held_by {
                        self.say_no_route();
                    }
                    return;
                }
            }
        }
    }

    /// Whether lines wait for nothing but another step.
    pub(crate) fn has_more(&self, stack: &impl Stack) -> bool {
        let is_held = match self.held_by {
            None => false,
            Some(DatagramError::Full) => stack.has_datagrams(),
            Some(_) => true,
        };
        !is_held && !waiting::is_empty()
    }

    /// Whether lines wait that will be sent soon.
    pub(crate) fn has_any_soon(&self) -> bool {
        matches!(self.held_by, None | Some(DatagramError::Full)) && !waiting::is_empty()
    }

    fn say_no_route(&self) {
        log::error!(
            "syslog: {} is on another network, and there is no router: lines wait, and those that \
             find no room are lost; add gw=ADDRESS, the router's in our own network",
            self.to.ip()
        );
    }
}
