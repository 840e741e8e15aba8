//! What the xenstore daemon writes: replies, watch events, indices, and anything else.
//!
//! The daemon is the input. The client's requests end or wait; a daemon that
//! breaks the protocol loses its link, and then every request fails.

use crate::guest::{Flip, Guest, Writer};
use crate::script::Script;
use sim::domain::STORE_GFN;
use std::task::Poll;
use xen::Attachment;
use xen::task::{self, Task};
use xen::xenstore::{IN_FLIGHT_MAX, Watch, Xenstore};
use xen_sys::io::xs_wire;

const POOL_PAGES: u32 = 1;
/// Requests begun at once, more than are ever with the daemon.
const REQUESTS_MAX: usize = IN_FLIGHT_MAX + 4;

/// The guest's side.
struct Client {
    store: Xenstore,
    tasks: Vec<Task<Option<Watch>>>,
    watches: Vec<Watch>,
}

/// Plays the daemon.
pub(crate) fn run(bytes: &[u8]) {
    let guest = Guest::begin(POOL_PAGES, Writer::Daemon, |_| ());
    let mut client = Client::new(guest.attachment());
    let mut script = Script::new(bytes);
    while let Some(operation) = script.next() {
        match operation % 12 {
            0 => reply(&guest, &mut script),
            1 => {
                let len = usize::from(script.byte());
                put(&guest, script.bytes(len));
            }
            2 => index(&guest, script.byte(), script.word()),
            3 => take_requests(&guest),
            4 => guest.arm(Flip {
                countdown: script.byte(),
                offset: script.byte(),
                value: script.byte(),
            }),
            5 => drop(client.watches.pop()),
            6 => drop(client.tasks.pop()),
            7..=9 => client.begin(script.byte()),
            _ => client.step(),
        }
    }
    guest.disarm();
    client.step();
    client.end(&guest);
}

impl Client {
    fn new(attachment: &Attachment) -> Client {
        let store = attachment.xenstore.clone().expect("there is a xenstore");
        Client {
            store,
            tasks: Vec::new(),
            watches: Vec::new(),
        }
    }

    fn begin(&mut self, choice: u8) {
        if self.tasks.len() + self.watches.len() >= REQUESTS_MAX {
            return;
        }
        let store = self.store.clone();
        let path = "device/vif/0/state";
        self.tasks.push(match choice % 6 {
            0 => Box::pin(async move { store.read_text(path).await.ok().and(None) }),
            1 => Box::pin(async move { store.directory(path).await.ok().and(None) }),
            2 => Box::pin(async move { store.write(path, &[7; 300]).await.ok().and(None) }),
            3 => Box::pin(async move { store.remove(path).await.ok().and(None) }),
            4 => Box::pin(async move { store.watch(path).await.ok() }),
            _ => Box::pin(async move {
                let nodes = [(path.to_owned(), "1".to_owned())];
                store.write_all(&nodes).await.ok().and(None)
            }),
        });
        self.poll();
    }

    fn step(&mut self) {
        self.store.step();
        self.poll();
        for watch in &self.watches {
            watch.take_fired();
        }
    }

    fn poll(&mut self) {
        let Client { tasks, watches, .. } = self;
        tasks.retain_mut(|walk| match task::poll(walk) {
            Poll::Ready(watch) => {
                watches.extend(watch);
                false
            }
            Poll::Pending => true,
        });
        assert!(self.store.waiting() <= IN_FLIGHT_MAX);
        assert!(self.store.watches() <= REQUESTS_MAX);
    }

    /// A producer that cannot be true ends the link, and with it every request.
    fn end(mut self, guest: &Guest) {
        let at = xs_wire::RSP_CONS;
        let cons = guest.world(|world| world.domain.arena.load_u32(STORE_GFN, at));
        let beyond = xs_wire::XENSTORE_RING_SIZE as u32 + 1;
        index(guest, 3, cons.unwrap_or(0).wrapping_add(beyond));
        self.begin(0);
        self.step();
        self.step();
        assert!(self.tasks.is_empty(), "requests outlive their link");
        drop(self.watches);
        assert_eq!((self.store.waiting(), self.store.watches()), (0, 0));
    }
}

/// Bytes into the ring of replies, whether there is room or not.
fn put(guest: &Guest, bytes: &[u8]) {
    guest.world(|world| {
        let arena = &world.domain.arena;
        let prod = arena.load_u32(STORE_GFN, xs_wire::RSP_PROD).unwrap_or(0);
        for (index, byte) in (0_u32..).zip(bytes) {
            let at = prod.wrapping_add(index) as usize % xs_wire::XENSTORE_RING_SIZE;
            arena.store_u8(STORE_GFN, xs_wire::RSP + at, *byte);
        }
        let new = prod.wrapping_add(bytes.len() as u32);
        arena.store_u32(STORE_GFN, xs_wire::RSP_PROD, new);
    });
}

/// A message of the right form.
fn reply(guest: &Guest, script: &mut Script<'_>) {
    let (kind, id, len) = (script.byte(), script.byte(), script.byte());
    let payload = script.bytes(usize::from(len));
    let header = xs_wire::XsdSockmsg {
        kind: u32::from(kind % 20),
        req_id: u32::from(id % 40),
        tx_id: 0,
        len: payload.len() as u32,
    };
    put(guest, &[&header.to_bytes(), payload].concat());
}

/// Sets one of the four indices.
fn index(guest: &Guest, which: u8, value: u32) {
    const INDICES: [usize; 4] = [
        xs_wire::REQ_CONS,
        xs_wire::REQ_PROD,
        xs_wire::RSP_CONS,
        xs_wire::RSP_PROD,
    ];
    let at = INDICES[usize::from(which % 4)];
    guest.world(|world| world.domain.arena.store_u32(STORE_GFN, at, value));
}

/// All requests are taken, unread.
fn take_requests(guest: &Guest) {
    guest.world(|world| {
        let arena = &world.domain.arena;
        let prod = arena.load_u32(STORE_GFN, xs_wire::REQ_PROD).unwrap_or(0);
        arena.store_u32(STORE_GFN, xs_wire::REQ_CONS, prod);
    });
}
