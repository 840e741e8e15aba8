//! Taking a backup in: each block checked, and that together they are one whole backup.

use super::block::{BODY_BYTES_MAX, HEAD_BYTES, Head, MAGIC};
use super::item::{self, BucketHead, End, EntryHead, Header, IGNORABLE, Item, Loss, Wrong};
use crate::format::checksum::crc32c;
use crate::format::layout::CHUNK_BYTES;
use crate::name::{BucketName, Key};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use xxhash_rust::xxh3::Xxh3;

/// A stream that is no backup, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where in the stream: the first byte of the block that is wrong, or not all there.
    pub offset_bytes: u64,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at byte {} of the backup: {}",
            self.offset_bytes, self.what
        )
    }
}

impl core::error::Error for Broken {}

const CHANGED: &str = "a block is not what was written: it was changed, or some are missing";
const ENDS_EARLY: &str = "it ends in the middle; the rest was never received or has been cut off";
const NO_BACKUP: &str = "this is no backup of a Lampion store";
const NEWER: &str = "it was written by a newer release, which has to restore it";
const NONSENSE: &str = "a block says what no backup can say";
const DISORDER: &str = "a block stands where it cannot";
const VALUE: &str = "a value is not as long as it should be, or not what its checksum says";
const SUMS: &str = "the end says that other blocks came before it";
const GOES_ON: &str = "something follows the end of the backup";

/// The value being taken in.
struct Open {
    left_bytes: u64,
    crc: u32,
    wanted_crc: u32,
}

impl Open {
    fn ends_wrong(&self) -> bool {
        self.left_bytes == 0 && self.crc != self.wanted_crc
    }
}

/// Takes a backup in, piece by piece.
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the block in the buffer begins.
    offset: u64,
    number: u64,
    seed: u32,
    hash: Box<Xxh3>,
    sums: End,
    buckets: u32,
    header: Option<Header>,
    bucket: Option<BucketName>,
    key: Option<Key>,
    open: Option<Open>,
    ready: VecDeque<Item>,
    ended: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            buffer: Vec::new(),
            offset: 0,
            number: 0,
            seed: 0,
            hash: Box::new(Xxh3::new()),
            sums: End::default(),
            buckets: 0,
            header: None,
            bucket: None,
            key: None,
            open: None,
            ready: VecDeque::new(),
            ended: false,
        }
    }
}

impl Decoder {
    /// Takes some of `input`, as much as belongs to the next item; how much, and the item.
    ///
    /// Call again with the rest: there may be an item in it, or one left from what was taken.
    /// With neither, the next bytes of the stream are needed. Holds at most one block, 70 KiB.
    ///
    /// # Errors
    /// [`Broken`]; nothing after it can be believed.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Item>), Broken> {
        if let Some(item) = self.ready.pop_front() {
            return Ok((0, Some(item)));
        }
        let mut used = 0;
        loop {
            let wanted = self.wanted()?;
            if wanted == self.buffer.len() {
                break;
            }
            let rest = &input[used..];
            let taken = rest.len().min(wanted - self.buffer.len());
            if taken == 0 {
                return Ok((used, None));
            }
            if self.ended {
                return Err(self.broken(GOES_ON));
            }
            self.buffer.extend_from_slice(&rest[..taken]);
            used += taken;
        }
        self.block()?;
        Ok((used, self.ready.pop_front()))
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// If it should have gone on.
    pub fn finish(&self) -> Result<(), Broken> {
        match self.ended {
            true => Ok(()),
            false => Err(self.broken(ENDS_EARLY)),
        }
    }

    fn broken(&self, what: &'static str) -> Broken {
        Broken {
            offset_bytes: self.offset,
            what,
        }
    }

    /// Bytes of the block in the buffer, as far as that is known.
    fn wanted(&self) -> Result<usize, Broken> {
        let start = self.start();
        if self.buffer.len() < start + HEAD_BYTES {
            let so_far = &self.buffer[..self.buffer.len().min(start)];
            if !MAGIC.starts_with(so_far) {
                return Err(self.broken(NO_BACKUP));
            }
            return Ok(start + HEAD_BYTES);
        }
        if !self.buffer.starts_with(&MAGIC[..start]) {
            return Err(self.broken(NO_BACKUP));
        }
        match Head::decode(&self.buffer[start..]) {
            Some(head) => Ok(start + HEAD_BYTES + head.len),
            None => Err(self.broken(CHANGED)),
        }
    }

    /// The first block comes behind the magic.
    fn start(&self) -> usize {
        match self.number {
            0 => MAGIC.len(),
            _ => 0,
        }
    }

