//! What the blocks of a backup say.

use crate::format::codec::Cursor;
use crate::format::layout::METADATA_BYTES_MAX;
use crate::metadata;
use crate::name::{BucketName, Key};
use crate::request::{Headers, QuotaLimits, ReadError, Seq};
use alloc::boxed::Box;
use alloc::vec::Vec;

pub(super) const HEADER: u8 = 1;
pub(super) const BUCKET: u8 = 2;
pub(super) const ENTRY: u8 = 3;
pub(super) const DATA: u8 = 4;
pub(super) const LOST: u8 = 5;
pub(super) const END: u8 = 6;
/// Blocks of a newer release that may be passed over.
pub(super) const IGNORABLE: u8 = 0x80;

/// Of the format described here.
const VERSION: u32 = 1;

/// What the whole backup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The store it is of.
    pub store_id: [u8; 16],
    /// The state it is of: all changes up to this one.
    pub seq: Seq,
    /// When that state was, milliseconds since 1970.
    pub taken_wall_ms: u64,
    /// Keys in it.
    pub keys: u64,
    /// Bytes of keys, values and headers in it.
    pub live_bytes: u64,
    /// RAM that its index took.
    pub index_bytes: u64,
    /// Buckets in it.
    pub buckets: u32,
    /// Length of the disk it was on.
    pub device_bytes: u64,
    /// Of which snapshot, if it is not of the state when it began.
    pub snapshot: Option<Box<str>>,
    /// Which damage opening the store has met, if any: more may have been lost than is named.
    pub trouble: Option<Box<str>>,
}

/// A bucket; the entries that follow are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketHead {
    /// Its name.
    pub name: BucketName,
    /// Its quota.
    pub quota: QuotaLimits,
}

/// A key with its value, whose bytes follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// The key.
    pub key: Key,
    /// The change that wrote it.
    pub seq: Seq,
    /// When it was written, nanoseconds since 1970.
    pub modified_wall_ns: u64,
    /// Length of the value.
    pub len_bytes: u64,
    /// CRC32C of the value.
    pub checksum: u32,
    /// What was kept with it.
    pub headers: Headers,
}

/// Why the last entry has no value: it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where on the device.
    pub offset_bytes: u64,
    /// Whether the disk failed; else the bytes there were not what had been written.
    pub disk_failed: bool,
}

/// The sum of it all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Entries, lost ones included.
    pub entries: u64,
    /// Entries that were lost.
    pub lost: u64,
    /// Bytes of values, as far as they are there.
    pub data_bytes: u64,
    /// XXH3 (64 bits, seed 0) of all bytes of the stream before this block.
    pub(super) hash: u64,
}

/// One thing a backup says, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Comes first.
    Header(Header),
    /// Comes before its entries.
    Bucket(BucketHead),
    /// Comes before its bytes.
    Entry(EntryHead),
    /// Some bytes of the last entry's value.
    Data(Vec<u8>),
    /// The last entry's value is complete and is what was written.
    Complete,
    /// The last entry's value is not there.
    Lost(Loss),
    /// All is there.
    End(End),
}

/// Why a block is none.
pub(super) enum Wrong {
    /// A version that this release does not know.
    Newer,
    /// It says what no writer writes.
    Nonsense,
}

impl Header {
    /// How a stream with this header begins.
    #[cfg(test)]
    pub(crate) fn stream(&self) -> Vec<u8> {
        let mut out = Vec::from(super::block::MAGIC);
        super::block::put(&mut out, (0, 0), HEADER, &self.encode());
        out
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let snapshot = self.snapshot.as_deref().unwrap_or("");
        let mut out = Vec::new();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.store_id);
        // The second is where an incremental backup would begin.
        for number in [self.seq.0, 0, self.taken_wall_ms, self.keys] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.live_bytes, self.index_bytes, self.device_bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.buckets.to_le_bytes());
        out.push(snapshot.len() as u8);
        out.extend_from_slice(snapshot.as_bytes());
        let trouble = self.trouble.as_deref().unwrap_or("");
        out.extend_from_slice(&(trouble.len() as u16).to_le_bytes());
        out.extend_from_slice(trouble.as_bytes());
        out
    }

    pub(super) fn decode(body: &[u8]) -> Result<Header, Wrong> {
        let mut c = Cursor::new(body);
        let version = c.u32().ok_or(Wrong::Nonsense)?;
        if version != VERSION {
            return Err(Wrong::Newer);
        }
        let (header, since) = Header::fields(&mut c)
            .filter(|_| c.position() == body.len())
            .ok_or(Wrong::Nonsense)?;
        match since {
            0 => Ok(header),
            _ => Err(Wrong::Newer),
        }
    }

    fn fields(c: &mut Cursor<'_>) -> Option<(Header, u64)> {
        let store_id = c.array()?;
        let (seq, since) = (Seq(c.u64()?), c.u64()?);
        let (taken_wall_ms, keys) = (c.u64()?, c.u64()?);
        let (live_bytes, index_bytes, device_bytes) = (c.u64()?, c.u64()?, c.u64()?);
        let (buckets, len) = (c.u32()?, usize::from(c.u8()?));
        let snapshot = core::str::from_utf8(c.take(len)?).ok()?;
        let len = usize::from(c.u16()?);
        let trouble = core::str::from_utf8(c.take(len)?).ok()?;
        let text = |text: &str| (!text.is_empty()).then(|| text.into());
        let header = Header {
            store_id,
            seq,
            taken_wall_ms,
            keys,
            live_bytes,
            index_bytes,
            buckets,
            device_bytes,
            snapshot: text(snapshot),
            trouble: text(trouble),
        };
        Some((header, since))
    }
}

