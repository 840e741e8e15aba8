//! A network backend: frames from the guest onto the wire, and from the wire into its pages.
//!
//! Source: `xen/include/public/io/netif.h`, Xen 4.17.

use crate::back_ring::{Attention, BackRing, Publish};
use crate::device::{Nodes, XenbusState};
use crate::domain::Domain;
use crate::grant::Need;
use crate::wire::Wire;
use xen_sys::io::netif;

const TX_SLOT_BYTES: usize = size_of::<netif::NetifTxRequest>();
const RX_SLOT_BYTES: usize = size_of::<netif::NetifRxRequest>();

/// The guest's address on the network.
pub const MAC: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 1];

/// One device.
#[derive(Debug)]
pub struct Netback {
    nodes: Nodes,
    state: XenbusState,
    rings: Option<Rings>,
    /// What it had mapped when it went away, until it lets go.
    kept: Option<Rings>,
    /// It is not there at all.
    is_away: bool,
    /// The toolstack takes the device away: it does not open again.
    is_leaving: bool,
    /// Requests that no frontend may send.
    pub errors: Vec<String>,
    /// Frames dropped because the guest had posted no page.
    pub starved: u64,
    /// Takes nothing off the guest for now: what it sends stays in the ring.
    pub is_deaf: bool,
}

#[derive(Debug)]
struct Rings {
    /// The backend's domain, to which pages are granted.
    domid: u16,
    tx: BackRing,
    rx: BackRing,
    tx_port: u32,
    /// Another one where the frontend has given two.
    rx_port: u32,
    attention: Attention,
    /// No page was posted when one was wanted, and the guest has not told of another since.
    rx_dry: bool,
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

impl Netback {
    /// A device that the toolstack has just attached, with its backend in dom0.
    pub fn attach(domain: &mut Domain, number: u32) -> Netback {
        Netback::attach_in(domain, 0, number)
    }

    /// The same with its backend in `domid`.
    pub fn attach_in(domain: &mut Domain, domid: u16, number: u32) -> Netback {
        let nodes = Nodes::create(domain, domid, "vif", number);
        let [a, b, c, d, e, f] = MAC;
        let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        let path = format!("{}/mac", nodes.frontend);
        domain.xenstored.write(&path, mac.as_bytes());
        domain.xenstored.set_owner(&path, crate::domain::DOMID);
        let mut backend = Netback {
            nodes,
            state: XenbusState::Initialising,
            rings: None,
            kept: None,
            is_away: false,
            is_leaving: false,
            errors: Vec::new(),
            starved: 0,
            is_deaf: false,
        };
        backend.restart(domain);
        backend
    }

    /// Starts, for the first time or after it was gone, and waits for the frontend.
    pub fn restart(&mut self, domain: &mut Domain) {
        self.disconnect(domain);
        self.let_go(domain);
        self.is_away = false;
        for key in [
            "feature-rx-copy",
            "feature-sg",
            "feature-gso-tcpv4",
            "feature-split-event-channels",
        ] {
            self.nodes.write(domain, key, 1);
        }
        self.nodes.renew(domain);
        self.become_state(domain, XenbusState::InitWait);
    }

    /// As [`Nodes::spoil`].
    pub fn spoil(&mut self, domain: &mut Domain, node: (String, Option<Vec<u8>>)) {
        self.nodes.spoil(domain, node);
    }

    /// Does what can be done now.
    pub fn step(&mut self, domain: &mut Domain, wire: &mut Wire) {
        if self.nodes.has_news(domain) {
            self.follow(domain);
        }
        let Some(rings) = &mut self.rings else {
            wire.drop_all_for_guest(domain.now_ns);
            return;
        };
        if !self.is_deaf && rings.attention.looks(&mut domain.events, rings.tx_port) {
            transmit(rings, domain, wire, &mut self.errors);
        }
        // One channel for both tells the transmitting side, which forgets nothing, either.
        let is_split = rings.rx_port != rings.tx_port;
        rings.rx_dry &= is_split && !domain.events.take_notified(rings.rx_port);
        self.starved += receive(rings, domain, wire, &mut self.errors);
    }

