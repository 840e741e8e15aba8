//! Writing into a ring's page what no backend would.

use sim::domain::Domain;
use sim::machine::World;
use xen_sys::io::{blkif, netif, ring};

const BLK_SLOT_BYTES: u32 = size_of::<blkif::BlkifRequest>() as u32;
const NET_TX_SLOT_BYTES: u32 = size_of::<netif::NetifTxRequest>() as u32;
const NET_RX_SLOT_BYTES: u32 = size_of::<netif::NetifRxResponse>() as u32;

/// Where a ring is, and the shape of its slots.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) gfn: u64,
    port: u32,
    slots: u32,
    slot_bytes: u32,
}

impl Place {
    /// Where the slot of the next response is.
    pub(super) fn slot(self, domain: &Domain) -> usize {
        ring::SLOTS + (self.prod(domain) % self.slots * self.slot_bytes) as usize
    }

    pub(super) fn prod(self, domain: &Domain) -> u32 {
        domain.arena.load_u32(self.gfn, ring::RSP_PROD).unwrap_or(0)
    }

    /// Adds to the producer of responses, and notifies.
    pub(super) fn produce(self, domain: &mut Domain, by: u32) {
        let prod = self.prod(domain).wrapping_add(by);
        domain.arena.store_u32(self.gfn, ring::RSP_PROD, prod);
        domain.events.raise(&domain.arena, self.port);
    }

    /// Writes a response of any bytes into the next slot, and publishes it.
    pub(super) fn respond(self, domain: &mut Domain, response: &[u8]) {
        let at = self.slot(domain);
        domain.arena.copy_in(self.gfn, at, response);
        self.produce(domain, 1);
    }

    /// Notifies, with nothing to be seen.
    pub(super) fn notify(self, domain: &mut Domain) {
        domain.events.raise(&domain.arena, self.port);
    }
}

pub(super) fn blk(world: &World) -> Place {
    let (backend, _) = world.vbd.as_ref().expect("a disk");
    let (gfn, port) = backend.ring().expect("it is connected");
    Place {
        gfn,
        port,
        slots: blkif::BLK_RING_SIZE,
        slot_bytes: BLK_SLOT_BYTES,
    }
}

pub(super) fn net_rings(world: &World) -> (u64, u64, u32) {
    let backend = world.vif.as_ref().expect("a network interface");
    backend.rings().expect("it is connected")
}

pub(super) fn tx(world: &World) -> Place {
    let (gfn, _, port) = net_rings(world);
    Place {
        gfn,
        port,
        slots: netif::NET_TX_RING_SIZE,
        slot_bytes: NET_TX_SLOT_BYTES,
    }
}

pub(super) fn rx(world: &World) -> Place {
    let (_, gfn, port) = net_rings(world);
    Place {
        gfn,
        port,
        slots: netif::NET_RX_RING_SIZE,
        slot_bytes: NET_RX_SLOT_BYTES,
    }
}

/// A block response.
pub(super) fn blk_response(id: u64, operation: u8, status: i16) -> [u8; 16] {
    let mut response = [0; 16];
    response[..8].copy_from_slice(&id.to_le_bytes());
    response[8] = operation;
    response[10..12].copy_from_slice(&status.to_le_bytes());
    response
}

/// An RX response.
pub(super) fn rx_response(id: u16, offset: u16, flags: u16, status: i16) -> [u8; 8] {
    let mut response = [0; 8];
    for (at, field) in [id, offset, flags, status.cast_unsigned()]
        .iter()
        .enumerate()
    {
        response[at * 2..at * 2 + 2].copy_from_slice(&field.to_le_bytes());
    }
    response
}

/// A TX response.
pub(super) fn tx_response(id: u16, status: i16) -> [u8; 4] {
    let [a, b] = id.to_le_bytes();
    let [c, d] = status.to_le_bytes();
    [a, b, c, d]
}

/// The number of the page posted for the next frame.
pub(super) fn rx_id(world: &World) -> u16 {
    let place = rx(world);
    let at = place.slot(&world.domain);
    world.domain.arena.load_u16(place.gfn, at).unwrap_or(0)
}

/// The number of the oldest frame that waits to be sent.
pub(super) fn tx_id(world: &World) -> u16 {
    let place = tx(world);
    // The id's place in a request.
    let at = place.slot(&world.domain) + 8;
    world.domain.arena.load_u16(place.gfn, at).unwrap_or(0)
}

/// Id and operation of a block request that is under way.
pub(super) fn blk_under_way(world: &World) -> (u64, u8) {
    let (backend, _) = world.vbd.as_ref().expect("a disk");
    let under_way = backend.under_way();
    *under_way.first().expect("a request is under way")
}
