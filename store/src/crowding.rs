//! Uploads side by side: what each may hold, and who gives way to the others.
//!
//! What counts is the memory that bytes on their way take, not how many uploads there are: the
//! first KiB of each is taken whoever else holds what, and what is beyond shares one room. Where
//! that is full, who brings more waits, and who has fallen behind the pace that is expected of
//! everybody gives way. Those that have waited longest have the room that is made, and a few of
//! them may go ahead beyond the limit with one chunk: so something always moves, however the room
//! is parted.
//!
//! Space on the disk is reserved as it is earned: a few bytes for each that has come. A length
//! that was only promised keeps nobody out.
//!
//! # Invariants
//!
//! - `room_bytes` is the sum of what the uploads hold of the room, `waiting` are those that want
//!   more than they were given, `ready` is the number of chunks that wait for a group.
//! - Who waits for the store does not fall behind meanwhile.
//! - Whenever room is made while somebody wants it, the step after that says so: once.

use crate::format::layout::CHUNK_BYTES;
use crate::gather::ChunkWritten;
use crate::request::{Refusal, Unavailable, Upload};
use crate::store::Store;
use crate::uploads::{State, Uploads, stored_bound};

/// Who has fallen behind by so much may have to give way.
const BEHIND_NS: u64 = 2_000_000_000;
/// What a byte is worth: 16 KiB are expected in a second.
const NS_PER_BYTE: u64 = 1_000_000_000 / (16 << 10);
/// Bytes that each may hold whoever else holds what: a small value keeps nobody out.
const SMALL_BYTES: usize = 1 << 10;
/// How many may go ahead beyond the limit, so that a group takes more than one chunk. There is one
/// place more for who has waited longest, and one for what a job brings.
const AHEAD_MAX: usize = 4;
/// How soon memory is asked for again where there was none.
const SHORT_RETRY_NS: u64 = 10_000_000;
/// Bytes that may be reserved for each that has come.
const EARNED: u64 = 4;

/// What all chunks of a value take that is said to be so long; nothing if it is one record.
pub(crate) fn promised(len_bytes: Option<u64>) -> u64 {
    let chunked = len_bytes.filter(|len_bytes| *len_bytes > CHUNK_BYTES as u64);
    chunked.map_or(0, stored_bound)
}

impl State {
    /// Bytes of its value that wait in memory.
    fn held(&self) -> usize {
        let ready = self.ready.iter().map(|(_, data)| data.len());
        self.buffer.len() + ready.sum::<usize>()
    }

    /// How many of them take room that all share.
    fn in_room(&self) -> u64 {
        self.held().saturating_sub(SMALL_BYTES) as u64
    }

    /// Whether only its peer can move it, so that it may be asked to give way.
    fn is_peers_turn(&self) -> bool {
        let is_whole = self.len_bytes == Some(self.value_len);
        !(self.committing || self.wants || self.is_steady || is_whole) && self.ready.is_empty()
    }

    /// What is to be reserved for the rest of it.
    fn earned(&self) -> u64 {
        let earned = stored_bound(EARNED * self.value_len).min(promised(self.len_bytes));
        earned.saturating_sub(self.written)
    }
}

