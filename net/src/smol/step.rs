//! One step: frames in, timers, frames out, each within bounds.
//!
//! # Invariants
//!
//! - Only connections that are dirty are polled: a frame came, the user did
//!   something, or their deadline passed.
//! - At most [`FRAMES_IN`] frames are taken and about [`FRAMES_OUT`] sent in one step.

use super::connection::{LINGER_NS, Owner};
use super::pipe::Pipe;
use super::{SmolStack, clock, control, craft};
use crate::demux::{self, Class, Identity, Segment};
use crate::stack::Frames;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{ArpPacket, ArpRepr, EthernetFrame};

/// Frames taken in one step.
const FRAMES_IN: usize = 64;
/// Frames sent in one step, besides at most one answer for each frame taken.
const FRAMES_OUT: usize = 256;
/// Control frames sent in one step.
const CONTROL_OUT: usize = 64;
/// When to look again whether there is room to send.
const ROOM_NS: u64 = 1_000_000;
/// A connection in TIME-WAIT with nothing due sooner has sent its last acknowledgement.
const QUIET_NS: u64 = 1_000_000_000;

impl SmolStack {
    pub(super) fn advance(&mut self, now_ns: u64, frames: &mut dyn Frames) -> Option<u64> {
        self.clock.advance(now_ns, self.link.is_some());
        self.link.as_ref()?;
        self.settle_address();
        let more = self.take_frames(frames);
        self.run_control(frames);
        self.settle_address();
        let mut room = FRAMES_OUT;
        self.run_half_open(frames, &mut room);
        self.table.wake_due(self.clock.connections());
        self.poll_dirty(frames, &mut room);
        if more || (room == 0 && self.table.has_dirty()) {
            return Some(self.clock.world());
        }
        let stuck = self.table.has_dirty().then(|| self.clock.world() + ROOM_NS);
        let connections = [self.table.next_due(), self.half_open.next_due()];
        let connections = connections.into_iter().flatten().min();
        let connections = connections.map(|at| self.clock.to_world(at));
        let control = self.control.next_due();
        let control = match frames.transmit_room() {
            0 => control.map(|at| at.max(self.clock.world() + ROOM_NS)),
            _ => control,
        };
        [stuck, connections, control].into_iter().flatten().min()
    }

    /// Sends the frame in the buffer.
    fn ship(&mut self, bytes: usize, frames: &mut dyn Frames) {
        if frames.transmit(&[&self.frame[..bytes]]) {
            self.counts.frames_sent += 1;
        }
    }

    /// Takes frames; `true` if there may be more.
    fn take_frames(&mut self, frames: &mut dyn Frames) -> bool {
        for _ in 0..FRAMES_IN {
            if !frames.receive(&mut |frame| self.take(frame)) {
                return false;
            }
            let bytes = core::mem::take(&mut self.reply_bytes);
            if bytes > 0 {
                self.ship(bytes, frames);
            }
        }
        true
    }

    fn take(&mut self, frame: &[u8]) {
        self.counts.frames_received += 1;
        let Some(link) = &self.link else {
            return;
        };
        let us = Identity {
            mac: link.mac,
            address: self.control.lease().map(|lease| lease.address),
            dhcp: self.control.uses_dhcp(),
        };
        match demux::classify(frame, &us) {
            Class::Tcp(segment) => self.take_tcp(&segment),
            Class::Icmp(packet, mac) => self.reply_unowned(packet, mac),
            Class::Arp => {
                self.learn(frame);
                self.reply_bytes = self
                    .control
                    .feed(frame, &mut self.frame, self.clock.world());
            }
            Class::Dhcp => {
                self.reply_bytes = self
                    .control
                    .feed(frame, &mut self.frame, self.clock.world());
            }
            Class::Foreign => {}
            Class::Bad => self.counts.frames_dropped += 1,
        }
    }

    /// Prepares the IP packet in the frame buffer to be sent to `mac`.
    pub(super) fn reply(&mut self, mac: [u8; 6], packet_bytes: usize) {
        if let Some(link) = &self.link {
            self.reply_bytes = craft::header(&mut self.frame, link.mac, mac, packet_bytes);
        }
    }

