//! From a SYN to a connection: SYN, SYN|ACK, ACK.
//!
//! At the SYN a rehearsal socket, always the same one, shows what smoltcp
//! answers; only the SYN's particulars and the generator's seed are kept. At
//! the ACK a real socket is made and led through the same exchange with the
//! same seed, so it stands where the peer believes it stands; then it is given
//! the ACK. So nothing unconfirmed ever has buffers.
//!
//! Source: RFC 9293 section 3.10.7, RFC 4987.

use super::connection::{self, Connection, Owner, before};
use super::half_open::HalfOpen;
use super::pipe::{HEADER_BYTES, Pipe};
use super::time_wait::Verdict;
use super::{SmolStack, budget, clock, control, craft};
use crate::address::Ipv4Cidr;
use crate::demux::Segment;
use crate::stack::FEW_CONNECTIONS;
use alloc::vec::Vec;
use core::net::SocketAddrV4;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{HardwareAddress, IpAddress, Ipv4Packet, TcpPacket, TcpRepr};

/// What came of leading a socket through a SYN.
struct Answer {
    isn: u32,
    packet_bytes: usize,
}

/// Leads the listening socket in `set` through `entry`'s SYN; the SYN|ACK is left in `frame`.
fn lead(
    set: &mut SocketSet<'static>,
    entry: &HalfOpen,
    local: Ipv4Cidr,
    frame: &mut [u8],
) -> Option<Answer> {
    let at = clock::instant(entry.answered_at);
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = entry.seed;
    let mut interface = Interface::new(config, &mut Pipe::ip(None, frame), at);
    interface.update_ip_addrs(|addresses| {
        addresses
            .push(control::ip_cidr(local))
            .expect("there is room for one address");
    });
    let mut syn = [0; craft::SEGMENT_BYTES_MAX];
    let syn_bytes = craft::syn(&mut syn, local.address, entry);
    let mut pipe = Pipe::ip(Some(&syn[..syn_bytes]), frame);
    interface.poll_ingress_single(at, &mut pipe, set);
    if pipe.output_bytes() == 0 {
        interface.poll_egress(at, &mut pipe, set);
    }
    let packet_bytes = pipe.output_bytes();
    let packet = Ipv4Packet::new_checked(&frame[HEADER_BYTES..][..packet_bytes]).ok()?;
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    let isn = segment.seq_number().0.cast_unsigned();
    (segment.syn() && segment.ack()).then_some(Answer { isn, packet_bytes })
}

impl SmolStack {
    /// Hands a segment to whom it belongs.
    pub(super) fn take_tcp(&mut self, segment: &Segment<'_>) {
        let now = self.clock.connections();
        if let Some(index) = self.table.find(segment.tuple) {
            return self.feed(index, segment);
        }
        if let Some(index) = self.half_open.find(segment.tuple) {
            return self.confirm(index, segment);
        }
        match self.time_wait.judge(segment, now) {
            Verdict::Silence => {}
            Verdict::Acknowledge(seq, ack) => self.reply_ack(segment, seq, ack),
            Verdict::Unknown | Verdict::Reborn => {
                if segment.syn && segment.ack.is_none() && !segment.rst && !segment.fin {
                    self.open(segment);
                } else {
                    self.reply_unowned(segment.packet, segment.mac);
                }
            }
        }
    }

    pub(super) fn reply_ack(&mut self, segment: &Segment<'_>, seq: u32, ack: u32) {
        let Some(lease) = self.control.lease() else {
            return;
        };
        let from = SocketAddrV4::new(lease.address.address, segment.port);
        let route = craft::Route {
            from,
            to: segment.peer,
        };
        let bytes = craft::ack(&mut self.frame[HEADER_BYTES..], route, seq, ack);
        self.reply(segment.mac, bytes);
    }

    /// A new SYN.
    fn open(&mut self, segment: &Segment<'_>) {
        let Some(listener) = self.listeners.get(&segment.port) else {
            return self.reply_unowned(segment.packet, segment.mac);
        };
        let is_full = listener.waiting >= listener.backlog;
        if is_full || !self.has_place(segment) {
            return self.refuse(is_full);
        }
        let now = self.clock.connections();
        let seed = self.seeds.draw(segment.tuple.0, self.clock.world());
        let mut entry = HalfOpen::new(segment, seed, now);
        if read_options(segment, &mut entry).is_none() {
            self.counts.frames_dropped += 1;
            return;
        }
        let Some(answer) = self.rehearse(&entry) else {
            self.counts.frames_dropped += 1;
            return;
        };
        entry.isn = answer.isn;
        if self.half_open.insert(entry) {
            self.counts.refused.half_open += 1;
        }
        self.reply(segment.mac, answer.packet_bytes);
    }

    /// Whether there is a place for its sender; the last ones are for those who have few.
    fn has_place(&self, segment: &Segment<'_>) -> bool {
        let has_many = || {
            self.table
                .has_more_than(FEW_CONNECTIONS as usize, *segment.peer.ip())
        };
        self.budget.has_room() && !(self.budget.is_in_reserve() && has_many())
    }

