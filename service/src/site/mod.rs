//! The site: what browsers see of a bucket, one page at a time or pushed as a whole directory.
//!
//! # Invariants
//!
//! - What is remembered of a site holds for the durable sequence it was looked at, and is looked
//!   at again behind that: no rollback and no restore leaves it wrong.
//! - Only what a mark calls `filling` or `gone` is removed, and only while nobody fills it.

pub(crate) mod generation;
mod page;
pub(crate) mod push;
mod rules;
mod shown;
mod sweep;
mod switch;
mod tar;

use crate::service::Service;
use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use generation::Generation;
pub(crate) use page::page;
pub(crate) use push::Push;
use shown::Shown;
use store::BucketName;
use store::backup::Stop;
use sweep::Sweep;
pub(crate) use switch::{back, down, refuse_while_any_pushed, refused};

/// What is known of all sites.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    shown: BTreeMap<BucketName, Shown>,
    pushes: Vec<Pushing>,
    /// The last number given to a push of each bucket, durable or not.
    last: BTreeMap<BucketName, Generation>,
    sweep: Sweep,
    /// A change was handed in after which something may have to be removed, and whoever did so may
    /// not wait for it.
    pub(crate) is_in_doubt: bool,
    /// Nothing is pushed, removed or read: whoever begins one of these says so.
    pub(crate) is_at_rest: bool,
}

/// A push that somebody holds.
#[derive(Debug)]
struct Pushing {
    bucket: BucketName,
    generation: Generation,
    alive: Weak<()>,
    stop: Stop,
}

impl Sites {
    /// The bucket that somebody pushes into: this one, or any.
    ///
    /// A push that is to stop writes nothing more, and need not be waited for.
    fn pushed_into(&self, bucket: Option<&BucketName>) -> Option<&BucketName> {
        let mut pushes = self.pushes.iter().filter(|push| {
            let is_under_way = push.alive.strong_count() > 0 && !push.stop.is_stopped();
            is_under_way && bucket.is_none_or(|bucket| push.bucket == *bucket)
        });
        pushes.next().map(|push| &push.bucket)
    }

    /// Whether somebody holds the push of this number.
    fn is_held(&self, bucket: &BucketName, generation: Generation) -> bool {
        let mut pushes = self.pushes.iter();
        pushes.any(|push| push.bucket == *bucket && push.generation == generation)
    }

    /// Somebody fills it, as long as they hold this.
    fn begin_push(&mut self, bucket: &BucketName, generation: Generation, stop: Stop) -> Rc<()> {
        let alive = Rc::new(());
        self.pushes.push(Pushing {
            bucket: bucket.clone(),
            generation,
            alive: Rc::downgrade(&alive),
            stop,
        });
        self.last.insert(bucket.clone(), generation);
        self.is_at_rest = false;
        alive
    }
}

impl Service {
    /// Goes on with what sites do by themselves; whether something was handed in to the store.
    pub(crate) fn follow_sites(&mut self) -> bool {
        let is_reading = self.follow_redirects();
        let has_more = self.sweep_sites();
        let sites = &mut self.sites;
        sites.is_at_rest = !is_reading && sites.pushes.is_empty() && sites.sweep.is_done();
        has_more
    }
}
