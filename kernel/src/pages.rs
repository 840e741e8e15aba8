//! Memory that the store's values and transfers live in: the guest's heap.

use crate::budget::Budget;
use alloc::boxed::Box;
use store::blob::{HeapPages, PageRun, Pages};

/// The heap of a guest, whose size is `memory=`.
pub(crate) struct GuestPages;

impl Pages for GuestPages {
    fn take(&self, len_bytes: usize) -> Option<Box<dyn PageRun>> {
        HeapPages.take(len_bytes)
    }

    fn machine_mib(&self, store_bytes: u64) -> u64 {
        Budget::machine_mib(store_bytes)
    }
}
