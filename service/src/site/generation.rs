//! The pushes of a site: how their pages and their states are kept in its bucket.
//!
//! Each push is a generation with a number of its own. Its pages are the keys
//! `.site/NNNNNNNN/NAME`; what it is stands in the name of one more key, `.site:STATE:NNNNNNNN`.
//! One batch that changes such names is what switches a site. All of it is in the bucket, so a
//! quota counts it, and backups, snapshots and rollbacks have all of it or nothing.

use alloc::format;
use alloc::vec::Vec;
use store::{At, BucketName, Key, KeyQuery, Store, Unavailable};

/// How the keys of pages begin, and those that say what they are.
const PAGES: &[u8] = b".site/";
const MARKS: &[u8] = b".site:";
/// Most digits of a number: all have as many, so that they are in order.
const DIGITS: usize = 8;
const NUMBER_MAX: u64 = 99_999_999;
/// Marks looked at at once: who pushes faster than pushes are removed has fewer of them.
const MARKS_MAX: usize = 1_024;
/// Pages counted at a time.
const PAGE_KEYS: usize = 512;
/// Longest name of a page.
pub(crate) const NAME_BYTES_MAX: usize = 1_024 - PAGES.len() - DIGITS - 1;

/// One push of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u64);

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It comes in.
    Filling,
    /// It is shown.
    Current,
    /// It was shown, and can be again.
    Kept,
    /// It is being removed.
    Gone,
}

impl State {
    pub(super) const ALL: [State; 4] = [State::Filling, State::Current, State::Kept, State::Gone];

    /// Its word in a mark.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Filling => "filling",
            State::Current => "current",
            State::Kept => "kept",
            State::Gone => "gone",
        }
    }
}

/// What is said of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) generation: Generation,
    pub(crate) state: State,
    /// Since when, nanoseconds since 1970.
    pub(crate) since_wall_ns: u64,
}

/// Whether a key is of a push: nobody reads it without the token, but as a page of its site.
pub(crate) fn is_of_push(key: &[u8]) -> bool {
    hiding(key).is_some()
}

/// The keys among which such a one is: from the first on, before the second.
pub(crate) fn hiding(key: &[u8]) -> Option<(&'static [u8], &'static [u8])> {
    let ranges = [(PAGES, &b".site0"[..]), (MARKS, b".site;")];
    ranges
        .into_iter()
        .find(|(prefix, _)| key.starts_with(prefix))
}

impl Generation {
    /// How the keys of its pages begin.
    pub(crate) fn prefix(self) -> Vec<u8> {
        let digits = format!("{:0DIGITS$}/", self.0);
        [PAGES, digits.as_bytes()].concat()
    }

    /// The key of one of its pages, if that can be one.
    pub(crate) fn key(self, name: &[u8]) -> Option<Key> {
        Key::of([&self.prefix(), name].concat()).ok()
    }

    /// The key that says what it is.
    pub(crate) fn mark(self, state: State) -> Key {
        let name = format!(".site:{}:{:0DIGITS$}", state.word(), self.0);
        Key::of(name.into_bytes()).expect("it is short")
    }

    fn of_digits(digits: &[u8]) -> Option<Generation> {
        let is_number = digits.len() == DIGITS && digits.iter().all(u8::is_ascii_digit);
        let text = core::str::from_utf8(digits).ok().filter(|_| is_number)?;
        text.parse().ok().map(Generation)
    }

    /// How many pages it has, and their bytes; `None` if there are more than `files_max`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub(crate) fn size(
        self,
        store: &mut Store,
        bucket: &BucketName,
        files_max: u64,
    ) -> Result<Option<(u64, u64)>, Unavailable> {
        let (mut files, mut bytes) = (0, 0);
        let mut query = KeyQuery {
            prefix: self.prefix(),
            limit: PAGE_KEYS,
            ..KeyQuery::default()
        };
        while files <= files_max {
            let page = store.keys(bucket, &query)?;
            files += page.keys.len() as u64;
            bytes += page
                .keys
                .iter()
                .map(|(_, version)| version.len_bytes)
                .sum::<u64>();
            match page.keys.last() {
                Some((last, _)) if page.more => query.go_on_behind(last.as_bytes()),
                _ => return Ok(Some((files, bytes))),
            }
        }
        Ok(None)
    }
}

