//! Lines of the access log as values of a bucket, which has room for so many of them.
//!
//! # Invariants
//!
//! - What waits is bounded: lines that find no room are lost, and counted.
//! - Only keys of the form that is made here are removed to make room, and only if that makes
//!   enough.

use super::AccessLog;
use crate::service::{Pending, Service};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Poll;
use store::{
    BATCH_VALUE_BYTES_MAX, Batch, BucketName, Change, Condition, Headers, Key, KeyQuery, NoSpace,
    Now, QuotaLimits, Refusal, Ticket, Unavailable, Wake,
};

/// How the keys begin; what follows is in the order of time.
const PREFIX: &str = "access-";
const ENDING: &str = ".log";
/// Digits of the time in milliseconds, and of the number behind it.
const TIME_DIGITS: usize = 15;
const NUMBER_DIGITS: usize = 8;
/// A value has at least so many bytes before another one is begun; until then it is written again
/// with what has come, when that is so old.
const VALUE_BYTES: usize = 32 * 1024;
const AGE_NS: u64 = 10_000_000_000;
/// Most bytes of lines that wait.
const WAITING_BYTES_MAX: usize = 256 * 1024;
/// How long it is until the next try after one that failed.
const PAUSE_NS: u64 = 5_000_000_000;
/// Values looked at at a time, and removed at once.
const PAGE_KEYS: usize = 256;
const REMOVED_KEYS: usize = 16;
/// What a value takes beside its lines, at most.
const AROUND_BYTES: u64 = 128;
/// The part of the disk that the lines have where the bucket has no quota, and what that is at
/// least and at most: each value takes memory, too.
const SHARE: u64 = 64;
const SHARE_BYTES_MIN: u64 = 256 * 1024;
const SHARE_BYTES_MAX: u64 = 256 << 20;
/// So often the values are counted, since others may remove some.
const COUNT_EACH: u64 = 64;

/// Lines that wait, and what is being written.
#[derive(Debug, Default)]
pub(super) struct Kept {
    text: String,
    /// When they are to be kept.
    due_ns: u64,
    /// Values so far.
    number: u64,
    /// The last of them, as long as more goes into it.
    last: Option<(Key, String)>,
    /// Bytes of lines in all values, and how many those are, once they have been counted.
    own: Option<QuotaLimits>,
    writing: Option<Writing>,
    /// Whether it was told that lines cannot be kept.
    is_told: bool,
}

/// A change under way.
#[derive(Debug)]
enum Writing {
    Removal(Pending),
    /// With the lines that are lost if it fails.
    Value(Pending, u64),
}

impl Kept {
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// Whether nothing waits that could be kept.
    pub(super) fn is_at_rest(&self) -> bool {
        self.writing.is_none() && (self.text.is_empty() || self.is_told)
    }

    /// Keeps a line; false if there is no room for it.
    pub(super) fn push(&mut self, line: &str, now: Now) -> bool {
        if self.text.len() + line.len() > WAITING_BYTES_MAX {
            return false;
        }
        if self.text.is_empty() {
            self.due_ns = self.due_ns.max(now.monotonic_ns + AGE_NS);
        }
        self.text.push_str(line);
        true
    }

    /// As many lines of those that wait as fit beside so many bytes.
    fn fitting(&self, beside: usize) -> &str {
        let room = BATCH_VALUE_BYTES_MAX.saturating_sub(beside);
        if self.text.len() <= room {
            return &self.text;
        }
        let end = self.text.as_bytes()[..room]
            .iter()
            .rposition(|byte| *byte == b'\n');
        &self.text[..end.map_or(0, |end| end + 1)]
    }

    /// What of the text goes into the last value; `None` if another one is to be begun.
    fn goes_on(&self) -> Option<(&Key, &String, &str)> {
        let (key, text) = self.last.as_ref()?;
        let more = self.fitting(text.len());
        (!more.is_empty()).then_some((key, text, more))
    }

    /// The key of the next value.
    fn key(&mut self, wall_ns: u64) -> Key {
        self.number += 1;
        let (ms, number) = (wall_ns / 1_000_000, self.number);
        let name = format!("{PREFIX}{ms:0TIME_DIGITS$}-{number:0NUMBER_DIGITS$}{ENDING}");
        Key::of(name.into_bytes()).expect("it is short")
    }
}

/// Whether a key is one of those that are made here.
fn is_own(key: &Key) -> bool {
    let rest = key.as_bytes().strip_prefix(PREFIX.as_bytes());
    let rest = rest.and_then(|rest| rest.strip_suffix(ENDING.as_bytes()));
    let parts = rest.and_then(|rest| rest.split_at_checked(TIME_DIGITS));
    parts.is_some_and(|(time, number)| {
        let number = number.strip_prefix(b"-").unwrap_or_default();
        let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
        is_number(time) && number.len() >= NUMBER_DIGITS && is_number(number)
    })
}

