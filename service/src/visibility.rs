//! Which buckets everybody may read: `www`, and what their owner says.
//!
//! What differs from that is a key in the appliance's own bucket, so that no rollback and no
//! restore changes who may read.
//!
//! # Invariants
//!
//! - What is here is what was durable at [`Service::look_at_visibility`], which is asked whenever a
//!   change of it may have become durable, whether somebody waits for that or not.

use crate::auth::Intent;
use crate::service::Service;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use store::{
    Batch, BucketName, Change, Condition, Headers, Key, KeyQuery, Refusal, Seq, State, Ticket,
};

/// The bucket everybody may read if nothing else is said, its scripts aside.
const PUBLIC_BUCKET: &[u8] = b"www";
/// How the keys begin that name a bucket which is not as usual.
const PREFIX: &[u8] = b"visibility.";
/// Keys looked at at a time.
const PAGE_KEYS: usize = 256;

/// The buckets that are not as usual: `www` if it is there, or others.
#[derive(Debug, Default)]
pub(crate) struct Visibility {
    exceptions: BTreeSet<BucketName>,
    /// Whether what is on the disk has been looked at.
    pub(crate) is_known: bool,
    /// A change of it has been handed in, and the last one that was durable then.
    awaited: Option<Seq>,
}

impl Visibility {
    /// Whether everybody may read a bucket.
    #[inline]
    pub(crate) fn is_public(&self, bucket: &[u8]) -> bool {
        let usual = bucket == PUBLIC_BUCKET;
        usual != (!self.exceptions.is_empty() && self.exceptions.contains(bucket))
    }

    /// What reading a bucket takes.
    #[inline]
    pub(crate) fn read_intent(&self, bucket: &[u8]) -> Intent {
        match self.is_public(bucket) {
            true => Intent::ReadPublic,
            false => Intent::ReadPrivate,
        }
    }

    /// Those that are not as usual.
    pub(crate) fn exceptions(&self) -> impl Iterator<Item = &BucketName> {
        self.exceptions.iter()
    }
}

impl Service {
    /// Looks again at what is durable; what cannot be read now stays what it was.
    pub(crate) fn look_at_visibility(&mut self) {
        let mut exceptions = BTreeSet::new();
        let mut query = KeyQuery {
            prefix: PREFIX.to_vec(),
            limit: PAGE_KEYS,
            ..KeyQuery::default()
        };
        loop {
            let Ok(page) = self.store.keys(&BucketName::system(), &query) else {
                return;
            };
            let names = page
                .keys
                .iter()
                .map(|(key, _)| &key.as_bytes()[PREFIX.len()..]);
            let names = names.filter_map(|name| BucketName::new(str::from_utf8(name).ok()?).ok());
            exceptions.extend(names);
            match page.keys.last() {
                Some((last, _)) if page.more => query.go_on_behind(last.as_bytes()),
                _ => break,
            }
        }
        self.visibility.exceptions = exceptions;
    }

    /// Looks if there may be news: the store has opened, something has become durable while a
    /// change is awaited, or a change nobody waited for has ended.
    pub(crate) fn follow_visibility(&mut self, has_ended: bool) {
        if matches!(self.store.state(), State::Opening) {
            return;
        }
        let seq = self.store.durable_seq();
        let awaited = self.visibility.awaited.as_mut();
        let moved = awaited.is_some_and(|awaited| core::mem::replace(awaited, seq) != seq);
        if has_ended || !self.visibility.is_known {
            self.visibility.is_known = true;
            self.end_awaiting_visibility();
        } else if moved {
            self.look_at_visibility();
        }
    }

    /// A change has ended, well or not: what is durable from now on is not looked at for it.
    pub(crate) fn end_awaiting_visibility(&mut self) {
        self.visibility.awaited = None;
        self.look_at_visibility();
    }

    /// Hands in that everybody may read a bucket, or not; `None` where that is so already.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn publish_bucket(
        &mut self,
        bucket: &BucketName,
        public: bool,
    ) -> Result<Option<Ticket>, Refusal> {
        let name = bucket.as_str().as_bytes();
        let key = Key::new(&[PREFIX, name].concat()).expect("a bucket's name is short");
        let is_usual = public == (name == PUBLIC_BUCKET);
        let (condition, change) = match is_usual {
            true => (Condition::None, Change::Delete),
            false => {
                let put = Change::Put {
                    value: Vec::new(),
                    headers: Headers::default(),
                };
                (Condition::Absent, put)
            }
        };
        let changes = alloc::vec![(BucketName::system(), key, condition, change)];
        match self.store.submit(Batch { changes }) {
            Ok(ticket) => {
                self.visibility.awaited = Some(self.store.durable_seq());
                Ok(Some(ticket))
            }
            Err(Refusal::NotFound | Refusal::Condition { .. }) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }
}
