//! From a device nobody knows to a store that is ready, refused, or read-only.
//!
//! Nothing is written before it is clear what is on the device and that it may
//! be written. Then, in this order, each flushed before the next: the
//! superblock with the new epoch, the first group of the epoch; then ready.

use crate::disk::Moved;
use crate::draft::Writes;
use crate::fetch::{Fetch, Unreadable};
use crate::flight::{Flight, Reading};
use crate::format::checksum::Seeds;
use crate::format::layout::{
    DEVICE_BYTES_MIN, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS, UNIT_BYTES_MAX,
};
use crate::format::superblock::{Found, Superblock};
use crate::guard::{self, CopyRead, Guard};
use crate::index::Index;
use crate::large::Large;
use crate::options::{FormatPermission, State};
use crate::recover::{Failure, Recovery};
use crate::replay::Replay;
use crate::replay::SEQ_END;
use crate::segments::Segments;
use crate::store::{Phase, Store};
use crate::walk::Taken;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::task::Poll;

/// Sequences skipped after an opening without a clean mark.
const SEQ_JUMP: u64 = 1 << 20;
/// Bytes looked at in one read of the blank check.
const BLANK_READ_BYTES: u64 = 64 * 1024;

mod announce;
mod erase;

/// Opening under way.
pub(crate) struct Opening {
    stage: Stage,
    /// A device is formatted at most once.
    formatted: bool,
}

enum Stage {
    Device,
    Copies {
        reads: Vec<CopyRead>,
        found: Vec<Found>,
    },
    Blank {
        at: u64,
        read: Option<Fetch>,
        unreadable: Unreadable,
    },
    Format {
        writes: Writes,
        superblock: Option<Box<Superblock>>,
    },
    Flight {
        reading: Reading,
        superblock: Box<Superblock>,
        recovery: Box<Recovery>,
    },
    Recover {
        superblock: Box<Superblock>,
        recovery: Box<Recovery>,
    },
    Announce {
        writes: Writes,
        replay: Box<Replay>,
        aside: Option<Taken>,
    },
    FirstGroup {
        replay: Box<Replay>,
        aside: Option<Taken>,
    },
}

enum Next {
    Stage(Stage),
    Wait(Stage),
    Over,
}

impl Opening {
    pub(crate) fn new() -> Self {
        Opening {
            stage: Stage::Device,
            formatted: false,
        }
    }
}

