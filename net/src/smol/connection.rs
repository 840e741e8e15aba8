//! One connection: a smoltcp socket in a set of its own, and what we know of it.
//!
//! smoltcp decides; this file watches what it decided, by looking at the queues
//! and the state before and after, and at the segments that went out.

use super::budget::Share;
use super::pipe::HEADER_BYTES;
use crate::demux::{Segment, Tuple};
use crate::stack::{Endpoint, Received, Status};
use alloc::vec;
use core::net::SocketAddrV4;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Duration;
use smoltcp::wire::{Ipv4Packet, TcpPacket};

/// An idle peer is asked this often whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// An idle peer that stays silent for three such questions is gone.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3 * 75 + 15);
/// A peer that owes us an acknowledgement and is silent this long is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(120);
/// A finished connection on which nothing moves is given up after this.
pub(crate) const LINGER_NS: u64 = 60_000_000_000;

/// Who knows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody yet: it waits to be accepted.
    Backlog,
    /// Somebody holds its id.
    User,
    /// Nobody any more: it was aborted.
    Nobody,
}

/// What to compare before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) received: usize,
    pub(crate) unsent: usize,
    pub(crate) state: State,
}

impl Snapshot {
    /// Whether the peer's FIN was taken.
    fn has_fin(&self) -> bool {
        let states = [
            State::CloseWait,
            State::LastAck,
            State::Closing,
            State::TimeWait,
        ];
        states.contains(&self.state)
    }
}

/// One connection.
pub(crate) struct Connection {
    pub(crate) set: SocketSet<'static>,
    handle: SocketHandle,
    pub(crate) share: Share,
    pub(crate) tuple: Tuple,
    pub(crate) peer: SocketAddrV4,
    pub(crate) port: u16,
    /// Where its frames go.
    pub(crate) mac: [u8; 6],
    pub(crate) owner: Owner,
    pub(crate) finished: bool,
    /// In the queue of those to be polled.
    pub(crate) dirty: bool,
    /// In the queue of those with news.
    pub(crate) told: bool,
    pub(crate) due: Option<u64>,
    /// When data, an acknowledgement or a state change last came in; data no more once finished.
    pub(crate) moved_at: u64,
    /// The peer had finished and had all of ours when it ended: what is unread is whole.
    pub(crate) complete: bool,
    /// The next byte expected from the peer, exactly.
    pub(crate) receive_next: u32,
    /// Until when no reset is questioned.
    pub(crate) question_at: u64,
    /// What we would send next, and the last acknowledgement we sent.
    pub(crate) sent: Option<(u32, u32)>,
}

/// A socket that waits for its SYN.
pub(crate) fn listening(share: Share, local: SocketAddrV4) -> Socket<'static> {
    let buffer = |bytes: u32| SocketBuffer::new(vec![0; bytes as usize]);
    let mut socket = Socket::new(buffer(share.receive), buffer(share.send));
    socket.set_nagle_enabled(false);
    socket.set_congestion_control(CongestionControl::None);
    socket.set_keep_alive(Some(KEEP_ALIVE));
    socket.set_timeout(Some(IDLE_TIMEOUT));
    socket
        .listen((*local.ip(), local.port()))
        .expect("a new socket can listen on a port but 0");
    socket
}

impl Connection {
    /// Of a socket that has seen its SYN and answered it, alone in `set`.
    pub(crate) fn new(
        (set, handle): (SocketSet<'static>, SocketHandle),
        share: Share,
        segment: &Segment<'_>,
        now: u64,
    ) -> Connection {
        Connection {
            set,
            handle,
            share,
            tuple: segment.tuple,
            peer: segment.peer,
            port: segment.port,
            mac: segment.mac,
            owner: Owner::Backlog,
            finished: false,
            dirty: false,
            told: false,
            due: None,
            moved_at: now,
            complete: false,
            receive_next: segment.seq,
            question_at: 0,
            sent: None,
        }
    }

    pub(crate) fn socket(&self) -> &Socket<'static> {
        self.set.get(self.handle)
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.set.get_mut(self.handle)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let socket = self.socket();
        Snapshot {
            received: socket.recv_queue(),
            unsent: socket.send_queue(),
            state: socket.state(),
        }
    }

