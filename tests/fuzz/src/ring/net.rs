//! A network backend that is the input.

use super::{Place, write_node};
use crate::guest::{Guest, Writer};
use crate::script::Script;
use drivers::Phase;
use drivers::netfront::{Netfront, Pages};
use sim::netback::Netback;
use xen_sys::io::netif;

const PAGES: Pages = Pages { rx: 8, tx: 8 };
const POOL_PAGES: u32 = 20;
/// Frames taken at once.
const BUDGET: u32 = 300;

/// Plays the backend.
pub(crate) fn run(bytes: &[u8]) {
    let guest = Guest::begin(POOL_PAGES, Writer::Backend, |world| {
        world.vif = Some(Netback::attach(&mut world.domain, 0));
    });
    let ports = guest.world(|world| world.domain.events.count());
    let mut device = Netfront::new(guest.attachment(), 0, PAGES).expect("there is a xenstore");
    guest.step_until(|| {
        device.step();
        device.phase() == Phase::Connected
    });
    let (tx, rx, port) = guest.world(|world| {
        let backend = world.vif.take().expect("it was attached");
        backend.rings().expect("it is connected")
    });
    let tx = Place {
        gfn: tx,
        port,
        slots: netif::NET_TX_RING_SIZE,
        slot_bytes: size_of::<netif::NetifTxRequest>(),
    };
    let rx = Place {
        gfn: rx,
        port,
        slots: netif::NET_RX_RING_SIZE,
        slot_bytes: size_of::<netif::NetifRxRequest>(),
    };
    let mut script = Script::new(bytes);
    while let Some(operation) = script.next() {
        let place = if operation & 0x80 == 0 { rx } else { tx };
        let operation = operation & 0x7f;
        if !place.misuse(&guest, operation % 16, &mut script) {
            turn(&guest, &mut device, (tx, rx), operation % 16, &mut script);
        }
    }
    guest.disarm();
    use_it(&guest, &mut device);
    drop(device);
    guest.step(0);
    guest.assert_all_given_back(ports);
}

fn turn(
    guest: &Guest,
    device: &mut Netfront,
    (tx, rx): (Place, Place),
    operation: u8,
    script: &mut Script<'_>,
) {
    match operation {
        // As it should be.
        6 => {
            let id = &tx.request(guest)[8..10];
            tx.respond(guest, &[id[0], id[1], 0, 0]);
        }
        7 => {
            let id = &rx.request(guest)[..2];
            let fields = [script.byte(), script.byte() & 0x1f, script.byte() & 3, 0];
            let len = (script.half() % 2048).to_le_bytes();
            let response = [&id[..2], &fields, &len].concat();
            rx.respond(guest, &response);
        }
        8 => write_node(guest, "vif", 0, script),
        9 => guest.step(u64::from(script.byte()) << 29),
        10 => {
            let frame = vec![operation; usize::from(script.half() % 5000)];
            let sent = device.transmit(&[&frame[..frame.len() / 2], &frame[frame.len() / 2..]]);
            assert!(!sent || device.phase() == Phase::Connected);
        }
        11 => {
            device.flush();
        }
        12 => receive(device),
        13 => device.step(),
        _ => use_it(guest, device),
    }
}

/// What the loop does with a device.
fn use_it(guest: &Guest, device: &mut Netfront) {
    guest.step(1000);
    device.step();
    receive(device);
    device.transmit(&[&[1; 60]]);
    device.flush();
    if device.phase() != Phase::Connected {
        assert_eq!(device.transmit_room(), 0);
        assert!(!device.transmit(&[&[1; 60]]));
    }
}

fn receive(device: &mut Netfront) {
    let mut check = |frame: &[u8]| assert!((1..=4096).contains(&frame.len()));
    for _ in 0..BUDGET {
        if !device.receive(&mut check) {
            return;
        }
    }
}
