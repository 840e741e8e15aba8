//! The two superblock copies: each by itself, and against the other.

use super::finding::Kind;
use super::item::{Identity, Item, Superblock as Shown, SuperblockCopy};
use super::look::Look;
use super::verdict::Stop;
use crate::format::layout::{MIB, SUPERBLOCK_OFFSETS};
use crate::format::superblock::{Found, Superblock};
use crate::guard;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::poll_fn;

const NAMES: [&str; 2] = ["A", "B"];

impl Look {
    /// The superblock that counts.
    pub(super) async fn copies(&mut self) -> Result<Superblock, Stop> {
        let begun = guard::read_copies(&mut self.disk.borrow_mut());
        let memory = || {
            Stop::Unlooked(String::from(
                "there is not enough memory to look at this disk",
            ))
        };
        let mut found: Vec<Found> = Vec::new();
        for mut read in begun.map_err(|_| memory())? {
            let copy = poll_fn(|_| read.poll(&mut self.disk.borrow_mut())).await;
            found.push(copy);
        }
        for (copy, offset_bytes) in found.iter().zip(SUPERBLOCK_OFFSETS) {
            let copy = shown(copy);
            self.show(&Item::Superblock(&Shown { offset_bytes, copy }));
        }
        let newest = self.newest(&found)?;
        self.report.identity = Some(Identity::of(&newest));
        for (index, copy) in found.iter().enumerate() {
            self.judge_copy(index, copy, &newest).await?;
        }
        Ok(newest)
    }

    fn newest(&mut self, found: &[Found]) -> Result<Superblock, Stop> {
        let version = found.iter().find_map(|found| match found {
            Found::Version(version, _) => Some(*version),
            _ => None,
        });
        if let Some(superblock) = guard::newest(found) {
            return Ok(superblock.clone());
        }
        if let Some(version) = version {
            return Err(Stop::Unlooked(format!(
                "the store has format version {version}; this release reads version 1: use a newer one"
            )));
        }
        if !found.iter().any(|found| matches!(found, Found::Damaged(_))) {
            let sentence = match found.contains(&Found::Unreadable) {
                true => "no superblock can be read: check the disk",
                false => "there is no store on it: no superblock begins with `LAMPION`",
            };
            return Err(Stop::Unlooked(String::from(sentence)));
        }
        for (index, copy) in found.iter().enumerate() {
            let what = match copy {
                Found::Unreadable => "cannot be read",
                Found::Damaged(_) => "is damaged",
                Found::Foreign | Found::Version(..) | Found::Intact(_) => "is missing",
            };
            let meaning = format!(
                "superblock {} {what}, and the other does not help: nothing of the store can be found without one",
                NAMES[index]
            );
            self.find(SUPERBLOCK_OFFSETS[index], Kind::Superblock, None, meaning);
        }
        Err(Stop::Found)
    }

    async fn judge_copy(
        &mut self,
        index: usize,
        copy: &Found,
        newest: &Superblock,
    ) -> Result<(), Stop> {
        let offset = SUPERBLOCK_OFFSETS[index];
        let name = NAMES[index];
        let costs = "the other copy is whole, and the next opening writes this one again";
        let meaning = match copy {
            Found::Intact(copy) => {
                let length = (256 + copy.extra.len()) as u64;
                self.covered.push((offset, offset + length));
                self.judge_intact(index, copy, newest);
                return Ok(());
            }
            Found::Foreign => {
                let blank = self.read(offset, offset + 512).await?;
                if newest.counter == 1 && blank.iter().all(|byte| *byte == 0) {
                    let sentence = format!(
                        "superblock {name} is not written yet: the store was formatted and never opened"
                    );
                    self.note(offset, sentence);
                    return Ok(());
                }
                format!("superblock {name} is missing; {costs}")
            }
            Found::Unreadable => format!("superblock {name} cannot be read; {costs}"),
            Found::Damaged(_) => format!("superblock {name} is damaged; {costs}"),
            Found::Version(version, _) => {
                format!("superblock {name} says format version {version}, the other one 1; {costs}")
            }
        };
        self.covered.push((offset, offset + 512));
        self.find(offset, Kind::Superblock, None, meaning);
        Ok(())
    }

    /// What the copy that does not count may differ in is told by the order of writing.
    fn judge_intact(&mut self, index: usize, copy: &Superblock, newest: &Superblock) {
        let name = NAMES[index];
        let parity = copy.counter % 2 == index as u64;
        let same_store = copy.store_id == newest.store_id
            && copy.checksum_seed == newest.checksum_seed
            && copy.layout == newest.layout
            && copy.formatted_wall_ns == newest.formatted_wall_ns;
        // A device that was formatted again keeps the former store's copy until it is opened.
        let reformatted = newest.epoch == 1 && newest.counter == copy.counter.saturating_add(1);
        let wrong = if !parity {
            "lies where the other one belongs by its counter"
        } else if !same_store && !reformatted {
            "is of another store than the other one"
        } else if same_store && copy.counter.abs_diff(newest.counter) > 1 {
            "is older than the one written before the other: a write of it was lost"
        } else if same_store && (copy.epoch > newest.epoch || copy.next_seq > newest.next_seq) {
            "has a higher epoch or sequence than the one that counts"
        } else {
            return;
        };
        let meaning = format!("superblock {name} {wrong}; the one with the higher counter is used");
        self.find(SUPERBLOCK_OFFSETS[index], Kind::Superblock, None, meaning);
    }

    /// What this release does not know about the store.
    pub(super) fn judge_flags(&mut self, newest: &Superblock) -> Result<(), Stop> {
        let offset = SUPERBLOCK_OFFSETS[(newest.counter % 2) as usize];
        if newest.required != 0 {
            return Err(Stop::Unlooked(format!(
                "the store needs features this release does not know (flags {:#x}): use a newer one",
                newest.required
            )));
        }
        if newest.read_only_compatible != 0 {
            let meaning = format!(
                "a newer release wrote this store (flags {:#x}): this one opens it read-only",
                newest.read_only_compatible
            );
            self.note(offset, meaning);
        }
        Ok(())
    }

    /// The layout fits the device.
    pub(super) fn judge_layout(&self, newest: &Superblock, len_bytes: u64) -> Result<(), Stop> {
        if newest.layout.is_sound(len_bytes) {
            return Ok(());
        }
        let layout = &newest.layout;
        let segments = layout
            .segment_bytes
            .saturating_mul(u64::from(layout.segment_count));
        let needs = segments.saturating_add(layout.first_segment);
        Err(Stop::Unlooked(format!(
            "the store needs {needs} bytes ({} MiB), and there are {len_bytes}: copy the whole disk",
            needs / MIB
        )))
    }
}

fn shown(found: &Found) -> SuperblockCopy {
    match found {
        Found::Foreign => SuperblockCopy::Absent,
        Found::Unreadable => SuperblockCopy::Unreadable,
        Found::Damaged(_) => SuperblockCopy::Damaged,
        Found::Version(version, _) => SuperblockCopy::Version(*version),
        Found::Intact(superblock) => SuperblockCopy::Intact(Box::new(Identity::of(superblock))),
    }
}
