//! A block backend over a [`Disk`].
//!
//! It does what Linux's does, and by turns what a slow, reordering or failing one does.
//! Requests are taken at once, each completes after a latency of its own, so
//! they complete in any order. A write that has not completed when the power
//! goes may have reached the disk's cache or not.
//!
//! Source: `xen/include/public/io/blkif.h`, Xen 4.17.

use crate::arena::PAGE_BYTES;
use crate::back_ring::{Attention, BackRing, Publish};
use crate::device::{Nodes, XenbusState};
use crate::disk::{Disk, Flush, IoError, SECTOR_BYTES};
use crate::domain::Domain;
use crate::grant::Need;
use std::collections::BTreeMap;
use xen_sys::io::blkif;

const SLOT_BYTES: usize = size_of::<blkif::BlkifRequest>();
const SEGMENTS_MAX: usize = blkif::BLKIF_MAX_SEGMENTS_PER_REQUEST;

/// One device.
#[derive(Debug)]
pub struct Blkback {
    nodes: Nodes,
    state: XenbusState,
    ring: Option<(BackRing, u32)>,
    attention: Attention,
    /// Under way, by the time at which they complete and the order of coming.
    under_way: BTreeMap<(u64, u64), Request>,
    taken: u64,
    /// Nobody is there, or the toolstack takes the device away: it does not open again by itself.
    is_leaving: bool,
    /// Requests that no frontend may send.
    pub errors: Vec<String>,
}