    fn follow(&mut self, domain: &mut Domain) {
        let frontend = self.nodes.frontend_state(domain);
        if self.is_away {
            return;
        }
        match (self.state, frontend) {
            (XenbusState::InitWait, XenbusState::Initialised | XenbusState::Connected) => {
                self.connect(domain);
            }
            (
                XenbusState::Connected | XenbusState::Closing,
                XenbusState::Closing | XenbusState::Closed,
            ) => {
                self.disconnect(domain);
                self.become_state(domain, XenbusState::Closed);
            }
            _ if self.is_leaving => {}
            (XenbusState::Connected | XenbusState::Closed, XenbusState::Initialising) => {
                self.disconnect(domain);
                self.become_state(domain, XenbusState::InitWait);
            }
            _ => {}
        }
    }

    fn become_state(&mut self, domain: &mut Domain, state: XenbusState) {
        self.state = state;
        self.nodes.switch_to(domain, state);
    }

    fn connect(&mut self, domain: &mut Domain) {
        let number = |key| self.nodes.number(domain, key);
        let (tx, rx) = (number("tx-ring-ref"), number("rx-ring-ref"));
        let (tx_port, rx_port) = (number("event-channel-tx"), number("event-channel-rx"));
        let (Some(tx), Some(rx), Some(tx_port), Some(rx_port)) = (tx, rx, tx_port, rx_port) else {
            return;
        };
        for port in [tx_port, rx_port] {
            if !domain.events.is_for(port, self.nodes.domid) {
                self.errors.push(format!("port {port} is not for us"));
                return;
            }
        }
        let Domain { grants, arena, .. } = domain;
        let domid = self.nodes.domid;
        let tx = grants.map(arena, domid, tx, Need::Write);
        let rx = grants.map(arena, domid, rx, Need::Write);
        let (Ok(tx), Ok(rx)) = (tx, rx) else {
            self.errors.push("a ring cannot be mapped".to_owned());
            return;
        };
        self.rings = Some(Rings {
            domid,
            tx: BackRing::attach(arena, tx, netif::NET_TX_RING_SIZE, TX_SLOT_BYTES),
            rx: BackRing::attach(arena, rx, netif::NET_RX_RING_SIZE, RX_SLOT_BYTES),
            tx_port,
            rx_port,
            attention: Attention::default(),
            rx_dry: false,
        });
        self.become_state(domain, XenbusState::Connected);
    }

    /// The frames of both rings (TX, RX) and the port of the first, for a backend that lies.
    pub fn rings(&self) -> Option<(u64, u64, u32)> {
        let rings = self.rings.as_ref()?;
        Some((rings.tx.page.gfn, rings.rx.page.gfn, rings.tx_port))
    }

    /// Answers the next posted page with this offset, these flags and this status.
    pub fn answer_page(&mut self, domain: &mut Domain, fields: (u16, u16, i16)) {
        let Some(Rings { rx, rx_port, .. }) = &mut self.rings else {
            return;
        };
        let Some(request) = rx.take(&domain.arena) else {
            return;
        };
        rx.respond(&domain.arena, &delivered(half(&request, 0), fields));
        if rx.publish(&domain.arena) == Publish::Notify {
            domain.events.raise(&domain.arena, *rx_port);
        }
    }

    /// Where it meets the frontend.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Goes away in good order.
    pub fn leave(&mut self, domain: &mut Domain) {
        self.disconnect(domain);
        self.become_state(domain, XenbusState::Closed);
    }

    /// Lets go of the frontend.
    pub fn disconnect(&mut self, domain: &mut Domain) {
        if let Some(rings) = self.rings.take() {
            self.unmap(domain, rings);
        }
    }

    fn unmap(&mut self, domain: &mut Domain, rings: Rings) {
        for ring in [rings.tx, rings.rx] {
            if let Err(error) = domain.grants.unmap(&domain.arena, ring.page) {
                self.errors.push(format!("a ring: {error:?}"));
            }
        }
    }

    /// Says again where it stands, as a backend may at any time.
    pub fn repeat_state(&self, domain: &mut Domain) {
        self.nodes.switch_to(domain, self.state);
    }

    /// The backend's domain goes down; the rings stay mapped until [`Netback::let_go`].
    pub fn go_away(&mut self, domain: &mut Domain) {
        self.kept = self.rings.take();
        self.is_away = true;
        self.become_state(domain, XenbusState::Closed);
    }

