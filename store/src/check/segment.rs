//! One segment in use: its header, each of its groups, what lies between them, its footer.

use super::audit::Believed;
use super::finding::Kind;
use super::item::{Cause, Gap, Item, Segment, Standing};
use super::look::Look;
use super::records::Place;
use super::report::SegmentUse;
use super::verdict::Stop;
use crate::fetch::Unreadable;
use crate::format::checksum::Seeds;
use crate::format::group::Header;
use crate::format::layout::Layout;
use crate::format::segment;
use crate::format::superblock::Superblock;
use crate::scan::Scanner;
use crate::segments;
use crate::summary::Summary;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A segment that recovery believes.
pub(super) struct Plan {
    pub(super) number: u32,
    pub(super) generation: u64,
    /// Ranges of groups that count.
    pub(super) extents: Vec<(u64, u64)>,
    pub(super) is_newest: bool,
    pub(super) footer_is_torn: bool,
    /// Whether a crash explains a torn footer.
    pub(super) footer_is_excused: bool,
}

/// How far the log of a segment was followed.
pub(super) struct Thread {
    chain: u64,
    epoch: u64,
    pub(super) end: u64,
    /// What its groups hold, as long as that can be listed.
    pub(super) summary: Option<Summary>,
}

impl Thread {
    fn gather(&mut self, header: &Header, bytes: &[u8], at: u64) {
        let Some(summary) = &mut self.summary else {
            return;
        };
        let (records, pos) = (&bytes[header.header_len..], at + header.header_len as u64);
        if header.newer || summary.note_all(records, pos).is_err() {
            self.summary = None;
        }
    }
}

/// What stays the same in one segment.
pub(super) struct Scope<'a> {
    pub(super) layout: Layout,
    pub(super) seeds: Seeds,
    pub(super) plan: &'a Plan,
}

const COSTS: &str = "opening leaves out what it held, and is read-only";

impl Look {
    pub(super) async fn segment(
        &mut self,
        superblock: &Superblock,
        believed: &Believed,
        plan: &Plan,
    ) -> Result<(), Stop> {
        let seeds = Seeds::new(&superblock.store_id, superblock.checksum_seed);
        let layout = superblock.layout;
        let scope = Scope {
            layout,
            seeds,
            plan,
        };
        let Some(header) = self.header(&scope).await? else {
            return Ok(());
        };
        self.report.segments.push(SegmentUse {
            number: plan.number,
            generation: plan.generation,
            ..SegmentUse::default()
        });
        let start = layout.start(plan.number);
        let mut thread = Thread {
            chain: header.chain,
            epoch: header.epoch,
            end: (start + u64::from(header.data_start)).min(layout.footer(plan.number)),
            summary: super::summary::nothing_of(start),
        };
        let mut scanner = Scanner::new(layout.footer(plan.number), Unreadable::Zeros);
        for extent in &plan.extents {
            self.extent(&scope, &mut scanner, &mut thread, *extent, Standing::Proven)
                .await?;
        }
        if plan.is_newest
            && let Some(last) = &believed.unproven
        {
            let extent = (last.offset, last.offset + last.header.span);
            self.extent(
                &scope,
                &mut scanner,
                &mut thread,
                extent,
                Standing::Unproven,
            )
            .await?;
        }
        self.end_of_log(&scope, believed, &thread).await?;
        self.footer(&scope, &mut thread).await
    }