impl Service {
    /// Goes on with keeping lines; when it wants to go on.
    pub(crate) fn follow_access(&mut self, now: Now) -> Wake {
        let AccessLog::Bucket(bucket) = &self.config.access_log else {
            return Wake::At(None);
        };
        let bucket = bucket.clone();
        if let Some(writing) = self.access.kept.writing.take() {
            self.access.kept.writing = self.go_on(writing, now);
        }
        let kept = &self.access.kept;
        if kept.text.is_empty() || kept.writing.is_some() {
            return Wake::At(None);
        }
        let is_urgent = kept.text.len() >= VALUE_BYTES || self.is_draining();
        if now.monotonic_ns < kept.due_ns && (kept.is_told || !is_urgent) {
            return Wake::At(Some(kept.due_ns));
        }
        match self.hand_in(&bucket, now) {
            Ok(writing) => {
                self.access.kept.writing = Some(writing);
                Wake::Now
            }
            Err(refusal) => {
                self.failed(&refusal, 0, now);
                Wake::At(Some(self.access.kept.due_ns))
            }
        }
    }

    fn go_on(&mut self, writing: Writing, now: Now) -> Option<Writing> {
        let (mut pending, lines) = match writing {
            Writing::Removal(pending) => (pending, None),
            Writing::Value(pending, lines) => (pending, Some(lines)),
        };
        match (pending.outcome(&mut self.store), lines) {
            (Poll::Pending, None) => return Some(Writing::Removal(pending)),
            (Poll::Pending, Some(lines)) => return Some(Writing::Value(pending, lines)),
            (Poll::Ready(Ok(_)), Some(_)) => self.access.kept.is_told = false,
            (Poll::Ready(Ok(_)), None) => {}
            (Poll::Ready(Err(refusal)), lines) => self.failed(&refusal, lines.unwrap_or(0), now),
        }
        None
    }

    /// Waits before the next try, and says so if there is something to be done about it.
    fn failed(&mut self, refusal: &Refusal, lost_lines: u64, now: Now) {
        let access = &mut self.access;
        access.lost += lost_lines;
        let kept = &mut access.kept;
        (kept.last, kept.own) = (None, None);
        kept.due_ns = now.monotonic_ns + PAUSE_NS;
        if let Refusal::NoSpace(NoSpace::Quota { .. } | NoSpace::QuotaKeys { .. }) = refusal {
            // Nothing of theirs is left to remove: they would wait for ever.
            access.lost += kept.text.lines().count() as u64;
            kept.text.clear();
        }
        let passes = [
            Refusal::Unavailable(Unavailable::Busy),
            Refusal::Unavailable(Unavailable::Restoring),
            Refusal::NotFound,
        ];
        let is_condition = matches!(refusal, Refusal::Condition { .. });
        if !is_condition && !passes.contains(refusal) {
            self.tell_of_lines(&format!("{refusal:?}"));
        }
    }

    /// Says once that lines cannot be kept, until some can.
    pub(super) fn tell_of_lines(&mut self, why: &str) {
        if !core::mem::replace(&mut self.access.kept.is_told, true) {
            log::warn!(
                "http: the access log cannot be kept ({why}): it is tried again, and lines that \
                 find no room are lost (lampion_access_log_lost_lines_total)"
            );
        }
    }

    /// Hands in lines that wait, or first the removal of others for which there is no room beside
    /// them.
    fn hand_in(&mut self, bucket: &BucketName, now: Now) -> Result<Writing, Refusal> {
        if let Some(removal) = self.make_room(bucket)? {
            return Ok(Writing::Removal(self.pending(removal)));
        }
        let kept = &mut self.access.kept;
        let (key, text, condition, taken) = match kept.goes_on() {
            // Who has removed it does not want it back.
            Some((key, text, more)) => {
                let text = [text.as_str(), more].concat();
                (key.clone(), text, Condition::Exists, more.len())
            }
            None => {
                let text = String::from(kept.fitting(0));
                let taken = text.len();
                (kept.key(now.wall_ns), text, Condition::Absent, taken)
            }
        };
        let is_new = condition == Condition::Absent;
        let headers = Headers {
            content_type: Some(Box::from("text/plain; charset=utf-8")),
            ..Headers::default()
        };
        let put = Change::Put {
            value: text.clone().into_bytes(),
            headers,
        };
        let changes = Vec::from([(bucket.clone(), key.clone(), condition, put)]);
        let ticket = self.store.submit(Batch { changes })?;
        let kept = &mut self.access.kept;
        if let Some(own) = &mut kept.own {
            own.bytes += taken as u64;
            own.keys += u64::from(is_new);
        }
        if is_new && kept.number.is_multiple_of(COUNT_EACH) {
            kept.own = None;
        }
        let lines = kept.text[..taken].lines().count() as u64;
        kept.text.drain(..taken);
        kept.last = (text.len() < VALUE_BYTES).then_some((key, text));
        Ok(Writing::Value(self.pending(ticket), lines))
    }

