//! What every test here needs: opening, stepping, putting, getting.

use crate::blob::{PageRun, Pages};
use crate::block::BlockDevice;
use crate::*;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

pub(crate) type Contents = BTreeMap<(String, Vec<u8>), Vec<u8>>;

pub(crate) const MEMORY_BYTES: u64 = 32 << 20;

/// As [`crate::blob::HeapPages`], but fast without optimisation.
struct ZeroedPages;

impl Pages for ZeroedPages {
    fn take(&self, len_bytes: usize) -> Option<Box<dyn PageRun>> {
        Some(Box::new(vec![0u8; len_bytes]))
    }
}

pub(crate) fn options(seed: u8) -> Options {
    let mut bytes = [seed; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = byte.wrapping_mul(31).wrapping_add(at as u8).wrapping_add(1);
    }
    Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: MEMORY_BYTES,
        seed: bytes,
        pages: Box::new(ZeroedPages),
    }
}

pub(crate) fn now(ns: u64) -> Now {
    Now {
        monotonic_ns: ns,
        wall_ns: 1_700_000_000_000_000_000 + ns,
    }
}

/// Steps until nothing is left to do; the disk must answer at once.
pub(crate) fn settle(store: &mut Store) {
    for ns in 0..20_000 {
        if store.step(now(ns)) != Wake::Now {
            return;
        }
    }
    panic!("the store never comes to rest");
}

pub(crate) fn opened(device: impl BlockDevice + 'static, options: Options) -> Store {
    let mut store = Store::opening(Box::new(device), options);
    settle(&mut store);
    store
}

pub(crate) fn ready(device: impl BlockDevice + 'static, seed: u8) -> Store {
    let store = opened(device, options(seed));
    assert_eq!(*store.state(), State::Ready);
    store
}

pub(crate) fn bucket(name: &str) -> BucketName {
    BucketName::new(name).expect("a bucket name")
}

pub(crate) fn key(key: &str) -> Key {
    Key::new(key.as_bytes()).expect("a key")
}

/// A quota in bytes alone.
pub(crate) fn bytes(bytes: u64) -> QuotaLimits {
    QuotaLimits { bytes, keys: 0 }
}

pub(crate) fn put_change(value: &[u8]) -> Change {
    Change::Put {
        value: value.to_vec(),
        headers: Headers::default(),
    }
}

pub(crate) fn one(name: &str, k: &str, condition: Condition, change: Change) -> Batch {
    Batch {
        changes: vec![(bucket(name), key(k), condition, change)],
    }
}

pub(crate) fn finish(store: &mut Store, ticket: &Ticket) -> Result<Committed, Refusal> {
    settle(store);
    match store.outcome(ticket) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("no outcome although nothing is left to do"),
    }
}

pub(crate) fn run(store: &mut Store, batch: Batch) -> Result<Committed, Refusal> {
    let ticket = store.submit(batch)?;
    finish(store, &ticket)
}

pub(crate) fn put(store: &mut Store, k: &str, value: &[u8]) -> Result<Committed, Refusal> {
    run(store, one("b", k, Condition::None, put_change(value)))
}

pub(crate) fn delete(store: &mut Store, k: &str) -> Result<Committed, Refusal> {
    run(store, one("b", k, Condition::None, Change::Delete))
}

pub(crate) fn read_all(store: &mut Store, reader: &mut Reader) -> Result<Vec<u8>, ReadError> {
    let mut value = Vec::new();
    loop {
        match store.read(reader) {
            Poll::Pending => settle(store),
            Poll::Ready(Ok(Some(piece))) => value.extend_from_slice(&piece),
            Poll::Ready(Ok(None)) => return Ok(value),
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
}

pub(crate) fn get_in(store: &mut Store, name: &BucketName, k: &Key) -> Option<Vec<u8>> {
    get_at(store, At::NOW, name, k)
}

pub(crate) fn get_at(store: &mut Store, at: At, name: &BucketName, k: &Key) -> Option<Vec<u8>> {
    let (metadata, mut reader) = store.open_value(at, name, k).expect("readable")?;
    let value = read_all(store, &mut reader).expect("an intact value");
    assert_eq!(value.len() as u64, metadata.len_bytes);
    assert_eq!(
        crate::format::checksum::crc32c(0, &value),
        metadata.checksum
    );
    Some(value)
}

pub(crate) fn get(store: &mut Store, k: &str) -> Option<Vec<u8>> {
    get_in(store, &bucket("b"), &key(k))
}

/// Everything a store shows.
pub(crate) fn contents(store: &mut Store) -> Contents {
    let names = store.buckets().expect("whole");
    contents_at(store, At::NOW, &names)
}

/// Everything a state has in these buckets.
pub(crate) fn contents_at(store: &mut Store, at: At, names: &[BucketName]) -> Contents {
    let mut contents = Contents::new();
    for name in names {
        let query = KeyQuery {
            limit: usize::MAX,
            at,
            ..KeyQuery::default()
        };
        let page = store.keys(name, &query).expect("readable");
        for (k, _) in page.keys {
            let value = get_at(store, at, name, &k).expect("a listed key is there");
            contents.insert((name.as_str().into(), k.as_bytes().to_vec()), value);
        }
    }
    contents
}

/// A value of any length through an upload.
pub(crate) fn upload(store: &mut Store, k: &str, value: &[u8]) -> Result<Committed, Refusal> {
    let len = Some(value.len() as u64);
    let mut upload = store.begin_upload(
        bucket("b"),
        key(k),
        Condition::None,
        Headers::default(),
        len,
    )?;
    let mut at = 0;
    while at < value.len() {
        let end = (at + 10_000).min(value.len());
        at += store.upload(&mut upload, &value[at..end])?;
        settle(store);
    }
    let ticket = store.commit_upload(upload)?;
    finish(store, &ticket)
}

/// Bytes that tell their place.
pub(crate) fn pattern(len: usize, salt: u64) -> Vec<u8> {
    let mut random = Random(salt.wrapping_mul(77) + 1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}