    /// The other end.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.peer
    }

    /// After a segment was handed to the socket: what it moved, if anything.
    pub(crate) fn moved(&mut self, before: Snapshot, now: u64) -> bool {
        let after = self.snapshot();
        if after == before {
            return false;
        }
        // Whoever has finished wants nothing more of the peer but that it takes what is left.
        let is_taken = (after.unsent, after.state) != (before.unsent, before.state);
        if is_taken || !self.finished {
            self.moved_at = now;
        }
        self.complete |= before.state == State::LastAck && after.state == State::Closed;
        let bytes = after.received.saturating_sub(before.received);
        let fin = u32::from(after.has_fin() && !before.has_fin());
        let advance = u32::try_from(bytes).unwrap_or(0).wrapping_add(fin);
        self.receive_next = self.receive_next.wrapping_add(advance);
        true
    }

    /// A reset must name exactly the next byte, or it is questioned once a second: what to
    /// acknowledge is returned (RFC 5961 section 3.2; smoltcp takes any reset in the window).
    pub(crate) fn question_reset(&mut self, now: u64) -> Option<(u32, u32)> {
        if now < self.question_at {
            return None;
        }
        self.question_at = now + 1_000_000_000;
        self.sent.map(|(seq, _)| (seq, self.receive_next))
    }

    /// Whether there is something to see for who has just accepted it.
    pub(crate) fn has_news_at_first(&self) -> bool {
        self.socket().can_recv() || self.socket().state() != State::Established
    }

    /// Nothing more can come or go.
    pub(crate) fn is_over(&self) -> bool {
        self.socket().state() == State::Closed && self.socket().remote_endpoint().is_none()
    }

    pub(crate) fn status(&self) -> Status {
        match (self.owner, self.socket().state(), self.finished) {
            (Owner::Nobody, _, _) | (_, State::Closed, _) => Status::Gone,
            (_, _, true) => Status::Closing,
            (_, _, false) => Status::Open,
        }
    }

    /// Offers what was received, in at most two pieces (the buffer is a ring).
    pub(crate) fn receive(&mut self, take: &mut dyn FnMut(&[u8]) -> usize) -> Received {
        let finished = self.finished;
        let socket = self.socket_mut();
        if !socket.can_recv() {
            return match socket.state() {
                State::Closed if finished => Received::Finished,
                State::Closed => Received::Gone,
                _ if socket.may_recv() => Received::Nothing,
                _ => Received::Finished,
            };
        }
        let mut total = 0;
        while socket.can_recv() {
            let offer = socket.recv(|bytes| {
                let taken = take(bytes).min(bytes.len());
                (taken, (taken, bytes.len()))
            });
            let Ok((taken, offered)) = offer else {
                break;
            };
            total += taken;
            if taken < offered {
                break;
            }
        }
        Received::Bytes(total)
    }

    pub(crate) fn send_room(&self) -> usize {
        let socket = self.socket();
        if self.finished || !socket.may_send() {
            return 0;
        }
        socket.send_capacity() - socket.send_queue()
    }

    pub(crate) fn send(&mut self, segments: &[&[u8]]) -> usize {
        if self.finished {
            return 0;
        }
        let socket = self.socket_mut();
        let mut total = 0;
        for segment in segments {
            let queued = socket.send_slice(segment).unwrap_or(0);
            total += queued;
            if queued < segment.len() {
                break;
            }
        }
        total
    }

    /// Lets smoltcp give up sooner while something is unacknowledged.
    pub(crate) fn choose_timeout(&mut self) {
        let timeout = if self.socket().send_queue() > 0 || self.finished {
            USER_TIMEOUT
        } else {
            IDLE_TIMEOUT
        };
        self.socket_mut().set_timeout(Some(timeout));
    }

    /// Learns from a frame that goes out; `frame` is whole, its header not yet written.
    ///
    /// A connection starts without congestion control, its first flight bounded by its send
    /// buffer; at the first segment sent again it is put under Reno (RFC 5681) for good.
    pub(crate) fn note_sent(&mut self, frame: &[u8]) {
        let Ok(packet) = Ipv4Packet::new_checked(&frame[HEADER_BYTES..]) else {
            return;
        };
        let Ok(segment) = TcpPacket::new_checked(packet.payload()) else {
            return;
        };
        let seq = segment.seq_number().0.cast_unsigned();
        let ack = segment.ack_number().0.cast_unsigned();
        let length = u32::try_from(segment.segment_len()).unwrap_or(0);
        let next = seq.wrapping_add(length);
        let Some((highest, _)) = self.sent else {
            self.sent = Some((next, ack));
            return;
        };
        let again = before(seq, highest) && length > u32::from(highest.wrapping_sub(seq) == 1);
        if again && self.socket().congestion_control() == CongestionControl::None {
            self.socket_mut()
                .set_congestion_control(CongestionControl::Reno);
        }
        let highest = if before(highest, next) { next } else { highest };
        self.sent = Some((highest, ack));
    }
}

/// Sequence numbers are on a circle (RFC 9293 section 3.4).
pub(crate) fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}
