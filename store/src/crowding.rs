//! Uploads side by side: what each may hold, and who gives way to the others.
//!
//! Memory is counted by the bytes that wait in buffers, not by uploads: who has brought little
//! holds little, however many they are, and the first few KiB of each are never refused. Where
//! all memory is taken, who asks for more waits, and
//! who has fallen behind the pace that is expected of everybody gives way. One of those that wait
//! may go ahead beyond the limit, until a chunk of it is on its way to the disk: so something
//! always moves, however the memory is parted.
//!
//! Space on the disk is reserved as it is earned: a chunk at first, and then a few bytes for each
//! that has come. A length that was only promised keeps nobody out.
//!
//! # Invariants
//!
//! - `held_bytes` is the sum of what the uploads hold, `wanting` the number of those that want
//!   more than they were given.
//! - Who waits for the store does not fall behind meanwhile.

use crate::disk::Moved;
use crate::format::layout::CHUNK_BYTES;
use crate::request::{Refusal, Unavailable};
use crate::store::Store;
use crate::uploads::{State, Uploads, stored_bound};

/// Who has fallen behind by so much may have to give way.
const BEHIND_NS: u64 = 2_000_000_000;
/// What a byte is worth: 16 KiB are expected in a second.
const NS_PER_BYTE: u64 = 1_000_000_000 / (16 << 10);
/// Most bytes that each may bring whoever else holds what: a small value keeps nobody out.
const SMALL_BYTES: u64 = 4 << 10;
/// Bytes that may be reserved for each that has come.
const EARNED: u64 = 4;

impl State {
    /// Memory it holds.
    fn held(&self) -> u64 {
        let ready: usize = self.ready.iter().map(|(_, data)| data.len()).sum();
        (size_of::<State>() + self.metadata.len() + self.buffer.len() + ready) as u64
    }

    /// Whether its peer has to move, so that it may be asked to give way.
    fn is_peers_turn(&self) -> bool {
        !self.committing && !self.wants && self.ready.is_empty()
    }

    /// What is to be reserved for the rest of it.
    pub(crate) fn earned(&self) -> u64 {
        let earned = EARNED * self.value_len + CHUNK_BYTES as u64;
        let earned = stored_bound(earned).min(self.promised);
        earned.saturating_sub(self.written)
    }

    /// Its peer has brought bytes, or waits for the store.
    fn moved(&mut self, bytes: usize, now_ns: u64) {
        let earned_ns = (bytes as u64).saturating_mul(NS_PER_BYTE);
        self.moved_ns = match self.wants {
            true => now_ns,
            false => self.moved_ns.saturating_add(earned_ns).min(now_ns),
        };
    }
}

impl Uploads {
    /// One more.
    pub(crate) fn enter(&mut self, state: State) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.held_bytes += state.held();
        self.states.insert(id, state);
        id
    }

    /// One less; what it held is free.
    pub(crate) fn leave(&mut self, id: u64) -> Option<State> {
        let state = self.states.remove(&id)?;
        self.held_bytes -= state.held();
        self.wanting -= usize::from(state.wants);
        self.ahead.take_if(|ahead| *ahead == id);
        Some(state)
    }

    /// How many of these bytes one may add to its buffer.
    pub(crate) fn grant(&mut self, id: u64, bytes: usize, limit_bytes: u64) -> usize {
        let free = usize::try_from(limit_bytes.saturating_sub(self.held_bytes));
        let free = free.unwrap_or(usize::MAX);
        let len_bytes = self.states.get(&id).map_or(0, |state| state.value_len);
        let free = free.max(SMALL_BYTES.saturating_sub(len_bytes) as usize);
        if free < bytes && self.ahead.is_none() {
            self.ahead = Some(id);
        }
        let granted = match self.ahead == Some(id) {
            true => bytes,
            false => bytes.min(free),
        };
        self.held_bytes += granted as u64;
        granted
    }

    /// One has brought so many bytes, and wants more room than there was.
    pub(crate) fn note(&mut self, id: u64, bytes: usize, wants: bool, now_ns: u64) {
        let Some(state) = self.states.get_mut(&id) else {
            return;
        };
        if state.wants != wants {
            state.wants = wants;
            match wants {
                true => self.wanting += 1,
                false => self.wanting -= 1,
            }
        }
        state.moved(bytes, now_ns);
    }

    /// The one that is behind most of those whose turn it is, and since when it stands there.
    fn hindmost(&self, but: Option<u64>) -> Option<(u64, u64)> {
        let states = self.states.iter();
        let states = states.filter(|(id, state)| Some(**id) != but && state.is_peers_turn());
        states
            .map(|(id, state)| (*id, state.moved_ns))
            .min_by_key(|(_, moved_ns)| *moved_ns)
    }

    /// What those hold on the disk that may be asked to give way.
    fn reserved_behind(&self, but: Option<u64>, now_ns: u64) -> u64 {
        let states = self.states.iter();
        let behind = states.filter(|(id, state)| {
            Some(**id) != but && state.is_peers_turn() && is_behind(state.moved_ns, now_ns)
        });
        behind.map(|(_, state)| state.reserved).sum()
    }
}

