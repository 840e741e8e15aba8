//! The log of writes that QEMU's `blklogwrites` keeps.
//!
//! Source: Linux `Documentation/admin-guide/device-mapper/log-writes.rst`: a
//! superblock of one sector, then entries of one sector with their data.

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
const SECTOR: usize = 512;

/// One operation that reached the disk, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Bytes of the log up to the end of this entry.
    pub(crate) log_end: u64,
    /// Whether it is a flush.
    pub(crate) flush: bool,
    disk_offset: usize,
    data_offset: usize,
    data_len: usize,
}

/// The whole log.
pub(crate) struct Log {
    bytes: Vec<u8>,
    /// In order.
    pub(crate) entries: Vec<Entry>,
}

impl Log {
    /// Reads a log that nobody writes any more.
    pub(crate) fn parse(bytes: Vec<u8>) -> Log {
        let word = |at: usize| {
            let field = bytes.get(at..at + 8).expect("the log holds whole entries");
            u64::from_le_bytes(field.try_into().expect("eight bytes"))
        };
        assert_eq!(word(0), MAGIC, "not a log of writes");
        let mut entries = Vec::new();
        let mut at = SECTOR;
        while at + SECTOR <= bytes.len() {
            let (sector, sectors, flags) = (word(at), word(at + 8), word(at + 16));
            let data_len = if flags & DISCARD != 0 {
                0
            } else {
                sectors as usize * SECTOR
            };
            let data_offset = at + SECTOR;
            if data_offset + data_len > bytes.len() {
                break;
            }
            at = data_offset + data_len;
            let flush = flags & FLUSH != 0;
            let disk_offset = sector as usize * SECTOR;
            entries.push(Entry {
                log_end: at as u64,
                flush,
                disk_offset,
                data_offset,
                data_len,
            });
        }
        Log { bytes, entries }
    }

    /// Does to `disk` what the entry did.
    pub(crate) fn apply(&self, entry: &Entry, disk: &mut [u8]) {
        let data = &self.bytes[entry.data_offset..entry.data_offset + entry.data_len];
        disk[entry.disk_offset..entry.disk_offset + entry.data_len].copy_from_slice(data);
    }
}
