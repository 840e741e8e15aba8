//! Reading values back, each byte checked.
//!
//! # Invariants
//!
//! - What is given out has the right checksum, key, bucket and sequence, or is
//!   an error; an error is final for its reader, counted, and logged.
//! - As long as a reader lives, no segment it may read from is reused.
//! - Of a large value only chunks are read that hold a byte to be given out.

use crate::blob::{Blob, PageRun};
use crate::cache::Cached;
use crate::fetch::{Fetch, FetchError, Unreadable};
use crate::format::checksum::crc32c;
use crate::format::layout::CHUNK_BYTES;
use crate::format::record::{self, Record};
use crate::index::{Form, Version};
use crate::large::Table;
use crate::metadata;
use crate::name::{BucketName, Key};
use crate::request::{At, Headers, Metadata, ReadError};
use crate::store::Store;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::ops::Range;
use core::task::Poll;

/// A run of memory, and where in it something lies.
type Piece = (Box<dyn PageRun>, Range<usize>);

/// A value on its way out; holds its place on the disk against reuse until dropped.
pub struct Reader {
    bucket: BucketName,
    key: Key,
    version: Version,
    headers: Option<Headers>,
    /// A value of one record.
    value: Option<Blob>,
    /// The record, or the next chunk, being read.
    fetch: Option<Fetch>,
    chunks: Option<(u64, Rc<Table>)>,
    /// The bytes of the value that are still to be given out.
    left: Range<u64>,
    /// The checksum of all chunks that were given out, unless the first was left out.
    crc: Option<u32>,
    failed: Option<ReadError>,
    /// The segment of the first record.
    segment: Hold,
    /// Those of chunks elsewhere, by their numbers.
    segments: BTreeMap<u32, Hold>,
}

/// A segment that is not reused meanwhile.
struct Hold {
    number: u32,
    generation: u64,
    token: Rc<()>,
}

impl Store {
    pub(crate) fn begin_reader(
        &mut self,
        at: At,
        bucket: &BucketName,
        key: &Key,
    ) -> Option<(Metadata, Reader)> {
        let shown = self.shown(at);
        let version = self.index.get_at(bucket.as_str(), key.as_bytes(), shown)?;
        if !self.shows(at, (bucket, key), &version) {
            return None;
        }
        Some((version.metadata(), self.reader_of(version, bucket, key)))
    }

    /// The same of what a view has, whether its time is over or not.
    pub(crate) fn reader_at(&mut self, at: At, bucket: &BucketName, key: &Key) -> Option<Reader> {
        let shown = self.shown(at);
        let version = self.index.get_at(bucket.as_str(), key.as_bytes(), shown)?;
        Some(self.reader_of(version, bucket, key))
    }

    fn reader_of(&mut self, version: Version, bucket: &BucketName, key: &Key) -> Reader {
        let mut reader = Reader {
            bucket: bucket.clone(),
            key: key.clone(),
            version,
            headers: None,
            value: None,
            fetch: None,
            chunks: None,
            left: 0..u64::from(version.value_len),
            crc: Some(0),
            failed: None,
            segment: self.hold(version.pos),
            segments: BTreeMap::new(),
        };
        if version.form == Form::Chunked {
            let table = self.large.of_manifest(version.seq);
            reader.chunks =
                Some(table.map_or((0, Rc::default()), |(id, table)| (id, Rc::clone(table))));
            if let Some((_, table)) = reader.chunks.clone() {
                let there = table
                    .positions
                    .iter()
                    .filter(|pos| **pos != crate::large::MISSING);
                there.for_each(|pos| self.hold_segment(&mut reader, *pos));
            }
        } else if let Some(cached) = self.cache.get(version.pos)
            && let Some(headers) = metadata::decode(&cached.metadata)
        {
            reader.headers = Some(headers);
            reader.value = (!cached.value.is_empty()).then(|| cached.value.clone());
        }
        reader
    }

    fn hold(&self, pos: u64) -> Hold {
        Hold {
            number: self.segments.number_of(pos),
            generation: self.segments.generation_at(pos),
            token: self.segments.hold(pos),
        }
    }

    fn hold_segment(&self, reader: &mut Reader, pos: u64) {
        let number = self.segments.number_of(pos);
        if number != reader.segment.number {
            let others = reader.segments.entry(number);
            others.or_insert_with(|| self.hold(pos));
        }
    }