fn is_behind(moved_ns: u64, now_ns: u64) -> bool {
    now_ns.saturating_sub(moved_ns) >= BEHIND_NS
}

impl Store {
    /// Bytes that uploads may hold in buffers; a buffer takes up to twice as much as is in it.
    pub(crate) fn upload_bytes_max(&self) -> u64 {
        (self.options.memory_bytes / 32).clamp(4 * CHUNK_BYTES as u64, 16 << 20)
    }

    /// What the owner of an upload that is over without a value is told: nothing was written.
    pub(crate) fn gave_way(&self) -> Refusal {
        let busy = Refusal::Unavailable(Unavailable::Busy);
        self.writable().err().unwrap_or(busy)
    }

    /// Whether there is memory for one more upload, small as it may be.
    pub(crate) fn has_upload_room(&mut self) -> bool {
        self.uploads.held_bytes < 2 * self.upload_bytes_max() || self.one_gives_way(None)
    }

    /// Whether an upload has given way.
    fn one_gives_way(&mut self, but: Option<u64>) -> bool {
        let now_ns = self.now.monotonic_ns;
        let behind = self.uploads.hindmost(but);
        let behind = behind.filter(|(_, moved_ns)| is_behind(*moved_ns, now_ns));
        if let Some((id, _)) = behind {
            self.counts.uploads_displaced += 1;
            self.drop_upload(id);
        }
        behind.is_some()
    }

    /// Space on the disk, that of those who are behind if need be.
    pub(crate) fn reserve(&mut self, bytes: u64, but: Option<u64>) -> Result<(), Refusal> {
        let limit_bytes = self.limit_bytes();
        let now_ns = self.now.monotonic_ns;
        loop {
            let used_bytes = self.projected_bytes();
            let missing = (used_bytes + bytes).saturating_sub(limit_bytes);
            if bytes == 0 || missing == 0 {
                self.queue.reserved += bytes;
                return Ok(());
            }
            let is_enough = self.uploads.reserved_behind(but, now_ns) >= missing;
            if !is_enough || !self.one_gives_way(but) {
                return Err(self.no_space(limit_bytes, used_bytes));
            }
        }
    }

    /// Makes room for who waits.
    pub(crate) fn make_upload_room(&mut self) -> Moved {
        let is_full = self.uploads.held_bytes >= self.upload_bytes_max();
        match self.uploads.wanting > 0 && is_full && self.one_gives_way(None) {
            true => Moved::Yes,
            false => Moved::No,
        }
    }

    /// When who waits for memory may go on, on the monotonic clock.
    pub(crate) fn next_upload_room_ns(&self) -> Option<u64> {
        if self.uploads.wanting == 0 {
            return None;
        }
        let is_full = self.uploads.held_bytes >= self.upload_bytes_max();
        if !is_full || self.uploads.ahead.is_none() {
            return Some(self.now.monotonic_ns);
        }
        let (_, moved_ns) = self.uploads.hindmost(None)?;
        Some(moved_ns.saturating_add(BEHIND_NS))
    }
}
