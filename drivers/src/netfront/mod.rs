//! The network frontend: Ethernet frames over two rings.
//!
//! Every page is granted once, when connecting, and used again and again:
//! receive pages stay posted, transmit pages wait in a list. One frame is one
//! page (no scatter-gather, no offloads yet), so a packet never spans slots.
//!
//! # Invariants
//!
//! - A receive page is in flight, or being copied out: never both.
//! - `free_tx` holds exactly the transmit pages without a request in flight.
//!
//! Source: `xen/include/public/io/netif.h`, Xen 4.17.

mod config;
mod rx;
mod tx;

use crate::fault::BackendFault;
use crate::resources::{Handles, OwnedPort};
use crate::session::{Phase, Session};
use alloc::format;
use config::Handshake;
use rx::Receiver;
use tx::Transmitter;
use xen::Attachment;
use xen::last::LastRing;
use xen::ring::{NetRx, NetTx};

/// How many pages a frontend may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Posted for receiving, at most the ring's 256.
    pub rx: u32,
    /// For packets to send, at most the ring's 256.
    pub tx: u32,
}

/// What the link is, once connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Our MAC address.
    pub mac: [u8; 6],
    /// Largest IP packet in bytes, without the Ethernet header.
    pub mtu_bytes: u16,
}

/// Counts since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames the backend could not deliver.
    pub rx_errors: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames the backend could not send.
    pub tx_errors: u64,
    /// Notifications sent.
    pub notifies: u64,
}

/// One connection to a backend.
pub(crate) struct Link {
    info: LinkInfo,
    ports: Ports,
    rx: Receiver,
    tx: Transmitter,
}

/// The event channels of both rings.
struct Ports {
    tx: OwnedPort,
    /// The receiving ring's, where it has one of its own.
    rx: Option<OwnedPort>,
}

impl Ports {
    /// Notifies as the rings want it; how many notifications that took.
    fn notify(&self, wants_tx: bool, wants_rx: bool) -> u64 {
        let of_rx = self.rx.as_ref().filter(|_| wants_rx);
        let of_tx = wants_tx || (wants_rx && self.rx.is_none());
        let ports = of_tx.then_some(&self.tx).into_iter().chain(of_rx);
        ports.map(OwnedPort::notify).count() as u64
    }
}

/// A network device.
pub struct Netfront {
    session: Session<Handshake>,
    counters: Counters,
}

impl Netfront {
    /// Begins to connect `device/vif/INDEX`. `None` without xenstore.
    pub fn new(attachment: &Attachment, index: u32, pages: Pages) -> Option<Netfront> {
        let handles = Handles::of(attachment)?;
        let path = format!("device/vif/{index}");
        let session = Session::new(Handshake { pages }, handles, path);
        Some(Netfront {
            session,
            counters: Counters::default(),
        })
    }

    /// The domain goes on in another one: connects anew.
    pub fn renew(&mut self) {
        self.session.renew();
    }

    /// Advances the connection and takes back what the backend has sent.
    pub fn step(&mut self) {
        self.session.step();
        if let Some(link) = self.session.link()
            && let Err(fault) = link.tx.reap(&mut self.counters)
        {
            self.session.break_off(fault);
        }
    }

    /// Where the device stands.
    pub fn phase(&self) -> Phase {
        self.session.phase()
    }

    /// What the link is; `None` while there is none.
    pub fn link(&self) -> Option<LinkInfo> {
        self.session.link_ref().map(|link| link.info)
    }

    /// Both rings as they look to a guest that dies; of this connection.
    pub fn last_rings(&self) -> Option<(LastRing<NetTx>, LastRing<NetRx>)> {
        let link = self.session.link_ref()?;
        Some((link.tx.last(), link.rx.last()))
    }

    /// How many connections have come about.
    pub fn connections(&self) -> u32 {
        self.session.connections()
    }

    /// Counts.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Hands the next received frame to `take`; `false` when there is none.
    pub fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        let Some(link) = self.session.link() else {
            return false;
        };
        match link.rx.receive(take, &mut self.counters) {
            Ok(found) => found,
            Err(fault) => {
                self.session.break_off(fault);
                false
            }
        }
    }

    /// How many frames could be sent now.
    pub fn transmit_room(&self) -> usize {
        self.session.link_ref().map_or(0, |link| link.tx.room())
    }

    /// Sends one frame made of `segments`; `false` when there is no room, or its size is not valid.
    pub fn transmit(&mut self, segments: &[&[u8]]) -> bool {
        let Some(link) = self.session.link() else {
            return false;
        };
        link.tx.transmit(segments, &mut self.counters)
    }

    /// Shows the backend all that was queued, with at most one notification for each ring.
    /// `true` when there is something to receive already.
    pub fn flush(&mut self) -> bool {
        let Some(link) = self.session.link() else {
            return false;
        };
        let notify_tx = link.tx.publish();
        let notify_rx = link.rx.publish();
        self.counters.notifies += link.ports.notify(notify_tx, notify_rx);
        link.tx.wait_if_short() | link.rx.wait()
    }
}

/// Checks a frame's length against what the backends take.
fn frame_len(segments: &[&[u8]]) -> Option<u16> {
    const HEADER_BYTES: usize = 14;
    let len: usize = segments.iter().map(|segment| segment.len()).sum();
    (HEADER_BYTES..=xen::page::PAGE_BYTES)
        .contains(&len)
        .then_some(len as u16)
}

/// Index of a page from an id the backend sent.
fn page_index(id: u16, pages: usize) -> Result<usize, BackendFault> {
    let index = usize::from(id);
    if index < pages {
        Ok(index)
    } else {
        Err(BackendFault::UnknownId(u64::from(id)))
    }
}
