//! Values that need no reading: what was written or read of late.
//!
//! # Invariants
//!
//! - What is given out here a [`Reader`](crate::Reader) of the same key would give out now.

use crate::blob::Blob;
use crate::index::Form;
use crate::metadata;
use crate::name::is_system;
use crate::request::{At, KeptHeaders, Metadata};
use crate::store::Store;
use alloc::rc::Rc;

/// A value that is in memory.
#[derive(Clone, Debug)]
pub struct InMemory {
    /// All of its bytes, of which there is at least one.
    pub value: Blob,
    /// What was made of its version and headers, now or when it was asked for before.
    pub derived: Rc<[u8]>,
}

impl Store {
    /// The value that a key has now, if nothing has to be waited for, read, or decided for it.
    ///
    /// What `derive` makes of it is kept as long as the value is in memory, and counts as memory of
    /// the cache; it is to be the same whenever it is made of the same.
    ///
    /// `None` says nothing of the key: [`Store::open_value`] knows. No key of the appliance's own
    /// bucket is found here.
    pub fn value_in_memory(
        &mut self,
        bucket: &[u8],
        key: &[u8],
        derive: fn(&Metadata, &KeptHeaders<'_>) -> Rc<[u8]>,
    ) -> Option<InMemory> {
        if self.readable().is_err() || is_system(bucket) {
            return None;
        }
        let shown = self.shown(At::NOW);
        let version = self.index.get_often(bucket, key, shown)?;
        if version.form != Form::Whole || self.is_over(&version) {
            return None;
        }
        let (cached, derived) = self.cache.get_derived(version.pos)?;
        let value = (!cached.value.is_empty()).then(|| cached.value.clone())?;
        if let Some(derived) = derived {
            let derived = Rc::clone(derived);
            return Some(InMemory { value, derived });
        }
        let headers = metadata::borrowed(&cached.metadata)?;
        let derived = derive(&version.metadata(), &headers);
        self.cache.shrink_to(self.cache_budget());
        self.cache.derive(version.pos, Rc::clone(&derived));
        Some(InMemory { value, derived })
    }
}
