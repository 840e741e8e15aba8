//! The order of a look, and what is judged over the whole disk.

use super::finding::Kind;
use super::look::{Look, gone};
use super::segment::Plan;
use super::verdict::Stop;
use crate::format::layout::{DEVICE_BYTES_MIN, UNIT_BYTES_MAX};
use crate::format::record::{self, Record};
use crate::format::superblock::Superblock;
use crate::format::views;
use crate::index::views::Views;
use crate::recover::{Failure, Recovery};
use crate::replay::Finding as Told;
use crate::segments::Use;
use crate::walk::Taken;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::poll_fn;

/// What opening believes of the disk.
pub(super) struct Believed {
    pub(super) unproven: Option<Taken>,
    pub(super) plans: Vec<Plan>,
    pub(super) told: Vec<Told>,
}

/// As many findings as recovery keeps.
const TOLD_MAX: usize = 64;

impl Look {
    pub(super) async fn look(&mut self) -> Result<(), Stop> {
        let geometry = poll_fn(|_| match self.disk.borrow_mut().geometry() {
            Some(geometry) => core::task::Poll::Ready(geometry),
            None => core::task::Poll::Pending,
        })
        .await;
        self.report.device_bytes = geometry.len_bytes;
        let sector = geometry.sector_bytes;
        if !sector.is_power_of_two() || !(512..=UNIT_BYTES_MAX).contains(&sector) {
            return Err(Stop::Unlooked(format!(
                "it has sectors of {sector} bytes; 512 to {UNIT_BYTES_MAX} can be read"
            )));
        }
        if geometry.len_bytes < DEVICE_BYTES_MIN {
            return Err(Stop::Unlooked(format!(
                "it has {} bytes; a store has at least {DEVICE_BYTES_MIN} (8 MiB)",
                geometry.len_bytes
            )));
        }
        let newest = self.copies().await?;
        self.judge_flags(&newest)?;
        let mut superblock = newest.clone();
        let device_unit = sector.max(geometry.physical_sector_bytes);
        superblock.layout.working_unit = superblock.layout.unit.max(device_unit);
        self.judge_layout(&superblock, geometry.len_bytes)?;
        let believed = self.recover(&superblock).await?;
        for plan in &believed.plans {
            self.segment(&superblock, &believed, plan).await?;
        }
        self.judge_lost_segments(&superblock, &believed).await?;
        for told in &believed.told {
            self.relay(told);
        }
        if believed.told.len() >= TOLD_MAX {
            let meaning = "opening keeps no more findings than these; there may be more segments that end too early";
            self.note(superblock.layout.first_segment, String::from(meaning));
        }
        self.ledger.sort_out();
        self.judge_views();
        self.judge_sequences(&newest);
        self.judge_large();
        self.judge_lost();
        self.add_up();
        self.judge_key_count(&newest);
        self.compare().await?;
        self.judge_unread(sector);
        Ok(())
    }

    /// Lets recovery read the disk, and takes down what it believes.
    async fn recover(&mut self, superblock: &Superblock) -> Result<Believed, Stop> {
        let mut recovery = Recovery::new(superblock, superblock.layout, u64::MAX).thorough();
        let ended = poll_fn(|_| recovery.step(&mut self.disk.borrow_mut())).await;
        match ended {
            Ok(()) => {}
            Err(Failure::Io(offset)) => return Err(Stop::Unlooked(gone(offset))),
            Err(Failure::Memory { .. }) => {
                let sentence = "there is not enough memory to look at this disk";
                return Err(Stop::Unlooked(String::from(sentence)));
            }
        }
        self.report.closed = recovery.tail_is_proven;
        self.report.epoch = superblock.epoch.max(recovery.replay.max_epoch());
        let newest = recovery.newest;
        let unproven = recovery.unproven().cloned();
        self.ledger.views = recovery.replay.index.views().clone();
        if let Some(views) = unproven.as_ref().and_then(views_of) {
            self.ledger.views = views;
        }
        let in_use = recovery.replay.segments.iter();
        let in_use = in_use.filter(|(_, segment)| segment.usage == Use::Log);
        let mut plans: Vec<Plan> = in_use
            .map(|(number, segment)| Plan {
                number,
                generation: segment.generation,
                extents: segment.extents.clone(),
                is_newest: newest.is_some_and(|newest| newest.number == number),
                footer_is_torn: recovery.repairs.iter().any(|one| one.number == number),
                // The footer was flushed with the next segment's first group, or not at all.
                footer_is_excused: recovery.head_is_unproven
                    && newest
                        .is_some_and(|newest| newest.previous_generation == segment.generation),
            })
            .collect();
        plans.sort_by_key(|plan| plan.generation);
        Ok(Believed {
            unproven,
            plans,
            told: recovery.replay.findings,
        })
    }

    /// What opening itself would say, unless it was told in its place already.
    pub(super) fn relay(&mut self, told: &Told) {
        if self.found_at.contains(&told.offset) {
            return;
        }
        let meaning = format!("{}: opening shows the rest, read-only", told.what);
        self.find(told.offset, Kind::Group, None, meaning);
    }
}

/// The last list of snapshots in a group that recovery sets aside, and a store that opens
/// read-only takes in.
fn views_of(taken: &Taken) -> Option<Views> {
    let mut last = None;
    let mut at = taken.header.header_len;
    while let Some(found) = record::decode_proven(&taken.bytes[at..]) {
        if let Record::Views { seq, list } = found.record {
            last = views::decode(seq, list).or(last);
        }
        at += found.len;
    }
    last
}
