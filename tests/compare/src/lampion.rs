//! Our store, on a disk in memory.

use crate::{Engine, Key, Value};
use std::task::Poll;
use store::blob::HeapPages;
use store::{
    At, Batch, BucketName, Change, Condition, FormatPermission, Headers, MemoryDisk, Now, Options,
    State, Store, Wake,
};

const DISK_BYTES: u64 = 1 << 30;
const MEMORY_BYTES: u64 = 256 << 20;
const NOW: Now = Now {
    monotonic_ns: 1_000_000_000,
    wall_ns: 1_795_054_400_000_000_000,
};

pub(crate) struct Lampion {
    disk: MemoryDisk,
    store: Store,
    bucket: BucketName,
    /// By stores that are closed.
    written_bytes: u64,
}

fn settle(store: &mut Store) {
    while store.step(NOW) == Wake::Now {}
}

fn open(disk: &MemoryDisk) -> Store {
    let options = Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: MEMORY_BYTES,
        seed: [7; 32],
        pages: Box::new(HeapPages),
    };
    let mut store = Store::opening(Box::new(disk.clone()), options);
    settle(&mut store);
    assert_eq!(*store.state(), State::Ready);
    store
}

impl Lampion {
    pub(crate) fn new() -> Lampion {
        let disk = MemoryDisk::new(DISK_BYTES);
        Lampion {
            store: open(&disk),
            disk,
            bucket: BucketName::new("b").expect("a name"),
            written_bytes: 0,
        }
    }
}

impl Engine for Lampion {
    /// Each put for itself, as from so many clients; they become durable together.
    fn commit(&mut self, puts: &[(Key, Value)]) {
        for (key, value) in puts {
            let put = Change::Put {
                value: value.to_vec(),
                headers: Headers::default(),
            };
            let key = store::Key::new(key).expect("a key");
            let changes = vec![(self.bucket.clone(), key, Condition::None, put)];
            drop(self.store.submit(Batch { changes }).expect("room"));
        }
        settle(&mut self.store);
    }

    fn get(&mut self, key: &Key) -> Value {
        let key = store::Key::new(key).expect("a key");
        let opened = self.store.open_value(At::NOW, &self.bucket, &key);
        let (_, mut reader) = opened.expect("open").expect("it is there");
        loop {
            match self.store.read(&mut reader) {
                Poll::Pending => settle(&mut self.store),
                Poll::Ready(piece) => {
                    let piece = piece.expect("readable").expect("not empty");
                    return piece[..].try_into().expect("64 bytes");
                }
            }
        }
    }

    fn open_again(&mut self) {
        self.store.close();
        settle(&mut self.store);
        self.written_bytes += self.store.statistics().written_bytes;
        self.store = open(&self.disk);
    }

    fn written_bytes(&mut self) -> u64 {
        self.written_bytes + self.store.statistics().written_bytes
    }
}