    /// Answers what belongs to no connection: an echo request, or a segment that gets RST.
    pub(super) fn reply_unowned(&mut self, packet: &[u8], mac: [u8; 6]) {
        let Some(link) = self.link.as_mut() else {
            return;
        };
        let now = clock::instant(self.clock.connections());
        let mut pipe = Pipe::ip(Some(packet), &mut self.frame);
        link.tcp
            .poll_ingress_single(now, &mut pipe, &mut self.nobody);
        let bytes = pipe.output_bytes();
        if bytes > 0 {
            self.reply(mac, bytes);
        }
    }

    /// A neighbour that tells its MAC address: connections that go through it follow.
    fn learn(&mut self, frame: &[u8]) {
        let Some(lease) = self.control.lease() else {
            return;
        };
        let Ok(ethernet) = EthernetFrame::new_checked(frame) else {
            return;
        };
        let Ok(Ok(arp)) =
            ArpPacket::new_checked(ethernet.payload()).map(|arp| ArpRepr::parse(&arp))
        else {
            return;
        };
        let ArpRepr::EthernetIpv4 {
            source_hardware_addr,
            source_protocol_addr,
            ..
        } = arp
        else {
            return;
        };
        if !source_hardware_addr.is_unicast() || !lease.address.contains(source_protocol_addr) {
            return;
        }
        for (_, connection) in self.table.iter_mut() {
            let on_link = lease.address.contains(*connection.peer.ip());
            let hop = if on_link {
                Some(*connection.peer.ip())
            } else {
                lease.gateway
            };
            if hop == Some(source_protocol_addr) {
                connection.mac = source_hardware_addr.0;
            }
        }
    }

    /// Hands `segment` to the connection it belongs to.
    pub(super) fn feed(&mut self, index: u32, segment: &Segment<'_>) {
        let (Some(link), Some(connection)) = (self.link.as_mut(), self.table.at(index)) else {
            return;
        };
        let now = self.clock.connections();
        if segment.rst && segment.seq != connection.receive_next {
            if let Some((seq, ack)) = connection.question_reset(now) {
                self.reply_ack(segment, seq, ack);
            }
            return;
        }
        let before = connection.snapshot();
        let mut pipe = Pipe::ip(Some(segment.packet), &mut self.frame);
        link.tcp
            .poll_ingress_single(clock::instant(now), &mut pipe, &mut connection.set);
        let bytes = pipe.output_bytes();
        self.polls += 1;
        if bytes > 0 {
            connection.note_sent(&self.frame);
            self.reply_bytes = craft::header(&mut self.frame, link.mac, segment.mac, bytes);
        }
        if connection.moved(before, now) {
            // Only a segment that was acceptable moves anything: its way is a good way back.
            connection.mac = segment.mac;
            self.tell(index);
        }
        self.table.mark_dirty(index);
    }

    /// The user should look at this connection.
    fn tell(&mut self, index: u32) {
        let Some(connection) = self.table.at(index) else {
            return;
        };
        if connection.owner == Owner::User && !connection.told {
            connection.told = true;
            self.news.push_back(self.table.id(index));
        }
    }

    /// The address changed: connections from the old one cannot go on.
    fn settle_address(&mut self) {
        if !self.control.take_change() {
            return;
        }
        let lease = self.control.lease();
        if let Some(link) = self.link.as_mut() {
            link.tcp.update_ip_addrs(|addresses| {
                addresses.clear();
                if let Some(lease) = lease {
                    let address = control::ip_cidr(lease.address);
                    addresses
                        .push(address)
                        .expect("there is room for one address");
                }
            });
        }
        self.half_open.clear();
        self.time_wait.clear();
        let indices: alloc::vec::Vec<u32> = self.table.iter_mut().map(|entry| entry.0).collect();
        indices
            .into_iter()
            .for_each(|index| self.table.mark_dirty(index));
    }