/// Thirty-two hexadecimal digits.
pub(crate) fn hex(id: &[u8; 16]) -> String {
    id.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

impl Store {
    /// Begins again: the device has come, or is another one.
    pub(crate) fn open_anew(&mut self) -> Moved {
        self.phase = Phase::Opening(Box::new(Opening::new()));
        (self.log, self.superblock, self.identity) = (None, None, None);
        (self.in_flight, self.relogged) = (None, None);
        (self.segments, self.index) = (Segments::none(), Index::default());
        (self.large, self.guard) = (Large::default(), Guard::default());
        self.flight = Flight::default();
        Moved::Yes
    }

    /// Goes on opening.
    pub(crate) fn advance_opening(&mut self) -> Moved {
        let Phase::Opening(opening) = core::mem::replace(&mut self.phase, Phase::Open) else {
            unreachable!("only called while opening");
        };
        let Opening {
            stage,
            mut formatted,
        } = *opening;
        let next = match stage {
            Stage::Device => self.meet_device(),
            Stage::Copies { reads, found } => self.read_copies(reads, found, &mut formatted),
            Stage::Blank {
                at,
                read,
                unreadable,
            } => self.look_for_blank(at, read, unreadable, &mut formatted),
            Stage::Format { writes, superblock } => self.go_on_formatting(writes, superblock),
            Stage::Flight {
                reading,
                superblock,
                recovery,
            } => self.read_flight(reading, superblock, recovery),
            Stage::Recover {
                superblock,
                recovery,
            } => self.go_on_recovering(superblock, recovery),
            Stage::Announce {
                writes,
                replay,
                aside,
            } => self.go_on_announcing(writes, replay, aside),
            Stage::FirstGroup { replay, aside } => self.go_on_first_group(replay, aside),
        };
        let (stage, moved) = match next {
            Next::Stage(stage) => (stage, Moved::Yes),
            Next::Wait(stage) => (stage, Moved::No),
            Next::Over => return Moved::Yes,
        };
        self.phase = Phase::Opening(Box::new(Opening { stage, formatted }));
        moved
    }

    fn refuse(&mut self, sentence: String) -> Next {
        self.state = State::Refused(sentence.into());
        self.disk.stop_writing();
        Next::Over
    }

    fn meet_device(&mut self) -> Next {
        let Some(geometry) = self.disk.geometry() else {
            return Next::Wait(Stage::Device);
        };
        let sector = geometry.sector_bytes;
        if !sector.is_power_of_two() || !(512..=UNIT_BYTES_MAX).contains(&sector) {
            return self.refuse(format!(
                "the disk has sectors of {sector} bytes; 512 to {UNIT_BYTES_MAX} can be used"
            ));
        }
        if geometry.len_bytes < DEVICE_BYTES_MIN {
            return self.refuse(format!(
                "the disk has {} bytes; a store needs at least {DEVICE_BYTES_MIN} (8 MiB): attach a larger disk",
                geometry.len_bytes
            ));
        }
        match guard::read_copies(&mut self.disk) {
            Ok(reads) => Next::Stage(Stage::Copies {
                reads,
                found: vec![],
            }),
            Err(_) => Next::Wait(Stage::Device),
        }
    }

    fn read_copies(
        &mut self,
        mut reads: Vec<CopyRead>,
        mut found: Vec<Found>,
        formatted: &mut bool,
    ) -> Next {
        while let Some(read) = reads.first_mut() {
            match read.poll(&mut self.disk) {
                Poll::Pending => return Next::Wait(Stage::Copies { reads, found }),
                Poll::Ready(copy) => found.push(copy),
            }
            reads.remove(0);
        }
        self.judge_copies(&found, formatted)
    }

    fn judge_copies(&mut self, found: &[Found], formatted: &mut bool) -> Next {
        let counter = guard::newest(found).map_or(0, |superblock| superblock.counter);
        let ids = found.iter().filter_map(|found| match found {
            Found::Foreign | Found::Unreadable => None,
            Found::Damaged(id) | Found::Version(_, id) => Some(*id),
            Found::Intact(superblock) => Some(superblock.store_id),
        });
        let ids: Vec<[u8; 16]> = ids.collect();
        if let FormatPermission::StoreId(id) = &self.options.format
            && ids.contains(id)
            && !*formatted
        {
            *formatted = true;
            return self.begin_formatting(counter);
        }
        let version = found.iter().find_map(|found| match found {
            Found::Version(version, _) => Some(*version),
            _ => None,
        });
        if let Some(version) = version {
            return self.refuse(format!(
                "the store on the disk has format version {version}; this release reads version 1: use a newer one"
            ));
        }
        if let Some(superblock) = guard::newest(found) {
            let both = found.iter().all(|found| matches!(found, Found::Intact(_)));
            return self.begin_recovery(superblock.clone(), both);
        }
        if let Some(id) = ids.first() {
            return self.refuse(format!(
                "the disk holds a store whose superblocks are both damaged; to erase it, set disk.format={}",
                hex(id)
            ));
        }
        // A store that was ever ready has both copies. One that cannot be read
        // beside a blank one is what a crash while formatting may leave.
        if found.iter().all(|found| *found == Found::Unreadable) {
            return self.refuse(String::from(
                "neither superblock can be read: check the disk",
            ));
        }
        let unreadable = match found.contains(&Found::Unreadable) {
            true => Unreadable::Zeros,
            false => Unreadable::Fails,
        };
        Next::Stage(Stage::Blank {
            at: 0,
            read: None,
            unreadable,
        })
    }

    /// The writes that put a superblock into the copy its counter names.
    pub(crate) fn superblock_writes(&self, superblock: &Superblock) -> Writes {
        let len = SUPERBLOCK_BYTES.max(superblock.layout.working_unit) as usize;
        let offset = SUPERBLOCK_OFFSETS[(superblock.counter % 2) as usize];
        Writes::new(vec![(offset, superblock.encode(len))])
    }

    fn begin_recovery(&mut self, superblock: Superblock, both_intact: bool) -> Next {
        let geometry = self.disk.known_geometry().expect("the device was met");
        self.id = Some(superblock.store_id);
        match superblock.clean {
            Some(_) => log::info!("store: the disk was closed cleanly"),
            None => log::info!("store: the disk was not closed; reading how far it got"),
        }
        let unknown = superblock.required;
        if unknown != 0 {
            return self.refuse(format!(
                "the store needs features this release does not know (flags {unknown:#x}): use a newer one"
            ));
        }
        let mut layout = superblock.layout;
        let device_unit = geometry.sector_bytes.max(geometry.physical_sector_bytes);
        if device_unit > layout.working_unit_max() {
            return self.refuse(format!(
                "the disk's sectors have {device_unit} bytes, and the store on it can be written in blocks of at most {}: attach it from a disk with smaller sectors, or restore a backup to this one",
                layout.working_unit_max()
            ));
        }
        layout.working_unit = layout.unit.max(device_unit);
        if !layout.is_sound(geometry.len_bytes) {
            let needs = layout
                .segment_bytes
                .saturating_mul(u64::from(layout.segment_count));
            return self.refuse(format!(
                "the store on the disk does not fit it: it needs {} bytes, the disk has {}",
                needs.saturating_add(layout.first_segment),
                geometry.len_bytes
            ));
        }
        let memory_bytes = self.options.memory_bytes;
        let recovery = Recovery::new(&superblock, layout, memory_bytes);
        let recovery = Box::new(recovery.with_both_copies(both_intact));
        // Before all else: what follows may be what the last guest died of.
        let reading = Reading::begin(&mut self.disk, &superblock);
        let superblock = Box::new(superblock);
        Next::Stage(match reading {
            Some(reading) => Stage::Flight {
                reading,
                superblock,
                recovery,
            },
            None => Stage::Recover {
                superblock,
                recovery,
            },
        })
    }

    fn read_flight(
        &mut self,
        mut reading: Reading,
        superblock: Box<Superblock>,
        recovery: Box<Recovery>,
    ) -> Next {
        match reading.poll(&mut self.disk) {
            Poll::Pending => Next::Wait(Stage::Flight {
                reading,
                superblock,
                recovery,
            }),
            Poll::Ready(flight) => {
                // A newer release may have another use for the area.
                if superblock.read_only_compatible == 0 {
                    self.flight = flight;
                }
                Next::Stage(Stage::Recover {
                    superblock,
                    recovery,
                })
            }
        }
    }

    fn go_on_recovering(
        &mut self,
        superblock: Box<Superblock>,
        mut recovery: Box<Recovery>,
    ) -> Next {
        match recovery.step(&mut self.disk) {
            Poll::Pending => {
                let has_more = recovery.has_more;
                let stage = Stage::Recover {
                    superblock,
                    recovery,
                };
                match has_more {
                    true => Next::Stage(stage),
                    false => Next::Wait(stage),
                }
            }
            Poll::Ready(Err(Failure::Io(offset))) => {
                self.refuse(format!("the disk cannot be read at offset {offset}"))
            }
            Poll::Ready(Err(Failure::Memory {
                scanned_segments,
                all_segments,
            })) => {
                let used = recovery.replay.index.whole_bytes() + recovery.replay.large.bytes();
                let scaled = used / u64::from(scanned_segments.max(1)) * u64::from(all_segments);
                let needs = scaled.min(used * 8).max(used);
                self.refuse(format!(
                    "not even the beginning of the index of this store fits the memory there is: {}",
                    self.needed(needs)
                ))
            }
            Poll::Ready(Ok(())) => self.judge_recovery(*superblock, *recovery),
        }
    }

    fn judge_recovery(&mut self, superblock: Superblock, recovery: Recovery) -> Next {
        let read_only_device = self
            .disk
            .known_geometry()
            .is_some_and(|geometry| geometry.read_only);
        let findings = &recovery.replay.findings;
        let too_little = self.too_little_memory(&superblock, &recovery.replay);
        let reason = if let Some(first) = findings.first() {
            let damaged = format!(
                "the log is damaged at offset {}: {} ({} findings); back up what can be read and restore it to a healthy disk",
                first.offset,
                first.what,
                findings.len()
            );
            Some(match too_little {
                Some(too_little) => format!("{too_little}; and {damaged}"),
                None => damaged,
            })
        } else if too_little.is_some() {
            too_little
        } else if recovery.replay.newer || superblock.read_only_compatible != 0 {
            Some(String::from(
                "the store was written by a newer release, which this one can only read: use a newer one to write",
            ))
        } else if superblock.next_seq.max(recovery.replay.next_seq()) >= SEQ_END - SEQ_JUMP {
            Some(String::from(
                "the sequence numbers of this store are used up: back it up and restore it to a new disk",
            ))
        } else if read_only_device {
            Some(String::from(
                "the disk is read-only: attach it writable to write",
            ))
        } else {
            None
        };
        self.counts.findings = findings.len() as u64;
        let layout = recovery.replay.segments.layout();
        let seeds = Seeds::new(&superblock.store_id, superblock.checksum_seed);
        let unproven = recovery.unproven().cloned();
        self.identity = Some((layout, seeds));
        match reason {
            None => self.announce(superblock, recovery, unproven),
            Some(reason) => {
                self.superblock = Some(superblock);
                self.open_read_only(recovery.replay, unproven, reason);
                Next::Over
            }
        }
    }

    /// What is to be said of an index of which only a part is in memory.
    fn too_little_memory(&self, superblock: &Superblock, replay: &Replay) -> Option<String> {
        let here = replay.index.bytes() + replay.large.bytes();
        let met = replay.index.whole_bytes() + replay.large.bytes();
        // A store that was closed knows; no index outgrows what was met on the disk.
        let known = superblock.clean.map(|_| superblock.index_bytes);
        let (needs, at_most) = match known {
            Some(known) => (known.clamp(here, met), ""),
            None => (met, "at most "),
        };
        let needed = || {
            format!(
                "the index does not fit the memory there is: {at_most}{}",
                self.needed(needs)
            )
        };
        (!replay.index.is_whole()).then(needed)
    }

    /// How much memory an index of so many bytes takes.
    fn needed(&self, index_bytes: u64) -> String {
        let mib = self.disk.machine_mib(self.memory_for_index(index_bytes));
        format!(
            "{index_bytes} bytes are needed, and there are {}: write memory={mib} or more in the domain's configuration, and start it again",
            self.index_limit_bytes()
        )
    }

    /// Shows what was found and writes nothing.
    fn open_read_only(&mut self, mut replay: Replay, aside: Option<Taken>, reason: String) {
        if let Some(aside) = &aside {
            replay.group(aside);
        }
        self.disk.stop_writing();
        self.expect_disk();
        self.install(replay);
        self.state = State::ReadOnly(reason.into());
    }

    fn install(&mut self, mut replay: Replay) {
        replay.finish();
        self.last_seq = replay.last_seq;
        // The newest records of all may be gone, with what they removed.
        self.changes.begin_after(replay.next_seq() - 1);
        self.segments = replay.segments;
        self.index = replay.index;
        self.large = replay.large;
    }
}

fn number_of(bytes: &[u8]) -> u64 {
    let mut number = [0u8; 8];
    number.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(number)
}