    /// The toolstack begins to take the device away.
    pub fn begin_detach(&mut self, domain: &mut Domain) {
        self.is_leaving = true;
        self.nodes.write(domain, "online", 0);
        self.become_state(domain, XenbusState::Closing);
    }

    /// Whether both ends are done.
    pub fn is_closed(&self) -> bool {
        self.state == XenbusState::Closed
    }

    /// What it had mapped when it went away is unmapped.
    pub fn let_go(&mut self, domain: &mut Domain) {
        if let Some(rings) = self.kept.take() {
            self.unmap(domain, rings);
        }
    }
}

/// Takes frames off the guest; one page each, as no `feature-sg` was asked for.
fn transmit(rings: &mut Rings, domain: &mut Domain, wire: &mut Wire, errors: &mut Vec<String>) {
    let Rings {
        domid,
        tx,
        tx_port,
        attention,
        ..
    } = rings;
    let mut found = false;
    while let Some(bytes) = tx.take(&domain.arena) {
        found = true;
        let (reference, offset) = (word(&bytes, 0), usize::from(half(&bytes, 4)));
        let (flags, id, size) = (half(&bytes, 6), half(&bytes, 8), half(&bytes, 10));
        let mut frame = vec![0; usize::from(size)];
        let copied =
            domain
                .grants
                .copy_from(&domain.arena, (*domid, reference), offset, &mut frame);
        let status = match copied {
            Ok(()) if flags == 0 => {
                domain.note(|| format!("net: {size} bytes from the guest"));
                wire.from_guest(domain.now_ns, frame);
                netif::NETIF_RSP_OKAY
            }
            other => {
                errors.push(format!("frame of {size} bytes, flags {flags}: {other:?}"));
                netif::NETIF_RSP_ERROR
            }
        };
        let mut response = [0; TX_SLOT_BYTES];
        response[..2].copy_from_slice(&id.to_le_bytes());
        response[2..4].copy_from_slice(&status.to_le_bytes());
        tx.respond(&domain.arena, &response);
    }
    attention.looked(found, &mut domain.random);
    if tx.publish(&domain.arena) == Publish::Notify {
        domain.events.raise(&domain.arena, *tx_port);
    }
}

/// Puts frames into pages the guest has posted; how many found none.
fn receive(
    rings: &mut Rings,
    domain: &mut Domain,
    wire: &mut Wire,
    errors: &mut Vec<String>,
) -> u64 {
    let Rings {
        domid,
        rx,
        rx_port,
        rx_dry,
        ..
    } = rings;
    let mut starved = 0;
    while let Some(frame) = wire.next_for_guest(domain.now_ns) {
        let request = (!*rx_dry).then(|| rx.take(&domain.arena)).flatten();
        let Some(request) = request else {
            *rx_dry = true;
            starved += 1;
            continue;
        };
        let (id, reference) = (half(&request, 0), word(&request, 4));
        domain.note(|| format!("net: {} bytes to the guest", frame.len()));
        let offset = 0;
        let copied = domain
            .grants
            .copy_to(&domain.arena, (*domid, reference), offset, &frame);
        let status = match copied {
            Ok(()) => frame.len() as i16,
            Err(error) => {
                errors.push(format!("posted page {reference}: {error:?}"));
                netif::NETIF_RSP_ERROR
            }
        };
        let fields = (offset as u16, netif::NETRXF_DATA_VALIDATED, status);
        rx.respond(&domain.arena, &delivered(id, fields));
    }
    if rx.publish(&domain.arena) == Publish::Notify {
        domain.events.raise(&domain.arena, *rx_port);
    }
    starved
}

fn delivered(id: u16, (offset, flags, status): (u16, u16, i16)) -> [u8; RX_SLOT_BYTES] {
    let mut response = [0; RX_SLOT_BYTES];
    response[..2].copy_from_slice(&id.to_le_bytes());
    response[2..4].copy_from_slice(&offset.to_le_bytes());
    response[4..6].copy_from_slice(&flags.to_le_bytes());
    response[6..8].copy_from_slice(&status.to_le_bytes());
    response
}