    /// The block in the buffer is complete.
    fn block(&mut self) -> Result<(), Broken> {
        let buffer = core::mem::take(&mut self.buffer);
        let start = self.start();
        let head = Head::decode(&buffer[start..]).ok_or_else(|| self.broken(CHANGED))?;
        let body = &buffer[start + HEAD_BYTES..];
        if !head.is_of((self.seed, self.number), body) {
            return Err(self.broken(CHANGED));
        }
        self.complete(head.kind)?;
        self.read(head.kind, body)?;
        if self.number == 0 {
            self.seed = head.crc;
        }
        self.hash.update(&buffer);
        self.number += 1;
        self.offset += buffer.len() as u64;
        self.buffer = buffer;
        self.buffer.clear();
        debug_assert!(self.buffer.capacity() <= 2 * (BODY_BYTES_MAX + HEAD_BYTES));
        Ok(())
    }

    fn read(&mut self, kind: u8, body: &[u8]) -> Result<(), Broken> {
        let in_order = match kind {
            item::HEADER => self.number == 0,
            item::BUCKET | item::END => self.header.is_some() && self.open.is_none(),
            item::ENTRY => self.bucket.is_some() && self.open.is_none(),
            item::DATA | item::LOST => self.open.is_some(),
            _ => self.number > 0,
        };
        if !in_order {
            return Err(self.broken(DISORDER));
        }
        let item = match kind {
            item::HEADER => self.header(body)?,
            item::BUCKET => self.bucket(body)?,
            item::ENTRY => return self.entry(body),
            item::DATA => self.data(body)?,
            item::LOST => self.lost(body)?,
            item::END => self.end(body)?,
            kind if kind & IGNORABLE != 0 => return Ok(()),
            _ => return Err(self.broken(NEWER)),
        };
        self.ready.push_back(item);
        Ok(())
    }

    fn header(&mut self, body: &[u8]) -> Result<Item, Broken> {
        let header = Header::decode(body).map_err(|wrong| match wrong {
            Wrong::Newer => self.broken(NEWER),
            Wrong::Nonsense => self.broken(NONSENSE),
        })?;
        self.header = Some(header.clone());
        Ok(Item::Header(header))
    }

    fn bucket(&mut self, body: &[u8]) -> Result<Item, Broken> {
        let head = BucketHead::decode(body).ok_or_else(|| self.broken(NONSENSE))?;
        if self.bucket.as_ref().is_some_and(|last| *last >= head.name) {
            return Err(self.broken(DISORDER));
        }
        let promised = self.header.as_ref().map_or(0, |header| header.buckets);
        if self.buckets == promised {
            return Err(self.broken(SUMS));
        }
        self.bucket = Some(head.name.clone());
        self.key = None;
        self.buckets += 1;
        Ok(Item::Bucket(head))
    }

    fn entry(&mut self, body: &[u8]) -> Result<(), Broken> {
        let (head, first) = EntryHead::decode(body).ok_or_else(|| self.broken(NONSENSE))?;
        if self.key.as_ref().is_some_and(|last| *last >= head.key) {
            return Err(self.broken(DISORDER));
        }
        self.key = Some(head.key.clone());
        self.sums.entries += 1;
        self.open = Some(Open {
            left_bytes: head.len_bytes,
            crc: 0,
            wanted_crc: head.checksum,
        });
        self.ready.push_back(Item::Entry(head));
        if !first.is_empty() {
            let data = self.data(first)?;
            self.ready.push_back(data);
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<Item, Broken> {
        let left = self.open.as_mut().and_then(|open| {
            open.crc = crc32c(open.crc, bytes);
            open.left_bytes = open.left_bytes.checked_sub(bytes.len() as u64)?;
            Some(())
        });
        let ends_wrong = self.open.as_ref().is_some_and(Open::ends_wrong);
        if left.is_none() || bytes.is_empty() || bytes.len() > CHUNK_BYTES || ends_wrong {
            return Err(self.broken(VALUE));
        }
        self.sums.data_bytes += bytes.len() as u64;
        Ok(Item::Data(Vec::from(bytes)))
    }

    /// A value of which all bytes have come is complete, unless the next block says otherwise.
    fn complete(&mut self, next_kind: u8) -> Result<(), Broken> {
        match &self.open {
            Some(open) if open.left_bytes == 0 && next_kind != item::LOST => {
                if open.crc != open.wanted_crc {
                    return Err(self.broken(VALUE));
                }
                self.open = None;
                self.ready.push_back(Item::Complete);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, body: &[u8]) -> Result<Item, Broken> {
        let loss = Loss::decode(body).ok_or_else(|| self.broken(NONSENSE))?;
        self.open = None;
        self.sums.lost += 1;
        Ok(Item::Lost(loss))
    }

    fn end(&mut self, body: &[u8]) -> Result<Item, Broken> {
        let end = End::decode(body).ok_or_else(|| self.broken(NONSENSE))?;
        let hash = self.hash.digest();
        let wanted = End { hash, ..self.sums };
        let header = self.header.as_ref();
        let promised = header.is_some_and(|header| {
            (header.keys, header.buckets) == (self.sums.entries, self.buckets)
        });
        if end != wanted || !promised {
            return Err(self.broken(SUMS));
        }
        self.ended = true;
        Ok(Item::End(end))
    }
}