    /// Hands in the removal of the oldest values, if there is too little room without, and enough
    /// with it.
    fn make_room(&mut self, bucket: &BucketName) -> Result<Option<Ticket>, Refusal> {
        let kept = &self.access.kept;
        let need = QuotaLimits {
            bytes: kept.waiting_bytes().min(BATCH_VALUE_BYTES_MAX as u64) + AROUND_BYTES,
            keys: u64::from(kept.goes_on().is_none()),
        };
        let (quota, used) = self.store.quota(bucket);
        let own = self.count_own(bucket)?;
        let share = self.store.statistics().limit_bytes / SHARE;
        let share = share.clamp(SHARE_BYTES_MIN, SHARE_BYTES_MAX);
        let beyond = |used: u64, need: u64, limit: u64| (used + need).saturating_sub(limit);
        let excess = QuotaLimits {
            bytes: match quota.bytes {
                0 => beyond(own.bytes + own.keys * AROUND_BYTES, need.bytes, share),
                limit => beyond(used.bytes, need.bytes, limit),
            },
            keys: match quota.keys {
                0 => 0,
                limit => beyond(used.keys, need.keys, limit),
            },
        };
        let is_enough = own.bytes >= excess.bytes && own.keys >= excess.keys;
        if excess == QuotaLimits::default() || !is_enough {
            return Ok(None);
        }
        self.remove_oldest(bucket, excess)
    }

    /// The lines' values: their bytes, and how many they are.
    fn count_own(&mut self, bucket: &BucketName) -> Result<QuotaLimits, Refusal> {
        if let Some(own) = self.access.kept.own {
            return Ok(own);
        }
        let mut own = QuotaLimits::default();
        let mut query = KeyQuery {
            prefix: PREFIX.as_bytes().to_vec(),
            limit: PAGE_KEYS,
            ..KeyQuery::default()
        };
        loop {
            let page = self.store.keys(bucket, &query);
            let page = page.map_err(Refusal::Unavailable)?;
            for (_, version) in page.keys.iter().filter(|(key, _)| is_own(key)) {
                own.bytes += version.len_bytes;
                own.keys += 1;
            }
            match page.keys.last() {
                Some((last, _)) if page.more => query.go_on_behind(last.as_bytes()),
                _ => break,
            }
        }
        self.access.kept.own = Some(own);
        Ok(own)
    }

    fn remove_oldest(
        &mut self,
        bucket: &BucketName,
        excess: QuotaLimits,
    ) -> Result<Option<Ticket>, Refusal> {
        let query = KeyQuery {
            prefix: PREFIX.as_bytes().to_vec(),
            limit: PAGE_KEYS,
            ..KeyQuery::default()
        };
        let page = self.store.keys(bucket, &query);
        let page = page.map_err(Refusal::Unavailable)?;
        let mut removed = QuotaLimits::default();
        let mut changes = Vec::new();
        let last = &mut self.access.kept.last;
        for (key, version) in page.keys.into_iter().filter(|(key, _)| is_own(key)) {
            let is_enough = removed.bytes >= excess.bytes && removed.keys >= excess.keys;
            if is_enough || changes.len() == REMOVED_KEYS {
                break;
            }
            if last.as_ref().is_some_and(|(last, _)| *last == key) {
                *last = None;
            }
            removed.bytes += version.len_bytes;
            removed.keys += 1;
            changes.push((bucket.clone(), key, Condition::None, Change::Delete));
        }
        if changes.is_empty() {
            return Ok(None);
        }
        let ticket = self.store.submit(Batch { changes })?;
        if let Some(own) = &mut self.access.kept.own {
            own.bytes = own.bytes.saturating_sub(removed.bytes);
            own.keys = own.keys.saturating_sub(removed.keys);
        }
        Ok(Some(ticket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_here_is_taken_for_it() {
        let mut kept = Kept::default();
        assert!(is_own(&kept.key(1_795_054_400_123_000_000)));
        for name in [
            "access-",
            "access-policy.html",
            "access-00179505440012x-00000001.log",
        ] {
            assert!(
                !is_own(&Key::new(name.as_bytes()).expect("a key")),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_too_much_for_a_value_ends_with_a_line() {
        let now = Now {
            monotonic_ns: 0,
            wall_ns: 0,
        };
        let mut kept = Kept::default();
        let line = [&"a".repeat(999), "\n"].concat();
        while kept.push(&line, now) {}
        assert!(kept.text.len() > WAITING_BYTES_MAX - 1_000);
        assert_eq!(kept.fitting(0).len(), 65_000);
        assert_eq!(kept.fitting(64_800), "");
        kept.last = Some((kept.key(0), "b".repeat(64_900)));
        assert!(kept.goes_on().is_none(), "another value is begun");
    }
}
