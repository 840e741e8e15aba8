//! Values that need no reading: what was written or read of late.
//!
//! # Invariants
//!
//! - What is given out here a [`Reader`](crate::Reader) of the same key would give out now.

use crate::blob::Blob;
use crate::cache::Item;
use crate::index::{Form, Version};
use crate::metadata;
use crate::name::is_system;
use crate::request::{At, KeptHeaders, Metadata};
use crate::store::Store;
use alloc::rc::Rc;

/// A value that is in memory, and what was made of it.
#[derive(Clone, Debug)]
pub struct InMemory(Rc<Item>);

/// What is made of a value's key, version and headers; `None` if its value is not to be had so.
pub type Derive = fn(&[u8], &Metadata, &KeptHeaders<'_>) -> Option<Rc<[u8]>>;

impl InMemory {
    /// All of its bytes, of which there is at least one.
    pub fn value(&self) -> &Blob {
        &self.0.cached.value
    }

    /// What was made of it, now or when it was asked for before.
    pub fn derived(&self) -> &[u8] {
        self.0.derived().expect("it was made before it is shown")
    }
}

impl Store {
    /// The value that a key has now, if nothing has to be waited for, read, or decided for it.
    ///
    /// What `derive` makes of it is kept as long as the value is in memory, and counts as memory of
    /// the cache; it is to be the same whenever it is made of the same. So what `derive` asks of
    /// a key holds for every value that is given out here, though it is asked only once.
    ///
    /// A value that was written later than now, by the wall clock, is not found here: what is made
    /// of it could be of a time to come.
    ///
    /// `None` says nothing of the key: [`Store::open_value`] knows. No key of the appliance's own
    /// bucket is found here.
    pub fn value_in_memory(
        &mut self,
        bucket: &[u8],
        key: &[u8],
        derive: Derive,
    ) -> Option<InMemory> {
        if self.readable().is_err() || is_system(bucket) {
            return None;
        }
        let shown = self.shown(At::NOW);
        let version = self.index.get_often(bucket, key, shown)?;
        let is_dated_ahead = version.modified_ms() > self.now.wall_ns / 1_000_000;
        if version.form() != Form::Whole || is_dated_ahead || self.has_ended(version.expires_ms()) {
            return None;
        }
        let item = self.cache.find(version.pos())?;
        if item.derived().is_some() {
            return Some(InMemory(Rc::clone(item)));
        }
        let (item, version) = (Rc::clone(item), version.unpack());
        self.derive(item, key, &version, derive)
    }

    /// Makes and keeps what there is to be made of a value.
    #[cold]
    fn derive(
        &mut self,
        item: Rc<Item>,
        key: &[u8],
        version: &Version,
        derive: Derive,
    ) -> Option<InMemory> {
        let headers = metadata::borrowed(&item.cached.metadata)?;
        let is_empty = item.cached.value.is_empty();
        let derived = derive(key, &version.metadata(), &headers).filter(|_| !is_empty)?;
        self.cache.shrink_to(self.cache_budget());
        self.cache.derive(version.pos, derived);
        item.derived().is_some().then_some(InMemory(item))
    }
}
