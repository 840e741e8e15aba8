//! Pages of keys, in order, as a view sees them.

use super::Index;
use super::keys::{Bucket, Under, after};
use super::version::Version;
use crate::name::{BucketName, Key};
use crate::request::{At, KeyPage, KeyQuery};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Keys whose time is over that a page passes by, at most.
pub(crate) const PAGE_OVER_MAX: usize = 1_000;
/// The newest version of a key comes first.
const NEWEST: u64 = u64::MAX;

impl Index {
    /// Whether all keys that a query asks for are here.
    pub(crate) fn knows_all(&self, name: &BucketName, query: &KeyQuery) -> bool {
        self.is_known_before(name.as_str(), end_of(query).as_deref())
    }

    /// A page of the keys that the view at `shown` sees, and those left out because their time is
    /// over, if now was asked for.
    pub(crate) fn page(
        &self,
        name: &BucketName,
        query: &KeyQuery,
        (shown, now_ms): (u64, u64),
        over_max: usize,
    ) -> (KeyPage, Vec<Key>) {
        let (mut page, mut over) = (KeyPage::default(), Vec::new());
        let Some(bucket) = self.buckets.get(name) else {
            return (page, over);
        };
        let under = (name.as_str(), self.views());
        let start = match &query.start {
            Some(start) if start.as_slice() > query.prefix.as_slice() => start.as_slice(),
            _ => query.prefix.as_slice(),
        };
        let end = end_of(query);
        let end = end.as_deref();
        if end.is_some_and(|end| end <= start) {
            return (page, over);
        }
        let mut cursor = match query.reverse {
            false => Cursor::Forward(start.into()),
            true => Cursor::Backward(end.map(Into::into)),
        };
        while let Some(key) = bucket.step(&mut cursor) {
            let inside = key >= start && end.is_none_or(|end| key < end);
            if !inside {
                break;
            }
            let Some(version) = bucket.value(under, key, shown) else {
                continue;
            };
            if page.keys.len() >= query.limit || over.len() >= over_max {
                page.more = true;
                break;
            }
            let key = Key::new(key).expect("keys are validated where they enter");
            match query.at == At::NOW && version.is_over(now_ms) {
                true => over.push(key),
                false => page.keys.push((key, version.metadata())),
            }
        }
        (page, over)
    }
}

/// The first key behind those that are asked for; `None` if there is none.
fn end_of(query: &KeyQuery) -> Option<Cow<'_, [u8]>> {
    let end = query.end.as_deref().map(Cow::Borrowed);
    let after = after_prefix(&query.prefix).map(|after| Cow::Owned(after.into_vec()));
    match (end, after) {
        (Some(end), Some(after)) => Some(end.min(after)),
        (end, after) => end.or(after),
    }
}

/// Where a walk over keys stands.
enum Cursor {
    /// At the first key from here on.
    Forward(Box<[u8]>),
    /// At the last key before this, or at the last of all.
    Backward(Option<Box<[u8]>>),
}

impl Bucket {
    fn value(&self, under: Under<'_>, key: &[u8], at: u64) -> Option<Version> {
        let (_, seen) = self.seen(under, key, at)?;
        seen.is_put().then_some(seen)
    }

    /// The first key from `from` on, whatever versions it has.
    pub(super) fn key_from(&self, from: &[u8]) -> Option<Box<[u8]>> {
        let (key, _) = self.tree.get(self.tree.seek(from, NEWEST))?;
        Some(key.into())
    }

    fn step(&self, cursor: &mut Cursor) -> Option<&[u8]> {
        match cursor {
            Cursor::Forward(from) => {
                let (key, _) = self.tree.get(self.tree.seek(from, NEWEST))?;
                *from = after(key);
                Some(key)
            }
            Cursor::Backward(before) => {
                let behind = match before {
                    Some(before) => self.tree.seek(before, NEWEST),
                    None => self.tree.end(),
                };
                let (key, _) = self.tree.get(self.tree.before(behind)?)?;
                *before = Some(key.into());
                Some(key)
            }
        }
    }
}

/// The first key after all that begin with `prefix`; `None` if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Box<[u8]>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after.into())
}
