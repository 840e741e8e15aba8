//! Whole pages of bytes, owned or shared without a copy.
//!
//! The store asks its [`Pages`] for memory a value or a transfer lives in, so
//! that the image can hand out pages that a device may be granted, and a host
//! tool plain heap. A [`Blob`] is a reference-counted, read-only window on one
//! run of pages: cached values are Blobs, and an answer is sent from them.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, Range};

/// One run of memory, exclusively owned until it is frozen into a [`Blob`].
pub trait PageRun {
    /// The bytes.
    fn bytes(&self) -> &[u8];
    /// The bytes, writable: only the sole owner can ask.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// Where runs of pages come from.
pub trait Pages {
    /// A zeroed run of exactly `len_bytes`, or `None` when the budget is used up.
    fn take(&self, len_bytes: usize) -> Option<Box<dyn PageRun>>;

    /// How many MiB the machine has to have so that a store can be given so many bytes.
    fn machine_mib(&self, store_bytes: u64) -> u64 {
        store_bytes.div_ceil(1 << 20)
    }
}

/// Runs from the global heap.
#[derive(Debug, Default, Clone, Copy)]
pub struct HeapPages;

impl PageRun for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Pages for HeapPages {
    fn take(&self, len_bytes: usize) -> Option<Box<dyn PageRun>> {
        let mut run = Vec::new();
        run.try_reserve_exact(len_bytes).ok()?;
        run.resize(len_bytes, 0);
        Some(Box::new(run))
    }
}

/// A read-only, reference-counted window on one run of pages.
#[derive(Clone)]
pub struct Blob {
    run: Rc<dyn PageRun>,
    range: Range<usize>,
}

impl Blob {
    /// Freezes `run` and shows `range` of it.
    ///
    /// # Panics
    /// If `range` does not lie inside the run.
    pub fn new(run: Box<dyn PageRun>, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= run.bytes().len());
        Blob {
            run: Rc::from(run),
            range,
        }
    }

    /// A copy of `bytes` on the heap, for small answers and tests.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let run: Box<dyn PageRun> = Box::new(vec::Vec::from(bytes));
        Blob::new(run, 0..bytes.len())
    }

    /// How many bytes it shows.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether it shows none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The same pages, a narrower window (relative to this one).
    ///
    /// # Panics
    /// If `range` does not lie inside this window.
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.range.len());
        let start = self.range.start + range.start;
        Blob {
            run: Rc::clone(&self.run),
            range: start..start + range.len(),
        }
    }
}

impl Deref for Blob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.run.bytes()[self.range.clone()]
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.range.len())
    }
}
