//! What clients know of the keys: what was acknowledged, what may have happened, what must not.

use super::failure::{Failure, wrong};
use super::history::History;
use crate::data::value;
use crate::http::Answer;
use std::collections::BTreeMap;

/// One of eight versions is a deletion.
const DELETION: u64 = 5;

/// A key that one client alone writes.
#[derive(Clone, Debug, Default)]
struct Owned {
    /// Acknowledged last, or found when the guest began.
    stands: u64,
    /// Sent to this guest without an answer: each may happen until it is killed.
    open: Vec<u64>,
    sent: u64,
}

/// All keys.
#[derive(Debug, Default)]
pub(super) struct Book {
    owned: BTreeMap<u64, Owned>,
    shared: BTreeMap<u64, History>,
    versions: u64,
    /// The disk may take back what was acknowledged, or show what it never was given.
    pub(super) trusts_disk: bool,
    /// Answers judged.
    pub(super) checks: u64,
}

/// Whether this version of a key is that there is none.
pub(super) fn is_deletion(version: u64) -> bool {
    version == 0 || version % 8 == DELETION
}

/// What is written as this version.
pub(super) fn body(key: u64, version: u64) -> Vec<u8> {
    let len = match (key + version) % 9 {
        0 | 1 => 70_000 + (version as usize * 311) % 250_000,
        _ => (key * 37 + version * 101) as usize % 3000,
    };
    value(key, version, len)
}

/// What is written to a shared key: it begins with its version.
pub(super) fn shared_body(key: u64, version: u64) -> Vec<u8> {
    let mut body = version.to_le_bytes().to_vec();
    body.extend(value(key, version, (version * 53) as usize % 900));
    body
}

fn shows(answer: &Answer, key: u64, version: u64) -> bool {
    if is_deletion(version) {
        return answer.status == 404;
    }
    answer.status == 200 && answer.body == body(key, version)
}

fn unlike(key: u64, answer: &Answer, wanted: &dyn std::fmt::Debug) -> Failure {
    wrong(format!(
        "key {key}: status {} with {} bytes, which is none of {wanted:?}",
        answer.status,
        answer.body.len()
    ))
}

impl Book {
    pub(super) fn new(trusts_disk: bool) -> Book {
        Book {
            trusts_disk,
            ..Book::default()
        }
    }

    /// The version that is written next to a key that its client owns.
    pub(super) fn begin(&mut self, key: u64) -> u64 {
        let owned = self.owned.entry(key).or_default();
        owned.sent += 1;
        owned.open.push(owned.sent);
        owned.sent
    }

    /// It was acknowledged.
    pub(super) fn acknowledged(&mut self, key: u64, version: u64) {
        self.checks += 1;
        let owned = self.owned.entry(key).or_default();
        owned.stands = version;
        owned.open.retain(|open| *open != version);
    }

    /// It was refused, so nobody may ever see it.
    pub(super) fn refused(&mut self, key: u64, version: u64) {
        self.checks += 1;
        let owned = self.owned.entry(key).or_default();
        owned.open.retain(|open| *open != version);
    }

    pub(super) fn shared_refused(&mut self, key: u64, version: u64) {
        self.checks += 1;
        self.shared.entry(key).or_default().write_refused(version);
    }

    /// What its owner reads is what stands, or what had no answer.
    pub(super) fn reads(&mut self, key: u64, answer: &Answer) -> Result<(), Failure> {
        self.checks += 1;
        let owned = self.owned.entry(key).or_default();
        let may = owned.open.iter().rev().chain([&owned.stands]).copied();
        let found = may.into_iter().find(|version| shows(answer, key, *version));
        if let Some(found) = found {
            owned.stands = found;
            return Ok(());
        }
        if self.trusts_disk {
            return Err(unlike(key, answer, owned));
        }
        self.finds_any(key, answer)
    }

    /// A disk that is not to be trusted may show any version, or none; never other bytes.
    fn finds_any(&mut self, key: u64, answer: &Answer) -> Result<(), Failure> {
        let owned = self.owned.entry(key).or_default();
        let mut any = (0..=owned.sent).rev();
        match any.find(|version| shows(answer, key, *version)) {
            Some(found) => owned.stands = found,
            None if answer.status != 200 => {}
            None => return Err(unlike(key, answer, &(0..=owned.sent))),
        }
        Ok(())
    }

    pub(super) fn owned_keys(&self) -> Vec<u64> {
        self.owned.keys().copied().collect()
    }

    pub(super) fn shared_keys(&self) -> Vec<u64> {
        self.shared.keys().copied().collect()
    }

    /// A write to a key that all share begins.
    pub(super) fn shared_begin(&mut self, key: u64, now_ns: u64) -> u64 {
        self.versions += 1;
        let history = self.shared.entry(key).or_default();
        history.write_begins(self.versions, now_ns);
        self.versions
    }

    pub(super) fn shared_acknowledged(&mut self, key: u64, version: u64, now_ns: u64) {
        self.checks += 1;
        self.shared
            .entry(key)
            .or_default()
            .write_ends(version, now_ns);
    }

    /// A read of a shared key: its bytes are a version's, and which is for the history to judge.
    pub(super) fn shared_reads(
        &mut self,
        key: u64,
        answer: &Answer,
        span_ns: (u64, u64),
    ) -> Result<(), Failure> {
        self.checks += 1;
        let version = match (answer.status, answer.body.first_chunk()) {
            (200, Some(version)) => u64::from_le_bytes(*version),
            (404, _) => 0,
            _ if !self.trusts_disk => return Ok(()),
            _ => return Err(unlike(key, answer, &"shared versions")),
        };
        if version > 0 && answer.body != shared_body(key, version) {
            return Err(unlike(key, answer, &version));
        }
        let history = self.shared.entry(key).or_default();
        history.read(version, span_ns.0, span_ns.1);
        Ok(())
    }

    /// The guest is gone: what it has not done it never will.
    pub(super) fn killed(&mut self, now_ns: u64) {
        self.shared
            .values_mut()
            .for_each(|history| history.killed(now_ns));
    }

    /// Every key was looked at since the last kill: what was not found is gone for good.
    pub(super) fn settle(&mut self) {
        self.owned.values_mut().for_each(|owned| owned.open.clear());
    }

    /// The histories so far are explained; a disk that takes back is asked nothing more.
    pub(super) fn judge_histories(&mut self) -> Result<(), Failure> {
        if !self.trusts_disk {
            return Ok(());
        }
        for (key, history) in &self.shared {
            self.checks += history.len() as u64;
            let judged = history.judge();
            judged.map_err(|why| wrong(format!("shared key {key}: {why}")))?;
        }
        Ok(())
    }

    /// How many keys hold a value that was acknowledged.
    pub(super) fn acknowledged_keys(&self) -> usize {
        self.owned.values().filter(|owned| owned.stands > 0).count()
    }
}