impl Uploads {
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// One more.
    pub(crate) fn enter(&mut self, state: State) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.states.insert(id, state);
        id
    }

    /// One less; the room it held is free.
    pub(crate) fn leave(&mut self, id: u64) -> Option<State> {
        let state = self.states.remove(&id)?;
        self.room_bytes -= state.in_room();
        self.ready -= state.ready.len();
        self.room_made(id, state.ticket);
        Some(state)
    }

    /// An upload goes on without the room it held, or without some of it.
    fn room_made(&mut self, id: u64, ticket: Option<u64>) {
        ticket.and_then(|ticket| self.waiting.remove(&ticket));
        self.ahead.retain(|ahead| *ahead != id);
        self.has_news |= core::mem::take(&mut self.place_wanted) || !self.waiting.is_empty();
    }

    /// Whether nobody has waited for longer, but as many as can go on with the room there is:
    /// among more of them it is not parted.
    fn has_turn(&self, state: &State, limit_bytes: u64) -> bool {
        let Some(ticket) = state.ticket else {
            return self.waiting.is_empty();
        };
        let turns = (limit_bytes / CHUNK_BYTES as u64) as usize + AHEAD_MAX;
        let behind = self.waiting.keys().nth(turns);
        behind.is_none_or(|behind| ticket < *behind)
    }

    /// Whether room was made for somebody since this was last asked.
    pub(crate) fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.has_news)
    }

    /// How many of so many bytes one may add to its buffer.
    pub(crate) fn granted(&mut self, id: u64, bytes: usize, limit_bytes: u64) -> usize {
        let Some(state) = self.states.get(&id) else {
            return 0;
        };
        let small_bytes = SMALL_BYTES.saturating_sub(state.held());
        let room_bytes = limit_bytes.saturating_sub(self.room_bytes);
        let room_bytes = usize::try_from(room_bytes).unwrap_or(usize::MAX);
        let first = self.waiting.keys().next();
        let is_first = first.is_some() && first == state.ticket.as_ref();
        let has_turn = state.is_steady || self.has_turn(state, limit_bytes);
        let free_bytes = match has_turn {
            true => small_bytes.saturating_add(room_bytes),
            false => small_bytes,
        };
        let is_steady = |id: &&u64| self.states.get(id).is_some_and(|state| state.is_steady);
        let steady = self.ahead.iter().filter(is_steady).count();
        let has_place = match state.is_steady {
            true => steady == 0,
            false => self.ahead.len() - steady < AHEAD_MAX + usize::from(is_first),
        };
        // One chunk, and no more until it is in a group.
        let may_go_ahead =
            state.ready.is_empty() && (self.ahead.contains(&id) || has_turn && has_place);
        if bytes > free_bytes && may_go_ahead {
            if !self.ahead.contains(&id) {
                self.ahead.push(id);
            }
            return bytes;
        }
        bytes.min(free_bytes)
    }

    /// Adds bytes that were granted; `false` if there is no memory for them.
    pub(crate) fn append(&mut self, id: u64, bytes: &[u8]) -> bool {
        let Some(state) = self.states.get_mut(&id) else {
            return false;
        };
        let before = state.in_room();
        let has_grown = state.append(bytes);
        self.room_bytes += state.in_room() - before;
        self.is_short |= !has_grown;
        has_grown
    }

    /// One was offered so many bytes, and so many of them were taken.
    pub(crate) fn note(
        &mut self,
        id: u64,
        (taken, offered): (usize, usize),
        wants: bool,
        now_ns: u64,
    ) {
        let Some(state) = self.states.get_mut(&id) else {
            return;
        };
        let is_first = taken > 0 && state.value_len == taken as u64;
        let has_waited = core::mem::replace(&mut state.wants, wants);
        let earned_ns = (taken as u64).saturating_mul(NS_PER_BYTE);
        state.moved_ns = match has_waited || taken < offered || is_first {
            true => now_ns,
            false => state.moved_ns.saturating_add(earned_ns).min(now_ns),
        };
        match (has_waited, wants) {
            (false, true) => self.wait_in_line(id),
            (true, false) => {
                state.ticket.and_then(|ticket| self.waiting.remove(&ticket));
                // Somebody else has a turn.
                self.has_news |= !self.waiting.is_empty();
            }
            _ => {}
        }
    }

    /// Who has waited for the room of a part keeps the place in the line.
    fn wait_in_line(&mut self, id: u64) {
        if let Some(state) = self.states.get_mut(&id) {
            let ticket = *state.ticket.get_or_insert(self.next_ticket);
            self.next_ticket = self.next_ticket.max(ticket + 1);
            self.waiting.insert(ticket, id);
        }
    }

    /// The first chunk of an upload that waits is in a group.
    pub(crate) fn chunk_gathered(&mut self, chunk: &ChunkWritten, now_ns: u64) {
        let Some(state) = self.states.get_mut(&chunk.upload_id) else {
            return;
        };
        let before = state.in_room();
        state.ready.pop_front();
        state.moved_ns = now_ns;
        // What comes now waits in line again.
        let (ticket, wants) = (state.ticket.take(), state.wants);
        if !state.committing {
            self.last_gathered = chunk.upload_id;
        }
        self.room_bytes -= before - state.in_room();
        self.ready -= 1;
        self.room_made(chunk.upload_id, ticket);
        if wants {
            self.wait_in_line(chunk.upload_id);
        }
    }

    /// Those that have chunks for a group: one in turn, so that none stands behind the others for
    /// ever; what somebody waits to be told of; and the rest in turn.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (u64, &State)> {
        let behind = self.last_gathered + 1;
        let in_turn = self.states.range(behind..);
        let in_turn = in_turn.chain(self.states.range(..behind));
        let has_more = |(_, state): &(&u64, &State)| !state.ready.is_empty() && !state.committing;
        let mut others = in_turn.filter(has_more);
        let first = others.next();
        let is_whole = |(_, state): &(&u64, &State)| !state.ready.is_empty() && state.committing;
        let committing = self.states.iter().filter(is_whole);
        let all = first.into_iter().chain(committing).chain(others);
        all.map(|(id, state)| (*id, state))
    }

    /// The one that is behind most of those whose turn it is, and since when it stands there.
    fn hindmost(&self, counts: impl Fn(&State) -> bool) -> Option<(u64, u64)> {
        let states = self.states.iter();
        let states = states.filter(|(_, state)| state.is_peers_turn() && counts(state));
        states
            .map(|(id, state)| (*id, state.moved_ns))
            .min_by_key(|(_, moved_ns)| *moved_ns)
    }
}

