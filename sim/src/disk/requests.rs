//! What a guest asks for, and what becomes of it.

use super::{Disk, Flush, IoError, SECTOR, SECTOR_BYTES, faults};

impl Disk {
    /// What the guest sees: durable content under what was written and not flushed.
    pub fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), IoError> {
        self.check(offset, into.len() as u64)?;
        if self.chances.fails(self.faults.read_error) {
            self.chances.garble(into);
            return Err(IoError::Failed);
        }
        let offset = self.placed(self.faults.misdirected_read, offset, into.len() as u64);
        let sectors = offset / SECTOR_BYTES..(offset + into.len() as u64) / SECTOR_BYTES;
        if self.chances.strikes(self.faults.latent_error) {
            let worn = sectors.start + self.chances.below(sectors.end - sectors.start);
            self.unreadable.insert(worn);
        }
        let mut unreadable = self.unreadable.range(sectors);
        if unreadable.any(|sector| !self.cache.holds(*sector)) {
            self.chances.garble(into);
            return Err(IoError::Failed);
        }
        self.visible(offset, into);
        Ok(())
    }

    /// Writes into the volatile cache.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), IoError> {
        self.check(offset, bytes.len() as u64)?;
        if self.chances.fails(self.faults.write_error) {
            self.put_some(offset, bytes, faults::HALF);
            return Err(IoError::Failed);
        }
        if self.chances.strikes(self.faults.lost_write) {
            return Ok(());
        }
        let offset = self.placed(self.faults.misdirected_write, offset, bytes.len() as u64);
        self.put(offset, bytes);
        if self.chances.strikes(self.faults.corrupt_write) {
            let bit = self.chances.below(bytes.len() as u64 * 8);
            let sector = offset / SECTOR_BYTES + bit / (SECTOR_BYTES * 8);
            self.cache.rot(sector, (bit % (SECTOR_BYTES * 8)) as usize);
        }
        Ok(())
    }

    /// Writes zeros into the volatile cache, unless [`super::Faults::ignored_discard`] says
    /// otherwise.
    pub fn discard(&mut self, offset: u64, len_bytes: u64) -> Result<(), IoError> {
        self.check(offset, len_bytes)?;
        if self.faults.no_discard {
            return Err(IoError::NotOffered);
        }
        let zeros = vec![0; len_bytes as usize];
        if self.chances.fails(self.faults.write_error) {
            self.put_some(offset, &zeros, faults::HALF);
            return Err(IoError::Failed);
        }
        self.put_some(offset, &zeros, self.faults.ignored_discard);
        Ok(())
    }

    /// Makes durable all that was written before, if [`Flush::Works`].
    pub fn flush(&mut self) -> Result<(), IoError> {
        if self.faults.flush == Flush::NotOffered {
            return Err(IoError::NotOffered);
        }
        let drawn = self.chances.fails(self.faults.flush_error);
        if drawn || self.faults.flush == Flush::Fails {
            if self.chances.strikes(self.faults.forgetful_flush_error) {
                self.cache.strand();
            }
            return Err(IoError::Failed);
        }
        if self.faults.flush == Flush::Lies {
            return Ok(());
        }
        for (sector, version) in self.cache.take_flushable() {
            self.settle(sector, &version);
        }
        if self.cache.len() == 0 {
            self.log.flush();
        }
        Ok(())
    }

    fn check(&self, offset: u64, len_bytes: u64) -> Result<(), IoError> {
        let whole = offset.is_multiple_of(SECTOR_BYTES) && len_bytes.is_multiple_of(SECTOR_BYTES);
        if !whole || len_bytes == 0 {
            return Err(IoError::Unaligned);
        }
        let end = offset.checked_add(len_bytes);
        if end.is_none_or(|end| end > self.len_bytes) {
            return Err(IoError::OutOfRange);
        }
        Ok(())
    }

    /// Where a request for `offset` goes.
    fn placed(&mut self, chance: u32, offset: u64, len_bytes: u64) -> u64 {
        let elsewhere = (self.len_bytes - len_bytes) / SECTOR_BYTES;
        if !self.chances.strikes(chance) || elsewhere == 0 {
            return offset;
        }
        let drawn = self.chances.below(elsewhere) * SECTOR_BYTES;
        if drawn < offset {
            drawn
        } else {
            drawn + SECTOR_BYTES
        }
    }

    /// Puts each sector but for a chance, in runs as long as they are.
    fn put_some(&mut self, offset: u64, bytes: &[u8], omitted: u32) {
        let mut from = 0;
        for at in (0..bytes.len()).step_by(SECTOR) {
            if self.chances.strikes(omitted) {
                self.put(offset + from as u64, &bytes[from..at]);
                from = at + SECTOR;
            }
        }
        if from < bytes.len() {
            self.put(offset + from as u64, &bytes[from..]);
        }
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.log.write(offset, bytes);
        for (sector, bytes) in (offset / SECTOR_BYTES..).zip(bytes.chunks_exact(SECTOR)) {
            if let Some(version) = self.cache.put(sector, bytes) {
                self.settle(sector, &version);
            }
        }
    }
}