    /// There is no place, be it in the backlog or at all.
    fn refuse(&mut self, is_backlog_full: bool) {
        let refused = &mut self.counts.refused;
        match is_backlog_full {
            true => refused.backlog += 1,
            false => refused.places += 1,
        }
    }

    fn rehearse(&mut self, entry: &HalfOpen) -> Option<Answer> {
        let local = self.control.lease()?.address;
        let (set, handle) = &mut self.rehearsal;
        let socket = set.get_mut::<smoltcp::socket::tcp::Socket<'_>>(*handle);
        socket.abort();
        socket.listen((local.address, entry.port)).ok()?;
        lead(set, entry, local, &mut self.frame)
    }

    /// Leaves the SYN|ACK for `entry` in the frame buffer; returns the frame's length.
    pub(super) fn answer_again(&mut self, entry: &HalfOpen) -> usize {
        let Some(answer) = self.rehearse(entry) else {
            return 0;
        };
        debug_assert_eq!(answer.isn, entry.isn, "the same seed gives the same number");
        self.reply(entry.mac, answer.packet_bytes);
        core::mem::take(&mut self.reply_bytes)
    }

    /// A segment for a half-open connection.
    fn confirm(&mut self, index: u32, segment: &Segment<'_>) {
        let Some(&mut entry) = self.half_open.at(index) else {
            return;
        };
        let next = entry.peer_isn.wrapping_add(1);
        if segment.rst {
            if segment.seq == next {
                self.half_open.remove(index);
            }
            return;
        }
        if segment.syn {
            if segment.ack.is_none() && segment.seq == entry.peer_isn {
                self.reply_bytes = self.answer_again(&entry);
            } else if segment.ack.is_none() {
                self.half_open.remove(index);
                self.open(segment);
            }
            return;
        }
        let end = next.wrapping_add(budget::RECEIVE_BYTES_MIN as u32);
        match segment.ack {
            Some(ack) if ack == entry.isn.wrapping_add(1) => {}
            Some(_) => return self.reply_unowned(segment.packet, segment.mac),
            None => return,
        }
        if before(segment.seq, next) || !before(segment.seq, end) {
            return;
        }
        self.establish(index, &entry, segment);
    }

    fn establish(&mut self, index: u32, entry: &HalfOpen, segment: &Segment<'_>) {
        let (Some(lease), Some(listener)) =
            (self.control.lease(), self.listeners.get(&segment.port))
        else {
            return;
        };
        let full = listener.waiting >= listener.backlog;
        let has_place = !full && self.has_place(segment);
        let Some(share) = has_place.then(|| self.budget.take()).flatten() else {
            // It stays half open: what the peer sends again may find room.
            if !entry.refused
                && let Some(entry) = self.half_open.at(index)
            {
                entry.refused = true;
                self.refuse(full);
            }
            return;
        };
        let local = SocketAddrV4::new(lease.address.address, segment.port);
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = set.add(connection::listening(share, local));
        let answer = lead(&mut set, entry, lease.address, &mut self.frame);
        if answer.is_none_or(|answer| answer.isn != entry.isn) {
            debug_assert!(false, "the same seed gives the same answer");
            self.budget.put(share);
            return;
        }
        let now = self.clock.connections();
        let mut connection = Connection::new((set, handle), share, segment, now);
        connection.receive_next = entry.peer_isn.wrapping_add(1);
        connection.note_sent(&self.frame);
        let index_new = self.table.insert(connection);
        self.feed(index_new, segment);
        let state = self
            .table
            .at(index_new)
            .map(|connection| connection.snapshot().state);
        if matches!(
            state,
            Some(State::SynReceived | State::Closed | State::Listen) | None
        ) {
            if let Some(connection) = self.table.at(index_new) {
                connection.owner = Owner::Nobody;
            }
            self.release(index_new);
            return;
        }
        self.half_open.remove(index);
        if let Some(listener) = self.listeners.get_mut(&segment.port) {
            listener.waiting += 1;
        }
        self.accepts.push_back(self.table.id(index_new));
    }
}

/// Keeps what matters of a SYN; `None` if its options are no good.
fn read_options(segment: &Segment<'_>, entry: &mut HalfOpen) -> Option<()> {
    let packet = Ipv4Packet::new_checked(segment.packet).ok()?;
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let tcp = TcpPacket::new_checked(packet.payload()).ok()?;
    let (from, to) = (IpAddress::Ipv4(from), IpAddress::Ipv4(to));
    let syn = TcpRepr::parse(&tcp, &from, &to, &ChecksumCapabilities::ignored()).ok()?;
    entry.window = syn.window_len;
    entry.segment_bytes_max = syn.max_seg_size;
    entry.window_scale = syn.window_scale;
    entry.selective_ack = syn.sack_permitted;
    Some(())
}
