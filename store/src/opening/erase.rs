//! Formatting: what is on the device goes, a new store begins.

use super::{BLANK_READ_BYTES, Next, Stage, hex, number_of};
use crate::draft::Writes;
use crate::fetch::{Fetch, Unreadable};
use crate::format::checksum::Seeds;
use crate::format::layout::{Layout, MIB, UNIT_BYTES_MAX};
use crate::format::segment;
use crate::format::superblock::Superblock;
use crate::guard;
use crate::options::FormatPermission;
use crate::segments::Segments;
use crate::store::Store;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::task::Poll;

impl Store {
    /// Blank is: the first and the last MiB are all zero.
    pub(super) fn look_for_blank(
        &mut self,
        mut at: u64,
        read: Option<Fetch>,
        unreadable: Unreadable,
        formatted: &mut bool,
    ) -> Next {
        let geometry = self.disk.known_geometry().expect("the device was met");
        let sector = u64::from(geometry.sector_bytes);
        let len = geometry.len_bytes / sector * sector;
        let again = |at, read| Stage::Blank {
            at,
            read,
            unreadable,
        };
        let range = (at, BLANK_READ_BYTES as usize);
        let begun = read.map_or_else(|| Fetch::begin(&mut self.disk, range, unreadable, None), Ok);
        let Ok(mut fetch) = begun else {
            return Next::Wait(again(at, None));
        };
        let zero = match fetch.poll(&mut self.disk) {
            Poll::Pending => return Next::Wait(again(at, Some(fetch))),
            Poll::Ready(Ok(run)) => run.bytes().iter().all(|byte| *byte == 0),
            Poll::Ready(Err(_)) => false,
        };
        at += BLANK_READ_BYTES;
        if zero && at == MIB {
            at = len - MIB;
        }
        if zero && at < len {
            return Next::Stage(again(at, None));
        }
        let allowed = zero || self.options.format == FormatPermission::Foreign;
        if !allowed || *formatted {
            return self.refuse(String::from(
                "the disk is not blank and holds no store; to erase it and use it, set disk.format=yes",
            ));
        }
        *formatted = true;
        self.begin_formatting(0)
    }

    /// Segment 0 first, then the superblock: what has a superblock has a log.
    pub(super) fn begin_formatting(&mut self, counter: u64) -> Next {
        let geometry = self.disk.known_geometry().expect("the device was met");
        if geometry.read_only {
            return self.refuse(String::from(
                "the disk holds no store and is read-only: attach it writable once",
            ));
        }
        let detected = geometry
            .sector_bytes
            .max(geometry.physical_sector_bytes)
            .max(512);
        let unit = self
            .options
            .unit_bytes
            .unwrap_or(detected)
            .max(geometry.sector_bytes);
        if !unit.is_power_of_two() || !(512..=UNIT_BYTES_MAX).contains(&unit) {
            return self.refuse(format!(
                "a unit of {unit} bytes cannot be used; set disk.unit to a power of two from 512 to {UNIT_BYTES_MAX}"
            ));
        }
        let Some(layout) = Layout::plan(geometry.len_bytes, unit) else {
            return self.refuse(format!(
                "the disk has {} bytes, too few",
                geometry.len_bytes
            ));
        };
        let seed = self.options.seed;
        let mut store_id = [0u8; 16];
        store_id.copy_from_slice(&seed[..16]);
        let superblock = Superblock {
            required: 0,
            read_only_compatible: 0,
            ignorable: 0,
            store_id,
            checksum_seed: number_of(&seed[16..24]),
            counter: counter + 1,
            epoch: 1,
            opener: number_of(&seed[24..]),
            next_seq: 1,
            layout,
            key_count: 0,
            index_bytes: 0,
            clean: None,
            formatted_wall_ns: self.now.wall_ns,
            extra: vec![],
        };
        let seeds = Seeds::new(&store_id, superblock.checksum_seed);
        let mut segments = Segments::new(layout);
        segments.begin(0, 1);
        let mut header = segment::Header::new(0, 1, 1);
        header.successor = Some(1);
        header.next_seq = 1;
        header.data_start = (layout.data_start(0) - layout.start(0)) as u32;
        header.wall_ns = self.now.wall_ns;
        let bytes = segment::encode(
            &header,
            &segments.bitmap(layout.segment_count),
            seeds,
            header.data_start as usize,
        );
        let writes = Writes::new(vec![(layout.start(0), bytes)]);
        log::info!("store: formatting, id {}", hex(&store_id));
        Next::Stage(Stage::Format {
            writes,
            superblock: Some(Box::new(superblock)),
        })
    }

    pub(super) fn go_on_formatting(
        &mut self,
        mut writes: Writes,
        superblock: Option<Box<Superblock>>,
    ) -> Next {
        match writes.step(&mut self.disk) {
            Poll::Pending => Next::Wait(Stage::Format { writes, superblock }),
            Poll::Ready(Err(_)) => self.refuse(String::from(
                "the disk could not be written while it was formatted",
            )),
            Poll::Ready(Ok(())) => match superblock {
                Some(superblock) => {
                    let writes = self.superblock_writes(&superblock);
                    Next::Stage(Stage::Format {
                        writes,
                        superblock: None,
                    })
                }
                // Read back what was written, as any store.
                None => match guard::read_copies(&mut self.disk) {
                    Ok(reads) => Next::Stage(Stage::Copies {
                        reads,
                        found: vec![],
                    }),
                    // No memory now. To be here again would flush again, for as long as that lasts.
                    Err(_) => Next::Wait(Stage::Device),
                },
            },
        }
    }
}