impl Store {
    /// Bytes that uploads may hold beyond the first of each; a buffer takes up to twice as much as
    /// is in it.
    pub(crate) fn upload_room_bytes(&self) -> u64 {
        (self.options.memory_bytes / 32).clamp(4 * CHUNK_BYTES as u64, 16 << 20)
    }

    /// How many uploads there may be, small as they are: more than a guest of so much memory has
    /// connections for.
    fn uploads_max(&self) -> usize {
        (self.options.memory_bytes >> 13).clamp(256, 4096) as usize
    }

    /// What the owner of an upload that is over without a value is told: nothing was written.
    pub(crate) fn gave_way(&self) -> Refusal {
        let slow = Refusal::Unavailable(Unavailable::Slow);
        self.writable().err().unwrap_or(slow)
    }

    /// This upload never gives way, slow as it may be: a job brings it that is told of, and ended
    /// where it stands still.
    pub fn keep_upload(&mut self, upload: &Upload) {
        if let Some(state) = self.uploads.states.get_mut(&upload.id) {
            state.is_steady = true;
        }
    }

    /// Whether there is a place for one more upload; if not, somebody may have to give way.
    pub(crate) fn has_upload_place(&mut self) -> bool {
        if self.uploads.len() < self.uploads_max() {
            return true;
        }
        self.sweep_uploads();
        let behind = self.uploads.hindmost(|_| true);
        let has_place = self.uploads.len() < self.uploads_max() || self.gives_way(behind);
        self.uploads.place_wanted = !has_place;
        has_place
    }

    /// Whether somebody is so far behind that it has given way.
    fn gives_way(&mut self, behind: Option<(u64, u64)>) -> bool {
        let now_ns = self.now.monotonic_ns;
        let Some((id, _)) = behind.filter(|(_, at_ns)| at_ns.saturating_add(BEHIND_NS) <= now_ns)
        else {
            return false;
        };
        self.counts.uploads_displaced += 1;
        self.drop_upload(id);
        true
    }

    /// Makes room for those that wait, if somebody has fallen behind; when to try that again, on
    /// the monotonic clock.
    pub(crate) fn make_upload_room(&mut self) -> Option<u64> {
        let is_short = core::mem::take(&mut self.uploads.is_short);
        let uploads = &self.uploads;
        let is_full = is_short || uploads.room_bytes >= self.upload_room_bytes();
        let room_wanted = is_full && !uploads.waiting.is_empty();
        if !room_wanted && !uploads.place_wanted {
            return None;
        }
        let retry_ns = self.now.monotonic_ns.saturating_add(SHORT_RETRY_NS);
        let retry_ns = (room_wanted && is_short).then_some(retry_ns);
        let place_wanted = uploads.place_wanted;
        let behind = uploads.hindmost(|state| place_wanted || state.in_room() > 0);
        if self.gives_way(behind) {
            return None;
        }
        let behind_ns = behind.map(|(_, at_ns)| at_ns.saturating_add(BEHIND_NS));
        retry_ns.into_iter().chain(behind_ns).min()
    }

    /// Whether there is so much space on the disk now.
    pub(crate) fn has_space(&self, bytes: u64) -> Result<(), Refusal> {
        let (limit_bytes, used_bytes) = (self.limit_bytes(), self.projected_bytes());
        match bytes > 0 && used_bytes + bytes > limit_bytes {
            true => Err(self.no_space(limit_bytes, used_bytes)),
            false => Ok(()),
        }
    }

    /// Reserves what an upload has earned, as far as that is free.
    pub(crate) fn reserve_earned(&mut self, id: u64) {
        let free = self.limit_bytes().saturating_sub(self.projected_bytes());
        if let Some(state) = self.uploads.states.get_mut(&id) {
            let more = state.earned().saturating_sub(state.reserved).min(free);
            state.reserved += more;
            self.queue.reserved += more;
        }
    }
}
