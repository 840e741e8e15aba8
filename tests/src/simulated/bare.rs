//! A domain in which nothing runs: for questions to the Xen layer alone.

use super::{ALONE, attach, machine};
use sim::domain::Domain;
use sim::machine::World;
use sim::random::Random;
use std::sync::{MutexGuard, PoisonError};
use xen::Attachment;

/// Pages it may share.
const PAGES: u32 = 16;

/// What Xen gave a domain, and the world around it.
pub struct Bare {
    attachment: Option<Attachment>,
    _alone: MutexGuard<'static, ()>,
}

impl Bare {
    /// A fresh domain without devices.
    pub fn begin(seed: u64) -> Bare {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut random = Random::new(seed);
        let domain = Domain::new(random.word(), u64::from(PAGES), 0);
        machine().load(super::new_world(domain, &mut random));
        let attachment = attach::attach(machine(), PAGES);
        Bare {
            attachment: Some(attachment.unwrap_or_else(|error| panic!("{error}"))),
            _alone: alone,
        }
    }

    /// The guest's half.
    pub fn attachment(&self) -> &Attachment {
        self.attachment.as_ref().expect("taken only by drop")
    }

    /// Does something with the world.
    pub fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        machine().with(act)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // The guest goes before the memory it points into.
        drop(self.attachment.take());
        drop(machine().unload());
    }
}
