//! The echo requests of a peer, and which were answered.

use super::icmp::Echo;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Enough to cross an alignment, too little to cost anything.
const DATA_BYTES: usize = 33;
/// How long a request waits for a hardware address.
const GIVE_UP_NS: u64 = 60_000_000_000;

#[derive(Debug)]
struct Waiting {
    to: Ipv4Addr,
    sequence: u16,
    give_up_ns: u64,
}

/// Requests that wait for a hardware address, and requests that are out.
#[derive(Debug)]
pub(super) struct Pings {
    identifier: u16,
    next: u16,
    waiting: Vec<Waiting>,
    out: BTreeMap<u16, Ipv4Addr>,
    answered: u64,
}

impl Pings {
    pub(super) fn new(identifier: u16) -> Pings {
        Pings {
            identifier,
            next: 0,
            waiting: Vec::new(),
            out: BTreeMap::new(),
            answered: 0,
        }
    }

    pub(super) fn queue(&mut self, now_ns: u64, to: Ipv4Addr) {
        self.waiting.push(Waiting {
            to,
            sequence: self.next,
            give_up_ns: now_ns + GIVE_UP_NS,
        });
        self.next = self.next.wrapping_add(1);
    }

    /// The hosts whose hardware addresses are waited for.
    pub(super) fn hosts(&mut self, now_ns: u64) -> BTreeSet<Ipv4Addr> {
        self.waiting.retain(|ping| now_ns < ping.give_up_ns);
        self.waiting.iter().map(|ping| ping.to).collect()
    }

    /// Whether a request can go out, given the hosts that can be reached.
    pub(super) fn is_due(&self, reachable: impl Fn(Ipv4Addr) -> bool) -> bool {
        self.waiting.iter().any(|ping| reachable(ping.to))
    }

    /// The next request to a host that can be reached.
    pub(super) fn request(
        &mut self,
        reachable: impl Fn(Ipv4Addr) -> bool,
    ) -> Option<(Ipv4Addr, Echo)> {
        let at = self.waiting.iter().position(|ping| reachable(ping.to))?;
        let ping = self.waiting.remove(at);
        self.out.insert(ping.sequence, ping.to);
        Some((ping.to, self.echo(ping.sequence)))
    }

    /// Counts a reply; `Err` is what was expected instead of it.
    ///
    /// The network may double a reply, so one that nobody waits for is no fault.
    pub(super) fn reply(&mut self, from: Ipv4Addr, reply: &Echo) -> Result<(), Echo> {
        if self.out.get(&reply.sequence) != Some(&from) {
            return Ok(());
        }
        let expected = self.echo(reply.sequence);
        if *reply != expected {
            return Err(expected);
        }
        self.out.remove(&reply.sequence);
        self.answered += 1;
        Ok(())
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    fn echo(&self, sequence: u16) -> Echo {
        Echo {
            identifier: self.identifier,
            sequence,
            data: (0..DATA_BYTES)
                .map(|at| (at as u8).wrapping_mul(7).wrapping_add(sequence as u8))
                .collect(),
        }
    }
}