    /// Reads the record of `len` bytes at `pos`; the run, and where the record lies in it.
    fn poll_record(
        &mut self,
        reader: &mut Reader,
        pos: u64,
        len: usize,
    ) -> Poll<Result<Piece, ReadError>> {
        let sector = self
            .disk
            .known_geometry()
            .map_or(512, |geometry| geometry.sector_bytes);
        let sector = u64::from(sector);
        let start = pos - pos % sector;
        let end = (pos + len as u64).next_multiple_of(sector);
        let hold = reader.hold_of(self.segments.number_of(pos));
        let hold = hold.map(|hold| Rc::clone(&hold.token));
        let mut fetch = match reader.fetch.take() {
            Some(fetch) => fetch,
            None => {
                let range = (start, (end - start) as usize);
                let mut begun =
                    Fetch::begin(&mut self.disk, range, Unreadable::Fails, hold.clone());
                if begun.is_err() {
                    self.cache.shrink_to(0);
                    begun = Fetch::begin(&mut self.disk, range, Unreadable::Fails, hold);
                }
                match begun {
                    Ok(fetch) => fetch,
                    Err(_) => return Poll::Ready(Err(ReadError::Memory)),
                }
            }
        };
        match fetch.poll(&mut self.disk) {
            Poll::Pending => {
                reader.fetch = Some(fetch);
                Poll::Pending
            }
            Poll::Ready(Ok(run)) => {
                let at = (pos - start) as usize;
                Poll::Ready(Ok((run, at..at + len)))
            }
            Poll::Ready(Err(FetchError::Memory)) => Poll::Ready(Err(ReadError::Memory)),
            Poll::Ready(Err(FetchError::Io(offset_bytes))) => {
                log::error!("store: read failed at {offset_bytes} for {reader:?}");
                Poll::Ready(Err(ReadError::Io { offset_bytes }))
            }
        }
    }

    fn corrupt(&mut self, reader: &Reader, offset_bytes: u64) -> ReadError {
        self.counts.corruptions += 1;
        log::error!("store: checksum mismatch at {offset_bytes} for {reader:?}");
        ReadError::Corrupt { offset_bytes }
    }

    fn seed_at(&self, reader: &Reader, pos: u64) -> u32 {
        let hold = reader.hold_of(self.segments.number_of(pos));
        let generation = hold.map_or(0, |hold| hold.generation);
        self.seeds().place(generation, pos)
    }

    /// Gets as far as the headers: the first record has been read and checked.
    pub(crate) fn poll_first(&mut self, reader: &mut Reader) -> Poll<Result<(), ReadError>> {
        if let Some(error) = &reader.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if reader.headers.is_some() {
            return Poll::Ready(Ok(()));
        }
        let (bucket, key) = (reader.bucket.as_str(), reader.key.as_bytes());
        let (pos, len) = (
            reader.version.pos,
            reader.version.record_len(bucket, key) as usize,
        );
        let result = match self.poll_record(reader, pos, len) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok((run, range))) => self.check_first(reader, run, range),
        };
        if let Err(error) = &result
            && *error != ReadError::Memory
        {
            reader.failed = Some(error.clone());
        }
        Poll::Ready(result)
    }

    fn check_first(
        &mut self,
        reader: &mut Reader,
        run: Box<dyn PageRun>,
        range: Range<usize>,
    ) -> Result<(), ReadError> {
        let entry = reader.version;
        let seed = self.seed_at(reader, entry.pos);
        let found = record::decode(&run.bytes()[range.clone()], seed);
        let checked = found.and_then(|found| {
            let (owner, metadata, crc, len) = match found.record {
                Record::Put {
                    owner,
                    metadata,
                    value_crc,
                    value,
                } if entry.form == Form::Whole => (owner, metadata, value_crc, value.len() as u64),
                Record::Manifest {
                    owner,
                    metadata,
                    value_crc,
                    value_len,
                    upload,
                } if reader.chunks.as_ref().is_some_and(|(id, _)| *id == upload) => {
                    (owner, metadata, value_crc, value_len)
                }
                _ => return None,
            };
            let ours = owner.bucket == reader.bucket.as_str()
                && owner.key == reader.key.as_bytes()
                && owner.seq == entry.seq
                && crc == entry.checksum
                && len == u64::from(entry.value_len);
            let data = range.start + found.data.start..range.start + found.data.end;
            ours.then_some((metadata::decode(metadata)?, Rc::from(metadata), data))
        });
        let Some((headers, metadata, data)) = checked else {
            return Err(self.corrupt(reader, entry.pos));
        };
        reader.headers = Some(headers);
        if entry.form == Form::Whole && !data.is_empty() {
            let held = run.bytes().len() as u64;
            let value = Blob::new(run, data);
            let current = self
                .index
                .get(reader.bucket.as_str(), reader.key.as_bytes());
            if current.is_some_and(|current| current.pos == entry.pos) {
                self.cache.shrink_to(self.cache_budget());
                let cached = Cached {
                    value: value.clone(),
                    metadata,
                };
                self.cache.insert(entry.pos, cached, held);
            }
            reader.value = Some(value);
        }
        Ok(())
    }

    pub(crate) fn poll_value(
        &mut self,
        reader: &mut Reader,
    ) -> Poll<Result<Option<Blob>, ReadError>> {
        match self.poll_first(reader) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        let left = reader.left.clone();
        if left.is_empty() {
            return Poll::Ready(Ok(None));
        }
        let Some((upload, table)) = reader.chunks.clone() else {
            reader.left.start = left.end;
            let value = reader.value.as_ref();
            let piece = value.map(|value| value.slice(left.start as usize..left.end as usize));
            return Poll::Ready(Ok(piece));
        };
        let number = (left.start / CHUNK_BYTES as u64) as u32;
        let before = u64::from(number) * CHUNK_BYTES as u64;
        let behind = u64::from(reader.version.value_len) - before;
        let data_len = behind.min(CHUNK_BYTES as u64) as usize;
        let Some(pos) = table.position(number) else {
            let error = self.corrupt(reader, reader.version.pos);
            reader.failed = Some(error.clone());
            return Poll::Ready(Err(error));
        };
        let record_len = record::chunk_len(upload, number, data_len);
        let result = match self.poll_record(reader, pos, record_len) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok((run, range))) => {
                self.check_chunk(reader, (upload, number, pos, data_len), run, range)
            }
        };
        if let Err(error) = &result
            && *error != ReadError::Memory
        {
            reader.failed = Some(error.clone());
        }
        Poll::Ready(result.map(Some))
    }

    fn check_chunk(
        &mut self,
        reader: &mut Reader,
        (upload, number, pos, data_len): (u64, u32, u64, usize),
        run: Box<dyn PageRun>,
        range: Range<usize>,
    ) -> Result<Blob, ReadError> {
        let seed = self.seed_at(reader, pos);
        let data = match record::decode(&run.bytes()[range.clone()], seed) {
            Some(found) => match found.record {
                Record::Chunk {
                    upload: u,
                    number: n,
                    data,
                } => {
                    let ours = u == upload && n == number && data.len() == data_len;
                    ours.then_some(range.start + found.data.start..range.start + found.data.end)
                }
                _ => None,
            },
            None => None,
        };
        let Some(data) = data else {
            return Err(self.corrupt(reader, pos));
        };
        reader.crc = reader
            .crc
            .map(|crc| crc32c(crc, &run.bytes()[data.clone()]));
        let before = u64::from(number) * CHUNK_BYTES as u64;
        let end = before + data_len as u64;
        let last = end == u64::from(reader.version.value_len);
        if last && reader.crc.is_some_and(|crc| crc != reader.version.checksum) {
            return Err(self.corrupt(reader, pos));
        }
        let from = (reader.left.start - before) as usize;
        let to = (reader.left.end.min(end) - before) as usize;
        reader.left.start = before + to as u64;
        Ok(Blob::new(run, data.start + from..data.start + to))
    }
}

