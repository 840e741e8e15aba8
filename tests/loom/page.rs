//! Pages of loom's atomics, under the names of the product's accessors.
//!
//! loom knows SeqCst for fences only, so an access that is SeqCst has fences
//! around it. Bytes are moved in words of four: what is torn in between is
//! torn there, too.

use crate::flaw::{self, Flaw};
use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::collections::BTreeMap;
use xen_sys::io::{blkif, netif};

/// Full fence.
pub(crate) fn fence() {
    if !flaw::is(Flaw::NoFence) {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// Fences on the sides on which SeqCst has them.
fn sequential<T>(ordering: Ordering, act: impl FnOnce(Ordering) -> T) -> T {
    match ordering {
        Ordering::SeqCst => {
            fence();
            let value = act(Ordering::Relaxed);
            fence();
            value
        }
        Ordering::Release if flaw::is(Flaw::NoRelease) => act(Ordering::Relaxed),
        Ordering::Acquire if flaw::is(Flaw::NoAcquire) => act(Ordering::Relaxed),
        other => act(other),
    }
}

/// The words that a model touches, by their offset.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    bytes: BTreeMap<usize, AtomicU8>,
    halves: BTreeMap<usize, AtomicU32>,
    words: BTreeMap<usize, AtomicU64>,
}

/// A page that others write, too; what is not part of the model is full of ones.
#[derive(Clone, Copy, Debug)]
pub struct SharedPage(&'static Memory);

impl SharedPage {
    /// Zeroed words of four bytes and of eight at these offsets.
    pub(crate) fn new(halves: &[usize], words: &[usize]) -> SharedPage {
        SharedPage::with_bytes(&[], halves, words)
    }

    /// As [`SharedPage::new`], with single bytes.
    pub(crate) fn with_bytes(bytes: &[usize], halves: &[usize], words: &[usize]) -> SharedPage {
        let bytes = bytes.iter().map(|at| (*at, AtomicU8::new(0)));
        let halves = halves.iter().map(|at| (*at, AtomicU32::new(0)));
        let words = words.iter().map(|at| (*at, AtomicU64::new(0)));
        SharedPage(Box::leak(Box::new(Memory {
            bytes: bytes.collect(),
            halves: halves.collect(),
            words: words.collect(),
        })))
    }

    pub(crate) fn store_u8(&self, at: usize, value: u8, ordering: Ordering) {
        sequential(ordering, |ordering| {
            self.0.bytes[&at].store(value, ordering)
        });
    }

    pub(crate) fn swap_u8(&self, at: usize, value: u8) -> u8 {
        sequential(Ordering::SeqCst, |_| {
            self.0.bytes[&at].swap(value, Ordering::AcqRel)
        })
    }

    pub(crate) fn load_u32(&self, at: usize, ordering: Ordering) -> u32 {
        sequential(ordering, |ordering| self.0.halves[&at].load(ordering))
    }

    pub(crate) fn store_u32(&self, at: usize, value: u32, ordering: Ordering) {
        sequential(ordering, |ordering| {
            self.0.halves[&at].store(value, ordering);
        });
    }

    pub(crate) fn load_u64(&self, at: usize, ordering: Ordering) -> u64 {
        let Some(word) = self.0.words.get(&at) else {
            return u64::MAX;
        };
        sequential(ordering, |ordering| word.load(ordering))
    }

    pub(crate) fn store_u64(&self, at: usize, value: u64, ordering: Ordering) {
        if let Some(word) = self.0.words.get(&at) {
            sequential(ordering, |ordering| word.store(value, ordering));
        }
    }

    pub(crate) fn swap_u64(&self, at: usize, value: u64) -> u64 {
        self.change(at, |word| word.swap(value, Ordering::AcqRel))
    }

    pub(crate) fn clear_u64(&self, at: usize, mask: u64) -> u64 {
        self.change(at, |word| word.fetch_and(!mask, Ordering::AcqRel))
    }

    pub(crate) fn set_u64(&self, at: usize, mask: u64) -> u64 {
        self.change(at, |word| word.fetch_or(mask, Ordering::AcqRel))
    }

    fn change(&self, at: usize, act: impl FnOnce(&AtomicU64) -> u64) -> u64 {
        sequential(Ordering::SeqCst, |_| act(&self.0.words[&at]))
    }

    pub(crate) fn copy_out_plain<T: Plain>(&self, at: usize) -> T {
        let word = |index: usize| self.load_u32(at + index * 4, Ordering::Relaxed);
        T::from_words(&mut (0..T::WORDS).map(word))
    }

    pub(crate) fn copy_in_plain<T: Plain>(&self, at: usize, value: &T) {
        for (index, word) in value.to_words().into_iter().enumerate() {
            self.store_u32(at + index * 4, word, Ordering::Relaxed);
        }
    }
}

/// A structure as words.
pub(crate) trait Plain: Copy + Default {
    const WORDS: usize;
    fn to_words(&self) -> Vec<u32>;
    fn from_words(words: &mut dyn Iterator<Item = u32>) -> Self;
}

impl Plain for netif::NetifTxRequest {
    const WORDS: usize = 3;
    fn to_words(&self) -> Vec<u32> {
        let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
        vec![
            self.gref,
            pair(self.offset, self.flags),
            pair(self.id, self.size),
        ]
    }
    fn from_words(_: &mut dyn Iterator<Item = u32>) -> Self {
        unreachable!("the frontend reads no requests")
    }
}

impl Plain for netif::NetifTxResponse {
    const WORDS: usize = 1;
    fn to_words(&self) -> Vec<u32> {
        unreachable!("the frontend writes no responses")
    }
    fn from_words(words: &mut dyn Iterator<Item = u32>) -> Self {
        let word = words.next().unwrap_or(0);
        netif::NetifTxResponse {
            id: word as u16,
            status: ((word >> 16) as u16).cast_signed(),
        }
    }
}

impl Plain for blkif::BlkifResponse {
    const WORDS: usize = 4;
    fn to_words(&self) -> Vec<u32> {
        unreachable!("the frontend writes no responses")
    }
    fn from_words(words: &mut dyn Iterator<Item = u32>) -> Self {
        let mut next = || words.next().unwrap_or(0);
        let (low, high, rest) = (next(), next(), next());
        blkif::BlkifResponse {
            id: u64::from(low) | u64::from(high) << 32,
            operation: rest as u8,
            status: ((rest >> 16) as u16).cast_signed(),
            ..Default::default()
        }
    }
}

/// Rings whose slots no model touches: their structures only have to be known.
macro_rules! not_modelled {
    ($($structure:ty),*) => {
        $(impl Plain for $structure {
            const WORDS: usize = 0;
            fn to_words(&self) -> Vec<u32> {
                Vec::new()
            }
            fn from_words(_: &mut dyn Iterator<Item = u32>) -> Self {
                Self::default()
            }
        })*
    };
}

not_modelled!(
    netif::NetifRxRequest,
    netif::NetifRxResponse,
    blkif::BlkifRequest
);
