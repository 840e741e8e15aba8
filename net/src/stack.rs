//! The seam between connections and whatever stack carries them.

use crate::address::{AddressConfig, Lease};
use core::net::{Ipv4Addr, SocketAddrV4};

/// One connection; never reused while anybody can still hold it (index and generation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// Place in the stack's table.
    pub index: u32,
    /// Which life of that place.
    pub generation: u32,
}

/// One end of a connection.
pub type Endpoint = SocketAddrV4;

/// A connection that was set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its name from now on.
    pub id: ConnectionId,
    /// The local port it came to.
    pub port: u16,
    /// Who it is.
    pub peer: Endpoint,
}

/// The interface's link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Our MAC address.
    pub mac: [u8; 6],
    /// Largest IP packet in bytes, without the Ethernet header.
    pub mtu_bytes: u16,
}

/// Ethernet frames, in and out. A frame out is a list of segments, sent in order as one frame.
pub trait Frames {
    /// Hands the next received frame to `take`; `false` when there is none.
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> bool;
    /// How many frames could be sent now.
    fn transmit_room(&self) -> usize;
    /// Sends one frame made of `segments`; `false` when there is no room (nothing is sent then).
    fn transmit(&mut self, segments: &[&[u8]]) -> bool;
}

/// What [`Stack::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// This many bytes were taken.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer has finished sending, and all it sent was taken.
    Finished,
    /// The connection is gone (reset, timed out, aborted).
    Gone,
}

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Both directions open, or only ours.
    Open,
    /// We have finished; data or its acknowledgement is still under way.
    Closing,
    /// Nothing is left of it.
    Gone,
}

/// What is between us and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Bytes of ours that it has not acknowledged.
    pub untaken_bytes: usize,
    /// When it last sent or took anything, by the clock of [`Stack::step`]; once we have
    /// finished, only what it takes counts.
    pub moved_ns: u64,
}

/// So many connections of an address are few: a browser opens six at a time. The last places are
/// for those who have no more.
pub const FEW_CONNECTIONS: u32 = 8;

/// Why a port cannot be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// Already listening there.
    InUse,
    /// Port 0.
    BadPort,
}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramError {
    /// There is no link, or no address yet: later.
    Away,
    /// As many wait as there is room for: later.
    Full,
    /// It is for another network, and there is no router.
    NoRoute,
    /// It is longer than a packet of the link.
    TooLong,
}

/// How often somebody was refused since start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// As many waited to be accepted as may wait.
    pub backlog: u64,
    /// The table or the memory for buffers was full; or nearly, and the peer had many places.
    pub places: u64,
    /// Half-open connections that gave way to newer ones.
    pub half_open: u64,
}

impl Refused {
    /// All of them.
    pub fn total(self) -> u64 {
        self.backlog + self.places + self.half_open
    }
}

/// Counts since start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Connections now, in any state.
    pub connections: u32,
    /// Most there can be.
    pub connections_max: u32,
    /// So many of them are for addresses with [`FEW_CONNECTIONS`].
    pub connections_reserved: u32,
    /// Connections accepted.
    pub accepted: u64,
    /// SYNs and half-open connections that found no place.
    pub refused: Refused,
    /// SYNs answered and not yet confirmed.
    pub half_open: u32,
    /// Most of those there can be; an older one gives way.
    pub half_open_max: u32,
    /// Waiting to be accepted now.
    pub backlog: u32,
    /// Frames received.
    pub frames_received: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Frames that were no good (too short, unknown protocol, bad header).
    pub frames_dropped: u64,
    /// Bytes of socket buffers in use.
    pub buffer_bytes: u64,
    /// The budget for them.
    pub buffer_bytes_max: u64,
}

/// A TCP/IP stack.
pub trait Stack {
    /// Takes frames in, advances timers, sends what is due.
    /// Returns when it must run again (monotonic ns), `None` if only on a new frame or new data.
    fn step(&mut self, now_ns: u64, frames: &mut dyn Frames) -> Option<u64>;
    /// The address in force, if any.
    fn lease(&self) -> Option<Lease>;
    /// Changes how the interface gets its address.
    fn configure(&mut self, config: AddressConfig);
    /// The link came back in a new place: announce ourselves (gratuitous ARP).
    fn announce(&mut self);
    /// Accept connections on `port`, at most `backlog` of them waiting for [`Stack::accept`].
    ///
    /// # Errors
    /// [`ListenError`].
    fn listen(&mut self, port: u16, backlog: u16) -> Result<(), ListenError>;
    /// The next connection that was set up.
    fn accept(&mut self) -> Option<Accepted>;
    /// The next connection with news (data, room, end) since it was last named here; each at
    /// most once per news.
    fn ready(&mut self) -> Option<ConnectionId>;
    /// Offers received bytes to `take`, which says how many it took.
    fn receive(&mut self, id: ConnectionId, take: &mut dyn FnMut(&[u8]) -> usize) -> Received;
    /// How many bytes could be sent now.
    fn send_room(&self, id: ConnectionId) -> usize;
    /// Queues as many bytes of `segments` as there is room for, in order; returns how many.
    fn send(&mut self, id: ConnectionId, segments: &[&[u8]]) -> usize;
    /// No more data from us: FIN after what is queued.
    fn finish(&mut self, id: ConnectionId);
    /// Ends it at once with RST.
    fn abort(&mut self, id: ConnectionId);
    /// How it stands.
    fn status(&self, id: ConnectionId) -> Status;
    /// What is between us and its peer; `None` if nothing is left of it, not even a reset to send.
    fn standing(&self, id: ConnectionId) -> Option<Standing>;
    /// Queues a datagram (RFC 768); nothing is ever received by UDP but what DHCP wants.
    ///
    /// # Errors
    /// [`DatagramError`]; nothing is sent then.
    fn send_datagram(&mut self, to: Endpoint, payload: &[u8]) -> Result<(), DatagramError>;
    /// Most bytes of a datagram's payload on this link.
    fn datagram_bytes_max(&self) -> usize;
    /// Whether datagrams wait to be sent.
    fn has_datagrams(&self) -> bool;
    /// Our MTU-sized view of the link; `None` while there is none.
    fn set_link(&mut self, link: Option<Link>);
    /// Counts.
    fn statistics(&self) -> Statistics;
    /// Our address, for those who ask who they talk to.
    fn local_address(&self) -> Option<Ipv4Addr> {
        self.lease().map(|lease| lease.address.address)
    }
}
