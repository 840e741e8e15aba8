//! A disk's backend that is the input.

use super::{Place, write_node};
use crate::guest::{self, Guest, Writer};
use crate::script::Script;
use drivers::Phase;
use drivers::blkfront::{Blkfront, Operation};
use sim::blkback::Blkback;
use std::collections::BTreeMap;
use xen_sys::io::blkif;

const NUMBER: u32 = 51712;
const REQUESTS: u32 = 3;
const POOL_PAGES: u32 = REQUESTS * 11 + 4 + 2;
const SECTOR_BYTES: usize = 512;
/// Sectors of the longest request.
const SECTORS_MAX: u8 = 88;

/// What was asked for and not answered: for each tag, how much is read.
type Asked = BTreeMap<u64, usize>;

/// Plays the backend.
pub(crate) fn run(bytes: &[u8]) {
    let guest = Guest::begin(POOL_PAGES, Writer::Backend, |world| {
        let backend = Blkback::attach(&mut world.domain, NUMBER);
        world.vbd = Some((backend, guest::disk()));
    });
    let ports = guest.world(|world| world.domain.events.count());
    let device = Blkfront::new(guest.attachment(), NUMBER, REQUESTS);
    let mut device = device.expect("there is a xenstore");
    guest.step_until(|| {
        device.step();
        device.phase() == Phase::Connected
    });
    let (gfn, port) = guest.world(|world| {
        let (backend, _) = world.vbd.take().expect("it was attached");
        backend.ring().expect("it is connected")
    });
    let place = Place {
        gfn,
        port,
        slots: blkif::BLK_RING_SIZE,
        slot_bytes: size_of::<blkif::BlkifRequest>(),
    };
    let mut asked = Asked::new();
    let mut script = Script::new(bytes);
    let mut tag = 0;
    while let Some(operation) = script.next() {
        if place.misuse(&guest, operation % 16, &mut script) {
            continue;
        }
        match operation % 16 {
            6..=8 => {
                let request = place.request(&guest);
                let flaw = script.byte();
                let response = response(&request, if operation % 16 == 6 { flaw } else { 0 });
                place.respond(&guest, &response);
            }
            9 => write_node(&guest, "vbd", NUMBER, &mut script),
            10 | 11 => {
                tag += 1;
                submit(&mut device, &mut asked, tag, script.byte());
            }
            12 => guest.step(u64::from(script.byte()) << 29),
            _ => use_it(&guest, &mut device, &mut asked),
        }
    }
    guest.disarm();
    use_it(&guest, &mut device, &mut asked);
    if device.phase() == Phase::Broken {
        assert!(asked.is_empty(), "never answered: {asked:?}");
    }
    drop(device);
    guest.step(0);
    guest.assert_all_given_back(ports);
}

/// The answer to a request, with one thing wrong.
fn response(request: &[u8], flaw: u8) -> [u8; 12] {
    let mut response = [0; 12];
    response[..8].copy_from_slice(&request[8..16]);
    response[8] = request[0];
    if flaw > 0 {
        response[usize::from(flaw) % 12] ^= flaw;
    }
    response
}

fn submit(device: &mut Blkfront, asked: &mut Asked, tag: u64, choice: u8) {
    let len_bytes = usize::from(1 + (choice >> 1) % SECTORS_MAX) * SECTOR_BYTES;
    let data = vec![choice; len_bytes];
    let sector = u64::from(choice);
    let (operation, read_bytes) = match choice % 4 {
        0 | 1 => (Operation::Read { sector, len_bytes }, len_bytes),
        2 => (
            Operation::Write {
                sector,
                data: &data,
            },
            0,
        ),
        _ => (Operation::Flush, 0),
    };
    if device.submit(tag, operation).is_ok() {
        asked.insert(tag, read_bytes);
    }
}

/// What the loop does with a device; each answer is to something asked and comes once.
fn use_it(guest: &Guest, device: &mut Blkfront, asked: &mut Asked) {
    guest.step(1000);
    device.step();
    while device.poll(&mut |completed| {
        let read_bytes = asked.remove(&completed.tag);
        let read_bytes = read_bytes.expect("an answer is to what was asked, and comes once");
        if completed.result.is_ok() && read_bytes > 0 {
            completed.copy_out(&mut vec![0; read_bytes]);
        }
    }) {}
    device.flush();
}