#[derive(Clone, Debug)]
struct Request {
    operation: u8,
    id: u64,
    sector: u64,
    segments: Vec<(u32, usize, usize)>,
    /// Of a discard: how many sectors.
    discarded: u64,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn double(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl Request {
    fn parse(bytes: &[u8]) -> Result<Request, String> {
        let (operation, count) = (bytes[0], usize::from(bytes[1]));
        let request = Request {
            operation,
            id: double(bytes, 8),
            sector: double(bytes, 16),
            segments: Vec::new(),
            discarded: 0,
        };
        match operation {
            blkif::BLKIF_OP_FLUSH_DISKCACHE => return Ok(request),
            blkif::BLKIF_OP_DISCARD => {
                let discarded = double(bytes, 24);
                return Ok(Request {
                    discarded,
                    ..request
                });
            }
            _ => {}
        }
        if count == 0 || count > SEGMENTS_MAX {
            return Err(format!("{count} segments"));
        }
        let segments = (0..count).map(|index| {
            let at = 24 + index * 8;
            let (first, last) = (usize::from(bytes[at + 4]), usize::from(bytes[at + 5]));
            if last < first || (last + 1) * SECTOR_BYTES as usize > PAGE_BYTES {
                return Err(format!("segment from sector {first} to {last}"));
            }
            Ok((word(bytes, at), first, last - first + 1))
        });
        let segments = segments.collect::<Result<_, _>>()?;
        Ok(Request {
            segments,
            ..request
        })
    }
}

impl Blkback {
    /// A device that the toolstack has just attached, with its backend in dom0.
    pub fn attach(domain: &mut Domain, number: u32) -> Blkback {
        Blkback::attach_in(domain, 0, number)
    }

    /// The same with its backend in `domid`.
    pub fn attach_in(domain: &mut Domain, domid: u16, number: u32) -> Blkback {
        let nodes = Nodes::create(domain, domid, "vbd", number);
        let mut backend = Blkback {
            nodes,
            state: XenbusState::Initialising,
            ring: None,
            attention: Attention::default(),
            under_way: BTreeMap::new(),
            taken: 0,
            is_leaving: false,
            errors: Vec::new(),
        };
        backend.restart(domain);
        backend
    }

    /// Starts, for the first time or after it was gone, and waits for the frontend.
    pub fn restart(&mut self, domain: &mut Domain) {
        self.disconnect(domain);
        self.is_leaving = false;
        self.nodes.write(domain, "mode", "w");
        self.nodes.write(domain, "device-type", "disk");
        self.nodes.renew(domain);
        self.become_state(domain, XenbusState::InitWait);
    }

    /// As [`Nodes::spoil`].
    pub fn spoil(&mut self, domain: &mut Domain, node: (String, Option<Vec<u8>>)) {
        self.nodes.spoil(domain, node);
    }

    /// Does what is due.
    pub fn step(&mut self, domain: &mut Domain, disk: &mut Disk) {
        if self.nodes.has_news(domain) {
            self.follow(domain, disk);
        }
        self.take(domain, disk);
        self.complete(domain, disk);
    }

    /// When something completes by itself.
    pub fn deadline_ns(&self) -> Option<u64> {
        self.under_way.keys().next().map(|(at_ns, _)| *at_ns)
    }

    /// Follows the frontend's state.
    fn follow(&mut self, domain: &mut Domain, disk: &mut Disk) {
        let frontend = self.nodes.frontend_state(domain);
        match (self.state, frontend) {
            (XenbusState::InitWait, XenbusState::Initialised) => self.connect(domain, disk),
            (
                XenbusState::Connected | XenbusState::Closing,
                XenbusState::Closing | XenbusState::Closed,
            ) => {
                self.disconnect(domain);
                self.become_state(domain, XenbusState::Closed);
            }
            _ if self.is_leaving => {}
            (XenbusState::Connected, XenbusState::Initialising) => {
                self.disconnect(domain);
                self.become_state(domain, XenbusState::InitWait);
            }
            (XenbusState::Closed, XenbusState::Initialising) => {
                self.become_state(domain, XenbusState::InitWait);
            }
            _ => {}
        }
    }

    fn become_state(&mut self, domain: &mut Domain, state: XenbusState) {
        self.state = state;
        self.nodes.switch_to(domain, state);
    }

    fn connect(&mut self, domain: &mut Domain, disk: &mut Disk) {
        let reference = self.nodes.number(domain, "ring-ref");
        let port = self.nodes.number(domain, "event-channel");
        let (Some(reference), Some(port)) = (reference, port) else {
            return;
        };
        let Domain { grants, arena, .. } = domain;
        let domid = self.nodes.domid;
        let page = match grants.map(arena, domid, reference, Need::Write) {
            Ok(page) if domain.events.is_for(port, domid) => page,
            other => {
                self.errors
                    .push(format!("ring {reference}, port {port}: {other:?}"));
                return self.become_state(domain, XenbusState::Closed);
            }
        };
        let ring = BackRing::attach(arena, page, blkif::BLK_RING_SIZE, SLOT_BYTES);
        self.ring = Some((ring, port));
        let nodes = &self.nodes;
        nodes.write(domain, "sectors", disk.len_bytes() / SECTOR_BYTES);
        nodes.write(domain, "sector-size", SECTOR_BYTES);
        nodes.write(domain, "info", 0);
        let flush = u8::from(disk.faults().flush != Flush::NotOffered);
        nodes.write(domain, "feature-flush-cache", flush);
        let discard = u8::from(!disk.faults().no_discard);
        nodes.write(domain, "feature-discard", discard);
        self.become_state(domain, XenbusState::Connected);
    }

    /// Tells the frontend how large the disk is now, as Linux's backend does: by its state again.
    pub fn resize(&mut self, domain: &mut Domain, disk: &Disk) {
        let sectors = disk.len_bytes() / SECTOR_BYTES;
        self.nodes.write(domain, "sectors", sectors);
        self.become_state(domain, self.state);
    }

    /// The ring's frame and the port, for a backend that lies.
    pub fn ring(&self) -> Option<(u64, u32)> {
        let (ring, port) = self.ring.as_ref()?;
        Some((ring.page.gfn, *port))
    }

    /// Requests under way, as their id and operation, for a backend that lies.
    pub fn under_way(&self) -> Vec<(u64, u8)> {
        let requests = self.under_way.values();
        requests
            .map(|request| (request.id, request.operation))
            .collect()
    }

    /// Answers all that is under way with this status, and does nothing of it.
    pub fn answer_all(&mut self, domain: &mut Domain, status: i16) {
        let Some((ring, port)) = &mut self.ring else {
            return;
        };
        for request in std::mem::take(&mut self.under_way).into_values() {
            answer(ring, domain, request.id, request.operation, status);
        }
        publish(ring, domain, *port);
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

    /// Its domain dies: all that it had not made durable may be lost. It comes back by
    /// [`Blkback::restart`].
    pub fn die(&mut self, domain: &mut Domain, disk: &mut Disk) {
        self.cut_power(domain, disk);
        disk.crash();
        self.disconnect(domain);
        self.is_leaving = true;
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

    /// Lets go of the frontend; what is under way is forgotten.
    pub fn disconnect(&mut self, domain: &mut Domain) {
        self.under_way.clear();
        if let Some((ring, _)) = self.ring.take()
            && let Err(error) = domain.grants.unmap(&domain.arena, ring.page)
        {
            self.errors.push(format!("the ring: {error:?}"));
        }
    }

    fn take(&mut self, domain: &mut Domain, disk: &mut Disk) {
        let Some((ring, port)) = &mut self.ring else {
            return;
        };
        if !self.attention.looks(&mut domain.events, *port) {
            return;
        }
        let mut found = false;
        while let Some(bytes) = ring.take(&domain.arena) {
            found = true;
            let at_ns = domain.now_ns + disk.latency_ns();
            self.taken += 1;
            domain.note(|| taken(&bytes, at_ns));
            match Request::parse(&bytes) {
                Ok(request) => drop(self.under_way.insert((at_ns, self.taken), request)),
                Err(error) => {
                    self.errors.push(error);
                    let (id, operation) = (double(&bytes, 8), bytes[0]);
                    answer(ring, domain, id, operation, blkif::BLKIF_RSP_ERROR);
                }
            }
        }
        self.attention.looked(found, &mut domain.random);
        // So that the frontend's next request notifies.
        publish(ring, domain, *port);
    }

    fn complete(&mut self, domain: &mut Domain, disk: &mut Disk) {
        let Some((ring, port)) = &mut self.ring else {
            return;
        };
        let mut any = false;
        while let Some(entry) = self.under_way.first_entry()
            && entry.key().0 <= domain.now_ns
        {
            let request = entry.remove();
            let status = match perform(domain, self.nodes.domid, disk, &request) {
                Ok(()) => blkif::BLKIF_RSP_OKAY,
                Err(IoError::NotOffered) => blkif::BLKIF_RSP_EOPNOTSUPP,
                Err(_) => blkif::BLKIF_RSP_ERROR,
            };
            domain.note(|| format!("disk: {:#x} ends with {status}", request.id));
            answer(ring, domain, request.id, request.operation, status);
            any = true;
        }
        if any {
            publish(ring, domain, *port);
        }
    }

    /// The power goes: of what is under way some writes reach the disk's cache.
    pub fn cut_power(&mut self, domain: &mut Domain, disk: &mut Disk) {
        for request in std::mem::take(&mut self.under_way).into_values() {
            let writes = matches!(
                request.operation,
                blkif::BLKIF_OP_WRITE | blkif::BLKIF_OP_DISCARD
            );
            if writes && domain.random.chance(1, 2) {
                // What fails now is lost like the rest.
                let _ = perform(domain, self.nodes.domid, disk, &request);
            }
        }
    }
}

/// What a request says, for the trace.
fn taken(bytes: &[u8], at_ns: u64) -> String {
    let (operation, count, id) = (bytes[0], bytes[1], double(bytes, 8));
    let sector = double(bytes, 16);
    format!(
        "disk: {id:#x} is operation {operation} of {count} pages at sector {sector}, until {at_ns} ns"
    )
}

fn answer(ring: &mut BackRing, domain: &Domain, id: u64, operation: u8, status: i16) {
    let mut bytes = [0; size_of::<blkif::BlkifResponse>()];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    bytes[8] = operation;
    bytes[10..12].copy_from_slice(&status.to_le_bytes());
    ring.respond(&domain.arena, &bytes);
}

fn publish(ring: &mut BackRing, domain: &mut Domain, port: u32) {
    if ring.publish(&domain.arena) == Publish::Notify {
        domain.events.raise(&domain.arena, port);
    }
}

/// Carries a request out, page by page.
fn perform(
    domain: &mut Domain,
    domid: u16,
    disk: &mut Disk,
    request: &Request,
) -> Result<(), IoError> {
    match request.operation {
        blkif::BLKIF_OP_FLUSH_DISKCACHE => return disk.flush(),
        blkif::BLKIF_OP_DISCARD => {
            let len_bytes = request.discarded.saturating_mul(SECTOR_BYTES);
            return disk.discard(request.sector * SECTOR_BYTES, len_bytes);
        }
        blkif::BLKIF_OP_READ | blkif::BLKIF_OP_WRITE => {}
        _ => return Err(IoError::NotOffered),
    }
    let mut offset = request.sector * SECTOR_BYTES;
    let Domain { grants, arena, .. } = domain;
    for (reference, first, count) in &request.segments {
        let mut bytes = vec![0; count * SECTOR_BYTES as usize];
        let entry = (domid, *reference);
        let at = first * SECTOR_BYTES as usize;
        let moved = if request.operation == blkif::BLKIF_OP_READ {
            disk.read(offset, &mut bytes)?;
            grants.copy_to(arena, entry, at, &bytes)
        } else {
            let copied = grants.copy_from(arena, entry, at, &mut bytes);
            if copied.is_ok() {
                disk.write(offset, &bytes)?;
            }
            copied
        };
        moved.map_err(|_| IoError::Failed)?;
        offset += bytes.len() as u64;
    }
    Ok(())
}
