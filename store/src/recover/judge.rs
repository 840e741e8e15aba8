//! What the ends of walks mean: which witnesses there are, and what they say.
//!
//! A witness is anything durable that was written after a group was: the next
//! segment's header, a footer, a clean mark, groups behind a rotten header.

use super::rest::{By, Left};
use super::{Recovery, Stage, WentOn, failed};
use crate::disk::Disk;
use crate::fetch::Unreadable;
use crate::format::segment::Footer;
use crate::scan::Scanner;
use crate::segments;
use crate::walk::Ending;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::task::Poll;

impl Recovery {
    pub(super) fn judge_tail(&mut self, number: u32, ending: Ending, footer: Option<Footer>) {
        let generation = self.generation(number);
        self.replay.see_numbers(0, ending.epoch);
        let sealed_later = footer.is_some_and(|footer| {
            // A footer with the chain found here left out what a cache had lost behind it.
            footer.generation == generation
                && ending.offset < footer.end_offset
                && footer.chain != ending.chain
        });
        if sealed_later {
            self.replay.find(
                ending.offset,
                "the segment's footer says that the log went on",
            );
        }
        if let Some(mark) = self.superblock.clean
            && self.superblock.epoch >= self.replay.max_epoch()
        {
            self.tail_is_proven = mark.generation == generation && mark.chain == ending.chain;
            if !self.tail_is_proven {
                self.replay
                    .find(ending.offset, "the clean mark says that the log went on");
            }
        }
        if let Some(aside) = &ending.aside {
            self.unproven_frees = self.replay.frees_of(aside);
            if self.head_is_unproven {
                self.replay.views_of(aside);
            }
            self.replay
                .see_numbers(aside.header.next_seq, aside.header.epoch);
            if self.tail_is_proven {
                self.newest_group(aside);
            }
        }
        self.tail = Some(ending);
    }

    /// Which others count, now that the newest segment has been read.
    pub(super) fn after_tail(&mut self) -> Stage {
        self.walked += 1;
        let newest = self.newest.expect("the tail lies in the newest segment");
        // A freed segment's header may be discarded or torn by its next life.
        let headers = self.headers.iter().flatten();
        for header in headers.filter(|header| header.generation <= newest.generation) {
            let end = (header.generation, header.chain);
            let known = self.ends.entry(header.previous_generation).or_insert(end);
            *known = (*known).max(end);
        }
        let freed: BTreeMap<u32, u64> = self.replay.freed.iter().copied().collect();
        self.unproven_frees
            .retain(|number| *number < self.layout.segment_count && *number != newest.number);
        let mut rest: Vec<(u64, u32)> = Vec::new();
        for number in 0..self.layout.segment_count {
            let generation = self.generation(number);
            if number == newest.number
                || segments::is_free(&self.bitmap, number)
                || freed.get(&number).is_some_and(|freed| generation <= *freed)
            {
                continue;
            }
            if generation == 0 || generation >= newest.generation {
                self.replay.find(
                    self.layout.start(number),
                    "the header of a segment in use is damaged",
                );
                continue;
            }
            self.replay.segments.begin(number, generation);
            rest.push((generation, number));
        }
        rest.sort_unstable();
        let by = By::Summary;
        let newest_first = rest.into_iter().rev();
        self.rest = newest_first
            .map(|(_, number)| Left { number, by })
            .collect();
        self.gather_tail();
        let is_certain = self.tail_is_proven && self.last_group(newest.generation).is_some();
        match newest.successor.filter(|_| !is_certain) {
            Some(number) => {
                let start = self.layout.start(number);
                let end = self.layout.footer(number);
                let scanner = Box::new(Scanner::new(end, Unreadable::Zeros));
                Stage::Successor {
                    number,
                    at: start + u64::from(self.layout.unit),
                    scanner,
                }
            }
            None => Stage::Rest(None),
        }
    }

    /// Groups in the successor that do not follow the end found: its header was durable once.
    pub(super) fn look_behind(
        &mut self,
        disk: &mut Disk,
        number: u32,
        mut at: u64,
        mut scanner: Box<Scanner>,
        budget: &mut u64,
    ) -> (Stage, WentOn) {
        let end = self.layout.footer(number);
        let generation = self.newest.map_or(0, |newest| newest.generation);
        let (chains, epoch) = self.tail.as_ref().map_or(([0; 2], 0), |tail| {
            let before = tail
                .aside
                .as_ref()
                .map_or(tail.chain, |aside| aside.chain_before);
            ([tail.chain, before], tail.epoch)
        });
        let before = scanner.read_bytes;
        while at < end && scanner.read_bytes - before < *budget {
            let found = scanner.look(disk, self.seeds, at, |header| {
                header.generation > generation
            });
            match found {
                Poll::Pending => {
                    return (
                        Stage::Successor {
                            number,
                            at,
                            scanner,
                        },
                        WentOn::Waits,
                    );
                }
                Poll::Ready(Err(error)) => {
                    return failed(
                        Stage::Successor {
                            number,
                            at,
                            scanner,
                        },
                        error,
                    );
                }
                Poll::Ready(Ok(None)) => at += u64::from(self.layout.unit),
                Poll::Ready(Ok(Some(header))) => {
                    if header.epoch >= epoch && !chains.contains(&header.chain) {
                        let start = self.layout.start(number);
                        self.replay
                            .find(start, "the newest segment's header is damaged");
                        return (Stage::Rest(None), WentOn::Yes);
                    }
                    at += header.span;
                }
            }
        }
        *budget = budget.saturating_sub(scanner.read_bytes - before);
        match at < end {
            true => (
                Stage::Successor {
                    number,
                    at,
                    scanner,
                },
                WentOn::Yes,
            ),
            false => (Stage::Rest(None), WentOn::Yes),
        }
    }

    /// A segment that is not the newest: the next header or its footer says where it ends.
    pub(super) fn judge_sealed(
        &mut self,
        number: u32,
        ending: Ending,
        (footer, is_whole): (Option<Footer>, bool),
    ) {
        let generation = self.generation(number);
        let footer = footer.filter(|footer| footer.generation == generation);
        let header_says = self.ends.get(&generation).map(|(_, chain)| *chain);
        let Some(end) = header_says.or(footer.map(|footer| footer.chain)) else {
            self.replay
                .find(ending.offset, "nothing says where this segment's log ends");
            ending
                .aside
                .iter()
                .for_each(|aside| self.replay.group(aside));
            return;
        };
        let left_out = ending
            .aside
            .as_ref()
            .is_some_and(|aside| aside.chain_before == end);
        if ending.chain == end || !left_out {
            ending
                .aside
                .iter()
                .for_each(|aside| self.replay.group(aside));
        }
        if ending.chain != end && !left_out {
            self.replay.find(
                ending.offset,
                "the segment ends before its last acknowledged group",
            );
            return;
        }
        let end_offset = match &ending.aside {
            Some(aside) if left_out => aside.offset,
            _ => ending.offset,
        };
        // The only witness of the end is not touched.
        let tells_of_none = !is_whole && header_says.is_some();
        if tells_of_none || footer.is_none_or(|footer| footer.chain != end) {
            self.repairs.push(Footer {
                number,
                generation,
                end_offset,
                chain: end,
                summary_len: 0,
                summary_span: 0,
            });
        }
    }
}