impl BucketHead {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.push(self.name.as_str().len() as u8);
        out.extend_from_slice(self.name.as_str().as_bytes());
        out.extend_from_slice(&self.quota.bytes.to_le_bytes());
        out.extend_from_slice(&self.quota.keys.to_le_bytes());
        out
    }

    pub(super) fn decode(body: &[u8]) -> Option<BucketHead> {
        let mut c = Cursor::new(body);
        let len = usize::from(c.u8()?);
        let name = core::str::from_utf8(c.take(len)?).ok()?;
        let name = BucketName::new(name).ok()?;
        let quota = QuotaLimits {
            bytes: c.u64()?,
            keys: c.u64()?,
        };
        (c.position() == body.len()).then_some(BucketHead { name, quota })
    }
}

impl EntryHead {
    /// With the first bytes of the value.
    pub(super) fn encode(&self, first: &[u8]) -> Vec<u8> {
        let metadata = metadata::encode(&self.headers);
        let mut out = Vec::new();
        for number in [self.seq.0, self.modified_wall_ns, self.len_bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.checksum.to_le_bytes());
        for bytes in [self.key.as_bytes(), &metadata] {
            out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(first);
        out
    }

    pub(super) fn decode(body: &[u8]) -> Option<(EntryHead, &[u8])> {
        let mut c = Cursor::new(body);
        let (seq, modified_wall_ns) = (Seq(c.u64()?), c.u64()?);
        let (len_bytes, checksum) = (c.u64()?, c.u32()?);
        let key_len = usize::from(c.u16()?);
        let key = Key::new(c.take(key_len)?).ok()?;
        let metadata_len = usize::from(c.u16()?);
        let metadata = c.take(metadata_len)?;
        let headers = metadata::decode(metadata)?;
        let entry = EntryHead {
            key,
            seq,
            modified_wall_ns,
            len_bytes,
            checksum,
            headers,
        };
        (metadata_len <= METADATA_BYTES_MAX).then_some((entry, c.rest()))
    }
}

impl Loss {
    pub(super) fn of(error: &ReadError) -> Option<Loss> {
        match *error {
            ReadError::Corrupt { offset_bytes } => Some(Loss {
                offset_bytes,
                disk_failed: false,
            }),
            ReadError::Io { offset_bytes } => Some(Loss {
                offset_bytes,
                disk_failed: true,
            }),
            ReadError::Memory => None,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from(self.offset_bytes.to_le_bytes());
        out.push(u8::from(self.disk_failed));
        out
    }

    pub(super) fn decode(body: &[u8]) -> Option<Loss> {
        let mut c = Cursor::new(body);
        let (offset_bytes, disk_failed) = (c.u64()?, c.u8()? != 0);
        (c.position() == body.len()).then_some(Loss {
            offset_bytes,
            disk_failed,
        })
    }
}

impl End {
    pub(super) fn encode(&self) -> Vec<u8> {
        let numbers = [self.entries, self.lost, self.data_bytes, self.hash];
        numbers.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    pub(super) fn decode(body: &[u8]) -> Option<End> {
        let mut c = Cursor::new(body);
        let end = End {
            entries: c.u64()?,
            lost: c.u64()?,
            data_bytes: c.u64()?,
            hash: c.u64()?,
        };
        (c.position() == body.len()).then_some(end)
    }
}