/// What is said of all generations of a bucket, in the order of their numbers.
///
/// # Errors
/// [`Unavailable`].
pub(crate) fn marks(store: &mut Store, bucket: &BucketName) -> Result<Vec<Mark>, Unavailable> {
    let query = KeyQuery {
        prefix: MARKS.to_vec(),
        limit: MARKS_MAX,
        ..KeyQuery::default()
    };
    let page = store.keys(bucket, &query)?;
    let mark = |(key, version): &(Key, store::Metadata)| {
        let said = key.as_bytes().strip_prefix(MARKS)?;
        let colon = said.iter().position(|byte| *byte == b':')?;
        let word = &said[..colon];
        let state = State::ALL
            .into_iter()
            .find(|state| state.word().as_bytes() == word)?;
        Some(Mark {
            generation: Generation::of_digits(&said[colon + 1..])?,
            state,
            since_wall_ns: version.modified_wall_ns,
        })
    };
    let mut marks: Vec<Mark> = page.keys.iter().filter_map(mark).collect();
    marks.sort_by_key(|mark| mark.generation);
    Ok(marks)
}

/// The one that is shown, if any was pushed.
///
/// # Errors
/// [`Unavailable`].
pub(crate) fn current(
    store: &mut Store,
    bucket: &BucketName,
) -> Result<Option<Generation>, Unavailable> {
    let mut prefix = MARKS.to_vec();
    prefix.extend_from_slice(b"current:");
    let query = KeyQuery {
        prefix,
        limit: 1,
        reverse: true,
        ..KeyQuery::default()
    };
    let page = store.keys(bucket, &query)?;
    let digits = page
        .keys
        .first()
        .map(|(key, _)| &key.as_bytes()[query.prefix.len()..]);
    Ok(digits.and_then(Generation::of_digits))
}

/// A number that none has yet, whatever is left of some of them, and none had that was given
/// before; `None` if there is none.
///
/// # Errors
/// [`Unavailable`].
pub(crate) fn next(
    store: &mut Store,
    bucket: &BucketName,
    given: Option<Generation>,
) -> Result<Option<Generation>, Unavailable> {
    let query = KeyQuery {
        prefix: PAGES.to_vec(),
        limit: 1,
        reverse: true,
        at: At::NOW,
        ..KeyQuery::default()
    };
    let page = store.keys(bucket, &query)?;
    let of_page = page.keys.first().and_then(|(key, _)| {
        let rest = key.as_bytes().strip_prefix(PAGES)?;
        Generation::of_digits(rest.get(..DIGITS)?)
    });
    let marked = marks(store, bucket)?;
    let marked = marked.last().map(|mark| mark.generation);
    let last = of_page.max(marked).max(given).map_or(0, |last| last.0);
    Ok((last < NUMBER_MAX).then_some(Generation(last + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_numbers_and_known_again() {
        let [ninth, tenth] = [Generation(9), Generation(10)];
        assert!(ninth.prefix() < tenth.prefix());
        assert!(ninth.mark(State::Kept) < tenth.mark(State::Kept));
        let key = ninth.key(b"a/b.html").expect("a key");
        assert_eq!(key.as_bytes(), b".site/00000009/a/b.html");
        for key in [key.as_bytes(), ninth.mark(State::Gone).as_bytes()] {
            assert!(is_of_push(key));
        }
        assert!(!is_of_push(b".sites") && !is_of_push(b"site/00000009/a"));
        for first in [ninth.key(b"\xff").expect("a key"), ninth.mark(State::Kept)] {
            let (from, before) = hiding(first.as_bytes()).expect("it is hidden");
            assert!(from < first.as_bytes() && first.as_bytes() < before);
            assert!(!is_of_push(before));
        }
        assert!(ninth.key(&[b'n'; NAME_BYTES_MAX]).is_some());
        assert!(ninth.key(&[b'n'; NAME_BYTES_MAX + 1]).is_none());
    }
}
