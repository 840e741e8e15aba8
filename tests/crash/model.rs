//! What a store should show: a map, and one state of it after each batch.

use sim::random::Random;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use store::{BucketName, Key, KeyQuery, ReadError, Store};

/// Bucket and key.
pub(crate) type Name = (&'static str, Vec<u8>);

/// The CRC32C that a store tells of a value, bit by bit.
///
/// Source: RFC 3720 B.4.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut table = [0u32; 256];
    for (byte, entry) in (0u32..).zip(&mut table) {
        *entry = (0..8).fold(byte, |crc, _| (crc >> 1) ^ (0x82F6_3B78 * (crc & 1)));
    }
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ table[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(!0, step)
}

/// A value, and what is told of it without reading it.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) bytes: Vec<u8>,
    crc: u32,
}

impl Value {
    pub(crate) fn new(bytes: Vec<u8>) -> Rc<Value> {
        let crc = crc32c(&bytes);
        Rc::new(Value { bytes, crc })
    }

    /// Of so many bytes, like no other.
    pub(crate) fn draw(random: &mut Random, len: usize) -> Rc<Value> {
        Value::new(random.bytes(len))
    }
}

/// All there is after one batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) values: BTreeMap<Name, Rc<Value>>,
    /// What the last batch changed.
    pub(crate) touched: Vec<Name>,
}

impl State {
    /// A state to be changed by the next batch.
    pub(crate) fn next(&self) -> State {
        State {
            values: self.values.clone(),
            touched: Vec::new(),
        }
    }

    pub(crate) fn put(&mut self, name: Name, value: Rc<Value>) {
        self.touched.push(name.clone());
        self.values.insert(name, value);
    }

    pub(crate) fn delete(&mut self, name: Name) {
        self.values.remove(&name);
        self.touched.push(name);
    }
}

/// What a store tells of one value.
struct Listed {
    bucket: String,
    key: Vec<u8>,
    len_bytes: u64,
    checksum: u32,
}

impl Listed {
    fn is(&self, name: &Name, value: &Value) -> bool {
        self.bucket == name.0
            && self.key == name.1
            && self.len_bytes == value.bytes.len() as u64
            && self.checksum == value.crc
    }
}

/// What a store lists, in order.
pub(crate) struct Listing(Vec<Listed>);

/// Lists everything.
pub(crate) fn list(store: &Store) -> Listing {
    let query = KeyQuery {
        limit: usize::MAX,
        ..KeyQuery::default()
    };
    let mut listed = Vec::new();
    for bucket in store.buckets() {
        let page = store.keys(&bucket, &query).expect("a store that reads");
        listed.extend(page.keys.into_iter().map(|(key, metadata)| Listed {
            bucket: bucket.as_str().to_owned(),
            key: key.as_bytes().to_vec(),
            len_bytes: metadata.len_bytes,
            checksum: metadata.checksum,
        }));
    }
    Listing(listed)
}

impl Listing {
    /// Whether it is this state: every key and no other, each value's length and checksum.
    pub(crate) fn is(&self, state: &State) -> bool {
        let mut both = self.0.iter().zip(&state.values);
        self.0.len() == state.values.len()
            && both.all(|(listed, (name, value))| listed.is(name, value))
    }

    /// For a failure's report.
    pub(crate) fn tell(&self) -> String {
        let tell = |listed: &Listed| {
            let (key, len, crc) = (listed.key.escape_ascii(), listed.len_bytes, listed.checksum);
            format!("{}/{key} {len} {crc:08x}", listed.bucket)
        };
        self.0.iter().map(tell).collect::<Vec<_>>().join(", ")
    }
}

/// Reads one value back and compares each byte; `step` lets the disk work.
///
/// # Errors
/// What the store says when it cannot be read.
pub(crate) fn compare(
    store: &mut Store,
    name: &Name,
    value: &Value,
    step: &mut dyn FnMut(&mut Store),
) -> Result<(), ReadError> {
    let bucket = BucketName::new(name.0).expect("a bucket's name");
    let key = Key::new(&name.1).expect("a key");
    let found = store.open_value(&bucket, &key).expect("a store that reads");
    let (_, mut reader) = found.unwrap_or_else(|| panic!("{name:?} is listed and not there"));
    let mut at = 0;
    loop {
        match store.read(&mut reader) {
            Poll::Pending => step(store),
            Poll::Ready(Ok(None)) => break,
            Poll::Ready(Ok(Some(piece))) => {
                let expected = value.bytes.get(at..at + piece.len());
                assert!(
                    expected == Some(&*piece),
                    "{name:?} has other bytes at {at}"
                );
                at += piece.len();
            }
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
    assert_eq!(at, value.bytes.len(), "{name:?} is shorter");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }
}