    async fn header(&mut self, scope: &Scope<'_>) -> Result<Option<segment::Header>, Stop> {
        let (layout, number) = (scope.layout, scope.plan.number);
        let start = layout.start(number);
        let bytes = self
            .read(start, start + u64::from(layout.header_bytes))
            .await?;
        let Some(header) = segment::decode(&bytes, number, scope.seeds) else {
            let meaning = format!("the header of segment {number} was read once, and not again");
            self.find(start, Kind::Unreadable, None, meaning);
            return Ok(None);
        };
        let wanted = (layout.segment_count as usize).div_ceil(8);
        let bitmap = segment::bitmap(&header, &bytes, scope.seeds);
        // Before a disk became larger there were fewer segments to speak of.
        let bitmap = bitmap.filter(|bitmap| bitmap.len() >= wanted || !scope.plan.is_newest);
        let free = bitmap.as_ref().map(|bitmap| {
            let free =
                (0..layout.segment_count).filter(|number| segments::is_free(bitmap, *number));
            free.count() as u32
        });
        self.covered.push((start, start + header.covered_len()));
        self.show(&Item::Segment(&Segment {
            number,
            offset_bytes: start,
            generation: header.generation,
            epoch: header.epoch,
            previous_generation: header.previous_generation,
            successor: header.successor,
            next_seq: header.next_seq,
            wall_ns: header.wall_ns,
            data_offset_bytes: start + u64::from(header.data_start),
            covered_bytes: header.covered_len(),
            free_segments: free,
        }));
        match &bitmap {
            None => {
                let meaning = format!(
                    "the bitmap of segment {number} is damaged; a newer one counts, and nothing is lost"
                );
                self.find(start, Kind::Bitmap, None, meaning);
            }
            Some(bitmap) => {
                let successor = header.successor;
                let taken = successor.filter(|successor| !segments::is_free(bitmap, *successor));
                if let Some(successor) = taken {
                    let meaning = format!(
                        "segment {successor} was set aside to follow segment {number}, and was not free"
                    );
                    self.find(start, Kind::Bitmap, None, meaning);
                }
            }
        }
        self.high_water(start, header.next_seq);
        Ok(Some(header))
    }

    /// A high-water mark only grows along the log.
    fn high_water(&mut self, offset: u64, next_seq: u64) {
        if next_seq < self.high_water {
            let meaning = format!(
                "the sequence high-water goes back from {} to {next_seq}: sequences may be given out twice",
                self.high_water
            );
            self.find(offset, Kind::Sequence, None, meaning);
        }
        self.high_water = self.high_water.max(next_seq);
    }

    /// The groups of `extent`, and what lies before it.
    async fn extent(
        &mut self,
        scope: &Scope<'_>,
        scanner: &mut Scanner,
        thread: &mut Thread,
        (start, end): (u64, u64),
        standing: Standing,
    ) -> Result<(), Stop> {
        let generation = scope.plan.generation;
        let mut at = start;
        let mut covered = end;
        while at < end {
            let found = self
                .group_at(scanner, scope.seeds, (at, generation))
                .await?;
            let Some((header, bytes)) = found else {
                let meaning = String::from("a group was read once, and not again: check the disk");
                self.find(at, Kind::Unreadable, None, meaning);
                thread.end = end;
                return Ok(());
            };
            self.before_group(scope, thread, &header, at).await?;
            let place = Place {
                offset: at,
                standing,
                seeds: scope.seeds,
                layout: scope.layout,
            };
            self.high_water(at, header.next_seq);
            self.group(&header, &bytes, &place);
            // A crash may have taken the padding of a group that was not flushed.
            if standing == Standing::Unproven {
                covered = at + header.length as u64;
            }
            thread.gather(&header, &bytes, at);
            at += header.span;
            thread.chain = header.checksum;
            thread.epoch = header.epoch;
            thread.end = at;
        }
        self.covered.push((start, covered));
        Ok(())
    }

    /// Whether the group at `at` follows the one before it, and what lies between them.
    async fn before_group(
        &mut self,
        scope: &Scope<'_>,
        thread: &Thread,
        header: &Header,
        at: u64,
    ) -> Result<(), Stop> {
        let gap = at - thread.end;
        let follows = gap == 0 && header.epoch == thread.epoch && header.chain == thread.chain;
        let joint = header.joint.filter(|_| header.epoch > thread.epoch);
        let joins = joint.is_some_and(|joint| joint.chain == thread.chain);
        let cause = match follows || joins {
            true => Cause::Crash,
            false => Cause::Damage,
        };
        if gap > 0 {
            self.report.gap_bytes += gap;
            self.show(&Item::Gap(&Gap {
                offset_bytes: thread.end,
                len_bytes: gap,
                cause,
            }));
        }
        if cause == Cause::Damage {
            let meaning = format!(
                "a group is damaged, and a later one at {at:#x} proves that it was acknowledged: {COSTS}"
            );
            self.find(thread.end, Kind::Group, None, meaning);
            if gap > 0 {
                self.salvage(scope.seeds, (thread.end, at), scope.plan.generation)
                    .await?;
            }
        } else if !follows
            && let Some(joint) = joint
            && joint.generation == header.generation
            && joint.offset != thread.end
        {
            let meaning = format!(
                "the joint says that the log before ends at {:#x}, and it ends at {:#x}; its checksum fits, and nothing is lost",
                joint.offset, thread.end
            );
            self.find(at, Kind::Joint, None, meaning);
        }
        Ok(())
    }
}
