//! Removing generations that nobody can go back to, and what pushes that broke off have left.

use super::generation::{self, State};
use super::switch;
use crate::service::{Pending, Service};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::Poll;
use store::{BucketName, KeyQuery, Refusal, State as StoreState, Unavailable};

/// Pages removed with one batch.
const BATCH_KEYS: usize = 128;

/// Which buckets are to be looked at, and what has been handed in.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    wanted: VecDeque<BucketName>,
    removing: Option<Pending>,
    /// Whether what an earlier boot has left was looked for.
    has_begun: bool,
}

/// What a look at a bucket led to.
enum Swept {
    /// Something is being removed.
    Some(Pending),
    /// Nothing is left, or it cannot be removed now.
    Nothing,
    /// The store has too much to do.
    Later,
}

impl Swept {
    /// Of a store that cannot do it now.
    fn unless_later(why: &Unavailable) -> Swept {
        match why {
            Unavailable::Busy | Unavailable::Restoring => Swept::Later,
            _ => Swept::Nothing,
        }
    }
}

impl Sweep {
    /// Whether nothing is left to be looked at.
    pub(super) fn is_done(&self) -> bool {
        self.has_begun && self.wanted.is_empty()
    }
}

impl Service {
    /// Looks for generations to remove in a bucket.
    pub(crate) fn sweep_site(&mut self, bucket: &BucketName) {
        let wanted = &mut self.sites.sweep.wanted;
        if !wanted.contains(bucket) {
            wanted.push_back(bucket.clone());
        }
        self.sites.is_at_rest = false;
    }

    /// The same in all buckets: what is in them may be that of another time.
    pub(crate) fn sweep_all_sites(&mut self) {
        for bucket in self.store.buckets().unwrap_or_default() {
            self.sweep_site(&bucket);
        }
    }

    /// Goes on with removing; whether something was handed in.
    pub(super) fn sweep_sites(&mut self) -> bool {
        if !self.sites.pushes.is_empty() {
            self.notice_ended_pushes();
        }
        let is_first = !self.sites.sweep.has_begun && *self.store.state() == StoreState::Ready;
        if is_first {
            self.sites.sweep.has_begun = true;
            self.sweep_all_sites();
            self.look_at_sites();
        }
        while let Some(bucket) = self.sites.sweep.wanted.front().cloned() {
            if let Some(removing) = &mut self.sites.sweep.removing {
                // Whatever came of it: what is left is looked at again.
                if removing.outcome(&mut self.store) == Poll::Pending {
                    break;
                }
                self.sites.sweep.removing = None;
            }
            // Pages of a push that was broken off are on their way to the disk: they are removed
            // with the others, once they are there.
            if self.has_orphans() {
                break;
            }
            match self.sweep_some(&bucket) {
                Swept::Some(removing) => {
                    self.sites.sweep.removing = Some(removing);
                    return true;
                }
                Swept::Later => break,
                Swept::Nothing => drop(self.sites.sweep.wanted.pop_front()),
            }
        }
        // What is read from now on has not been asked for yet.
        is_first
    }

    fn notice_ended_pushes(&mut self) {
        let mut pushes = core::mem::take(&mut self.sites.pushes);
        pushes.retain(|push| {
            let is_alive = push.alive.strong_count() > 0;
            if !is_alive {
                self.sweep_site(&push.bucket);
            }
            is_alive
        });
        self.sites.pushes = pushes;
    }

    fn sweep_some(&mut self, bucket: &BucketName) -> Swept {
        let marks = match generation::marks(&mut self.store, bucket) {
            Ok(marks) => marks,
            Err(why) => return Swept::unless_later(&why),
        };
        let is_over = |state: State| matches!(state, State::Gone | State::Filling);
        let mut over = marks.into_iter().filter(|mark| is_over(mark.state));
        let Some(mark) = over.find(|mark| !self.sites.is_held(bucket, mark.generation)) else {
            return Swept::Nothing;
        };
        let query = KeyQuery {
            prefix: mark.generation.prefix(),
            limit: BATCH_KEYS,
            ..KeyQuery::default()
        };
        let page = match self.store.keys(bucket, &query) {
            Ok(page) => page,
            Err(why) => return Swept::unless_later(&why),
        };
        let pages: Vec<_> = page.keys.into_iter().map(|(key, _)| key).collect();
        let batch = switch::remove(bucket, &mark, pages, !page.more);
        match self.store.submit(batch) {
            Ok(ticket) => Swept::Some(self.pending(ticket)),
            Err(Refusal::Unavailable(why)) => Swept::unless_later(&why),
            // It is shown again, or nothing can be removed: the next push, or boot, looks again.
            Err(_) => Swept::Nothing,
        }
    }
}
