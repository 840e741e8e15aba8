//! What a backend writes into the rings that a frontend of ours has granted to it.
//!
//! The frontend connects to a backend in good order, which is then replaced by
//! the input: a list of what is written, where, and when, between the guest's
//! own steps and in the middle of them. The device works or is broken, and
//! what it held is given back in the end.

pub(crate) mod blk;
pub(crate) mod net;

use crate::guest::{Flip, Guest};
use crate::script::Script;
use sim::domain::DOMID;
use xen_sys::io::ring;

/// One ring as its backend sees it.
#[derive(Clone, Copy)]
struct Place {
    gfn: u64,
    port: u32,
    slots: u32,
    slot_bytes: usize,
}

impl Place {
    fn produced(self, guest: &Guest) -> u32 {
        guest.world(|world| {
            world
                .domain
                .arena
                .load_u32(self.gfn, ring::RSP_PROD)
                .unwrap_or(0)
        })
    }

    fn set(self, guest: &Guest, offset: usize, value: u32) {
        guest.world(|world| world.domain.arena.store_u32(self.gfn, offset, value));
    }

    fn produce(self, guest: &Guest, by: u32) {
        let new = self.produced(guest).wrapping_add(by);
        self.set(guest, ring::RSP_PROD, new);
    }

    /// Where the next response belongs.
    fn slot(self, guest: &Guest) -> usize {
        ring::SLOTS + (self.produced(guest) % self.slots) as usize * self.slot_bytes
    }

    /// The request in whose place the next response belongs.
    fn request(self, guest: &Guest) -> Vec<u8> {
        let at = self.slot(guest);
        let mut bytes = vec![0; self.slot_bytes];
        guest.world(|world| world.domain.arena.copy_out(self.gfn, at, &mut bytes));
        bytes
    }

    fn respond(self, guest: &Guest, response: &[u8]) {
        let at = self.slot(guest);
        let response = &response[..response.len().min(self.slot_bytes)];
        guest.world(|world| world.domain.arena.copy_in(self.gfn, at, response));
        self.produce(guest, 1);
    }

    fn raise(self, guest: &Guest) {
        guest.world(|world| {
            let domain = &mut world.domain;
            domain.events.raise(&domain.arena, self.port);
        });
    }

    /// What any backend may do with any ring; `false` for what is another's operation.
    fn misuse(self, guest: &Guest, operation: u8, script: &mut Script<'_>) -> bool {
        match operation {
            0 => {
                let len = usize::from(script.byte() % 16);
                self.respond(guest, script.bytes(len));
            }
            1 => {
                let by = i32::from(script.byte().cast_signed());
                self.produce(guest, by.cast_unsigned());
            }
            2 => self.set(guest, usize::from(script.byte() % 16) * 4, script.word()),
            3 => {
                let at = usize::from(script.half() % 4096);
                let len = usize::from(script.byte() % 32);
                let bytes = script.bytes(len);
                guest.world(|world| world.domain.arena.copy_in(self.gfn, at, bytes));
            }
            4 => guest.arm(Flip {
                countdown: script.byte(),
                offset: script.byte(),
                value: script.byte(),
            }),
            5 => self.raise(guest),
            _ => return false,
        }
        true
    }
}

/// Writes a node of the backend's directory.
fn write_node(guest: &Guest, kind: &str, number: u32, script: &mut Script<'_>) {
    const KEYS: [&str; 6] = [
        "state",
        "mac",
        "mtu",
        "sectors",
        "sector-size",
        "feature-rx-copy",
    ];
    let key = KEYS[usize::from(script.byte()) % KEYS.len()];
    let len = usize::from(script.byte() % 20);
    let path = format!("/local/domain/0/backend/{kind}/{DOMID}/{number}/{key}");
    guest.world(|world| world.domain.xenstored.write(&path, script.bytes(len)));
}
