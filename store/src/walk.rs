//! One walk through the groups of one segment, as recovery sees it.
//!
//! The last valid group is always set aside: only the next one proves that it
//! was flushed, or says (by its joint) that an earlier opening left it out.
//!
//! # Invariants
//!
//! - `chain` is the checksum of the last group taken in, set aside or not.
//! - What is given out by [`Walk::step`] is proven, in order, each once.

use crate::disk::Disk;
use crate::fetch::{FetchError, Unreadable};
use crate::format::checksum::Seeds;
use crate::format::group::Header;
use crate::format::layout::Layout;
use crate::format::segment;
use crate::scan::Scanner;
use alloc::vec::Vec;
use core::task::Poll;

/// A valid group, copied out.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) offset: u64,
    pub(crate) header: Header,
    /// Chain before it.
    pub(crate) chain_before: u64,
    pub(crate) epoch_before: u64,
    pub(crate) bytes: Vec<u8>,
}

/// What one step came to.
pub(crate) enum Event {
    /// A proven group.
    Group(Taken),
    /// The bad group at this offset was acknowledged once.
    Damage(u64),
    /// The segment has been looked through.
    End,
}

/// Where a walk ended.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Where the next group would begin.
    pub(crate) offset: u64,
    pub(crate) chain: u64,
    pub(crate) epoch: u64,
    /// The last group: nothing in this segment proves that it was flushed.
    pub(crate) aside: Option<Taken>,
}

/// A walk under way.
pub(crate) struct Walk {
    pub(crate) number: u32,
    generation: u64,
    seeds: Seeds,
    unit: u64,
    epoch: u64,
    chain: u64,
    at: u64,
    end: u64,
    aside: Option<Taken>,
    found: bool,
    /// Set while looking past a bad group at this offset.
    bad_at: Option<u64>,
    /// Checksum of the last group there is, if that is known for sure.
    last: Option<u64>,
    scanner: Scanner,
}

impl Walk {
    /// Begins at the first group of the segment with this header.
    pub(crate) fn new(layout: Layout, seeds: Seeds, header: &segment::Header) -> Self {
        let number = header.number;
        let end = layout.footer(number);
        let start = layout.start(number) + u64::from(header.data_start);
        Walk {
            number,
            generation: header.generation,
            seeds,
            unit: u64::from(layout.unit),
            epoch: header.epoch,
            chain: header.chain,
            at: start.min(end),
            end,
            aside: None,
            found: false,
            bad_at: None,
            last: None,
            scanner: Scanner::new(end, Unreadable::Zeros),
        }
    }

    /// Ends behind the group with this checksum: nothing was ever written after it.
    pub(crate) fn up_to(mut self, last: Option<u64>) -> Walk {
        self.last = last;
        self
    }

    /// Bytes read so far.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.scanner.read_bytes
    }

    /// Whether no group was found.
    pub(crate) fn is_empty(&self) -> bool {
        !self.found
    }

    /// Looks at the next place.
    pub(crate) fn step(&mut self, disk: &mut Disk) -> Poll<Result<Event, FetchError>> {
        loop {
            if self.at >= self.end || (self.found && self.last == Some(self.chain)) {
                return Poll::Ready(Ok(Event::End));
            }
            let generation = self.generation;
            let fits = |header: &Header| header.generation == generation;
            let found = match self.scanner.look(disk, self.seeds, self.at, fits) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(found)) => found,
            };
            if let Some(event) = self.judge(found) {
                return Poll::Ready(Ok(event));
            }
        }
    }

    fn judge(&mut self, found: Option<Header>) -> Option<Event> {
        let Some(header) = found else {
            self.bad_at.get_or_insert(self.at);
            self.at += self.unit;
            return None;
        };
        let follows =
            self.bad_at.is_none() && header.epoch == self.epoch && header.chain == self.chain;
        if follows {
            return self.take_in(header).map(Event::Group);
        }
        if header.epoch > self.epoch
            && let Some(joint) = header.joint
        {
            if joint.chain == self.chain {
                return self.take_in(header).map(Event::Group);
            }
            if self
                .aside
                .as_ref()
                .is_some_and(|aside| aside.chain_before == joint.chain)
            {
                self.leave_out();
                return self.take_in(header).map(Event::Group);
            }
        }
        // It is ours and intact, and the way to it is not: that way was acknowledged.
        let damage = self.bad_at.unwrap_or(self.at);
        self.bad_at = None;
        self.chain = header.chain;
        self.epoch = header.epoch;
        Some(Event::Damage(damage))
    }

    /// Sets the group at `at` aside, and gives out the one that was.
    fn take_in(&mut self, header: Header) -> Option<Taken> {
        assert!(
            header.span >= self.unit.min(512),
            "a group takes at least a sector"
        );
        let taken = Taken {
            offset: self.at,
            header,
            chain_before: self.chain,
            epoch_before: self.epoch,
            bytes: self.scanner.bytes(self.at, header.length).to_vec(),
        };
        self.at += header.span;
        self.chain = header.checksum;
        self.epoch = header.epoch;
        self.bad_at = None;
        self.found = true;
        self.aside.replace(taken)
    }

    /// The group set aside was not durable when a later opening looked.
    fn leave_out(&mut self) {
        if let Some(aside) = self.aside.take() {
            self.chain = aside.chain_before;
            self.epoch = aside.epoch_before;
        }
    }

    /// The end: what witnesses of the end (a later header, a footer) are judged against.
    pub(crate) fn into_ending(self) -> Ending {
        Ending {
            offset: self.bad_at.unwrap_or(self.at),
            chain: self.chain,
            epoch: self.epoch,
            aside: self.aside,
        }
    }
}