    fn run_control(&mut self, frames: &mut dyn Frames) {
        for _ in 0..CONTROL_OUT {
            let Some(link) = self.link.as_ref() else {
                return;
            };
            if frames.transmit_room() == 0 {
                return;
            }
            let bytes = self
                .control
                .step(link.mac, &mut self.frame, self.clock.world());
            if bytes == 0 {
                return;
            }
            self.ship(bytes, frames);
        }
    }

    /// Sends SYN|ACKs again.
    fn run_half_open(&mut self, frames: &mut dyn Frames, room: &mut usize) {
        let now = self.clock.connections();
        while *room > 0 && frames.transmit_room() > 0 {
            let Some(entry) = self.half_open.next_resend(now) else {
                return;
            };
            let bytes = self.answer_again(&entry);
            if bytes > 0 {
                self.ship(bytes, frames);
                *room -= 1;
            }
        }
    }

    /// Polls what is dirty, one frame of each in turn, until all are quiet or the room is used up.
    fn poll_dirty(&mut self, frames: &mut dyn Frames, room: &mut usize) {
        let now = self.clock.connections();
        while *room > 0 && frames.transmit_room() > 0 {
            let Some(index) = self.table.next_dirty() else {
                return;
            };
            let (Some(link), Some(connection)) = (self.link.as_mut(), self.table.at(index)) else {
                return;
            };
            self.polls += 1;
            connection.choose_timeout();
            let at = clock::instant(now);
            let mut pipe = Pipe::ip(None, &mut self.frame);
            link.tcp.poll_egress(at, &mut pipe, &mut connection.set);
            let bytes = pipe.output_bytes();
            let due = link
                .tcp
                .poll_at(at, &connection.set)
                .map(clock::nanoseconds);
            if bytes > 0 {
                connection.note_sent(&self.frame);
                debug_assert_eq!(
                    connection.sent.map(|sent| sent.1),
                    Some(connection.receive_next),
                    "we know what smoltcp expects"
                );
                let bytes = craft::header(&mut self.frame, link.mac, connection.mac, bytes);
                self.ship(bytes, frames);
                *room -= 1;
            }
            if bytes > 0 && due.is_some_and(|due| due <= now) {
                self.table.mark_dirty(index);
            } else {
                self.conclude(index, due);
            }
        }
    }

    /// After a poll: is it over, and if not, when is it due?
    fn conclude(&mut self, index: u32, due: Option<u64>) {
        let now = self.clock.connections();
        let Some(connection) = self.table.at(index) else {
            return;
        };
        let unread = connection.complete
            && connection.owner == Owner::User
            && connection.snapshot().received > 0;
        if connection.is_over() && !unread {
            return self.release(index);
        }
        let state = connection.snapshot().state;
        let quiet = due.is_none_or(|due| due >= now + QUIET_NS);
        if state == State::TimeWait && quiet && connection.snapshot().received == 0 {
            if let Some((seq, ack)) = connection.sent {
                self.time_wait.insert(connection.tuple, seq, ack, now);
            }
            return self.release(index);
        }
        let mut due = due.map(|due| due.max(now + ROOM_NS));
        if connection.finished {
            let end = connection.moved_at + LINGER_NS;
            if end <= now {
                connection.complete = false;
                if connection.is_over() {
                    return self.release(index);
                }
                connection.socket_mut().abort();
                return self.table.mark_dirty(index);
            }
            due = Some(due.map_or(end, |due| due.min(end)));
        }
        self.table.schedule(index, due);
    }

    /// Forgets a connection and frees its buffers; its user learns from the stale id.
    pub(super) fn release(&mut self, index: u32) {
        let id = self.table.id(index);
        let Some(connection) = self.table.remove(index) else {
            return;
        };
        self.budget.put(connection.share);
        match connection.owner {
            Owner::User if !connection.told => self.news.push_back(id),
            Owner::Backlog => {
                self.accepts.retain(|waiting| *waiting != id);
                if let Some(listener) = self.listeners.get_mut(&connection.port) {
                    listener.waiting = listener.waiting.saturating_sub(1);
                }
            }
            Owner::User | Owner::Nobody => {}
        }
    }
}
