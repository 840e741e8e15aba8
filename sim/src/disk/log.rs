//! What reached the disk, for an explorer that crashes it everywhere.

use super::{Disk, SECTOR_BYTES};

/// Something that changes what a crash can leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes came into the cache: whole sectors.
    Write {
        /// Where they are, not where they were sent.
        offset: u64,
        /// As the cache has them.
        bytes: Vec<u8>,
    },
    /// All before it became durable.
    Flush,
}

/// The events, once there is somebody to record them for.
#[derive(Clone, Default)]
pub(super) struct Log {
    events: Vec<Event>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Off,
    On,
}

impl Log {
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        if self.state == State::On {
            let bytes = bytes.to_vec();
            self.events.push(Event::Write { offset, bytes });
        }
    }

    pub(super) fn flush(&mut self) {
        if self.state == State::On {
            self.events.push(Event::Flush);
        }
    }

    pub(super) fn stop(&mut self) {
        self.state = State::Off;
    }
}

impl Disk {
    /// Records from now on, in place of what was recorded before; a crash ends it.
    ///
    /// The base of the log is [`Disk::durable_image`] as it is now: what is unflushed
    /// already comes first in the log.
    ///
    /// The log has what the disk did, not what it was asked for: a lost write or a
    /// lying flush is not there, a misplaced write is where it went, a discard is a
    /// write of zeros, a failed write is the part that arrived. A flush that had to
    /// leave something out ([`super::Faults::forgetful_flush_error`]) is not there
    /// either: the log then allows more states than the disk does, never fewer. Of
    /// rot it knows nothing.
    pub fn record(&mut self) {
        let unflushed = self.cache.in_order().into_iter();
        let events = unflushed.map(|(sector, bytes)| Event::Write {
            offset: sector * SECTOR_BYTES,
            bytes: bytes.to_vec(),
        });
        self.log.events = events.collect();
        self.log.state = State::On;
    }

    /// What was recorded.
    pub fn recorded(&self) -> &[Event] {
        &self.log.events
    }
}
