//! What a store should show: a map, and one state of it after each batch.

use sim::random::Random;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use store::{At, BucketName, Key, KeyQuery, ReadError, SnapshotName, Store};

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
    /// When it is over, milliseconds since 1970, if it ever is.
    pub(crate) expires_ms: Option<u64>,
}

impl Value {
    pub(crate) fn new(bytes: Vec<u8>) -> Rc<Value> {
        let crc = crc32c(&bytes);
        let expires_ms = None;
        Rc::new(Value {
            bytes,
            crc,
            expires_ms,
        })
    }

    /// Of so many bytes, like no other.
    pub(crate) fn draw(random: &mut Random, len: usize) -> Rc<Value> {
        Value::new(random.bytes(len))
    }

    /// The same with an end.
    pub(crate) fn ending(self: Rc<Value>, expires_ms: u64) -> Rc<Value> {
        Rc::new(Value {
            bytes: self.bytes.clone(),
            expires_ms: Some(expires_ms),
            ..*self
        })
    }
}

/// Values by their names.
pub(crate) type Values = BTreeMap<Name, Rc<Value>>;

/// All there is after one batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) values: Values,
    /// What each snapshot shows.
    pub(crate) snapshots: BTreeMap<String, Rc<Values>>,
    /// What the last batch changed.
    pub(crate) touched: Vec<Name>,
}

impl State {
    /// A state to be changed by the next batch.
    pub(crate) fn next(&self) -> State {
        State {
            values: self.values.clone(),
            snapshots: self.snapshots.clone(),
            touched: Vec::new(),
        }
    }

    pub(crate) fn put(&mut self, name: Name, value: Rc<Value>) {
        self.touched.push(name.clone());
        self.values.insert(name, value);
    }

    pub(crate) fn take_snapshot(&mut self, name: &str) {
        let values = Rc::new(self.values.clone());
        self.snapshots.insert(name.to_owned(), values);
    }

    /// Back to a snapshot, in one bucket or in all.
    pub(crate) fn roll_back(&mut self, to: &str, bucket: Option<&str>) {
        let then = Rc::clone(&self.snapshots[to]);
        let concerned = |name: &Name| bucket.is_none_or(|bucket| bucket == name.0);
        self.values.retain(|name, _| !concerned(name));
        let then = then.iter().filter(|(name, _)| concerned(name));
        self.values
            .extend(then.map(|(name, value)| (name.clone(), Rc::clone(value))));
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
    expires_ms: Option<u64>,
}

impl Listed {
    fn is(&self, name: &Name, value: &Value) -> bool {
        self.bucket == name.0
            && self.key == name.1
            && self.len_bytes == value.bytes.len() as u64
            && self.checksum == value.crc
            && self.expires_ms == value.expires_ms
    }
}

/// What a store lists, in order: now, and in each snapshot.
pub(crate) struct Listing {
    now: Vec<Listed>,
    snapshots: BTreeMap<String, Vec<Listed>>,
}

/// Lists everything.
pub(crate) fn list(store: &mut Store) -> Listing {
    let snapshots = store.snapshots().expect("a store that reads");
    // What a restore that was cut off has left is on its way out.
    let lasting = snapshots.into_iter();
    let lasting = lasting.filter(|snapshot| !snapshot.name.is_of_restore());
    let snapshots = lasting.map(|snapshot| {
        let at = at(store, snapshot.name.as_str());
        let listed = list_at(store, at);
        let keys = listed.len() as u64;
        assert_eq!(snapshot.keys, keys, "of {}", snapshot.name.as_str());
        (snapshot.name.as_str().to_owned(), listed)
    });
    Listing {
        snapshots: snapshots.collect(),
        now: list_at(store, At::NOW),
    }
}

/// The state a snapshot shows.
pub(crate) fn at(store: &Store, name: &str) -> At {
    let name = SnapshotName::new(name).expect("a snapshot's name");
    let at = store.at(&name).expect("a store that reads");
    at.expect("a snapshot that is listed")
}

fn list_at(store: &mut Store, at: At) -> Vec<Listed> {
    let query = KeyQuery {
        limit: usize::MAX,
        at,
        ..KeyQuery::default()
    };
    let mut listed = Vec::new();
    for bucket in ["b", "c"].map(|name| BucketName::new(name).expect("a bucket's name")) {
        let page = store.keys(&bucket, &query).expect("a store that reads");
        listed.extend(page.keys.into_iter().map(|(key, metadata)| Listed {
            bucket: bucket.as_str().to_owned(),
            key: key.as_bytes().to_vec(),
            len_bytes: metadata.len_bytes,
            checksum: metadata.checksum,
            expires_ms: metadata.expires_wall_ms,
        }));
    }
    listed
}

fn is_list_of(listed: &[Listed], values: &Values) -> bool {
    let mut both = listed.iter().zip(values);
    listed.len() == values.len() && both.all(|(listed, (name, value))| listed.is(name, value))
}

impl Listing {
    /// Whether it is this state: every key and no other, each value's length and checksum, and
    /// the same of every snapshot and of no other.
    pub(crate) fn is(&self, state: &State) -> bool {
        let mut both = self.snapshots.iter().zip(&state.snapshots);
        is_list_of(&self.now, &state.values)
            && self.snapshots.len() == state.snapshots.len()
            && both.all(|((name, listed), (expected, values))| {
                name == expected && is_list_of(listed, values)
            })
    }

    /// For a failure's report.
    pub(crate) fn tell(&self) -> String {
        let tell = |listed: &Listed| {
            let (key, len, crc) = (listed.key.escape_ascii(), listed.len_bytes, listed.checksum);
            format!("{}/{key} {len} {crc:08x}", listed.bucket)
        };
        let tell = |listed: &[Listed]| listed.iter().map(tell).collect::<Vec<_>>().join(", ");
        let snapshots = self.snapshots.iter();
        let snapshots = snapshots.map(|(name, listed)| format!("; {name}: {}", tell(listed)));
        tell(&self.now) + &snapshots.collect::<String>()
    }
}

/// Reads one value back and compares each byte; `step` lets the disk work.
///
/// # Errors
/// What the store says when it cannot be read.
pub(crate) fn compare(
    store: &mut Store,
    at: At,
    (name, value): (&Name, &Value),
    step: &mut dyn FnMut(&mut Store),
) -> Result<(), ReadError> {
    let bucket = BucketName::new(name.0).expect("a bucket's name");
    let key = Key::new(&name.1).expect("a key");
    let found = store
        .open_value(at, &bucket, &key)
        .expect("a store that reads");
    let (_, mut reader) = found.unwrap_or_else(|| panic!("{name:?} is listed and not there"));
    let mut done = 0;
    loop {
        match store.read(&mut reader) {
            Poll::Pending => step(store),
            Poll::Ready(Ok(None)) => break,
            Poll::Ready(Ok(Some(piece))) => {
                let expected = value.bytes.get(done..done + piece.len());
                assert!(
                    expected == Some(&*piece),
                    "{name:?} has other bytes at {done}"
                );
                done += piece.len();
            }
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
    assert_eq!(done, value.bytes.len(), "{name:?} is shorter");
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