impl core::fmt::Debug for Reader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let key = self.key.as_bytes().escape_ascii();
        write!(
            f,
            "bucket {} key {key} sequence {}",
            self.bucket.as_str(),
            self.version.seq
        )
    }
}

impl Reader {
    /// Whether all of it is in memory.
    pub(crate) fn is_cached(&self) -> bool {
        self.headers.is_some()
    }

    /// Leaves only `bytes` of the value to [`Store::read`]; to be said before it is asked.
    ///
    /// Chunks without a byte of them are not read, so that damage there goes unseen.
    /// What is given out is checked as ever: each chunk has a checksum of its own.
    ///
    /// # Panics
    /// If `bytes` does not lie inside the value, or while a piece is being read.
    #[must_use]
    pub fn narrow(mut self, bytes: Range<u64>) -> Self {
        let inside = self.left.start <= bytes.start && bytes.end <= self.left.end;
        assert!(
            inside && bytes.start <= bytes.end && self.fetch.is_none(),
            "a part lies inside the value, and is said before it is read"
        );
        if bytes.start >= CHUNK_BYTES as u64 {
            self.crc = None;
        }
        self.left = bytes;
        self
    }

    /// Goes on at another part of the value, once one was given out.
    ///
    /// # Panics
    /// If `bytes` does not lie inside the value, or while a piece is being read.
    pub fn seek(&mut self, bytes: Range<u64>) {
        let inside = bytes.start <= bytes.end && bytes.end <= u64::from(self.version.value_len);
        assert!(
            inside && self.left.is_empty() && self.fetch.is_none(),
            "a part lies inside the value, and the one before was read"
        );
        self.crc = None;
        self.left = bytes;
    }

    fn hold_of(&self, number: u32) -> Option<&Hold> {
        match number == self.segment.number {
            true => Some(&self.segment),
            false => self.segments.get(&number),
        }
    }

    /// The headers, once [`Store::headers`] was ready.
    pub(crate) fn known_headers(&self) -> Headers {
        self.headers.clone().unwrap_or_default()
    }
}
