//! Pages: ours alone, or shared with somebody who may write them.
//!
//! A [`Page`] is memory only we touch: `&mut [u8]` is allowed. Granted, it
//! becomes a [`SharedPage`]: no reference to its bytes exists, they are copied
//! in and copied out, and it becomes a `Page` again only after a successful
//! revoke. A page that could not be taken back is never reused; it is counted.
//!
//! # Invariants
//!
//! - A page of the pool is in exactly one place: the free list, one `Page`,
//!   one `SharedPage`, or lost.
//! - Every load and store of a shared page goes through the accessors here,
//!   so that a simulator can change the page between any two of them.
#![expect(unsafe_code, reason = "memory that somebody else may write")]

use alloc::boxed::Box;
use core::cell::Cell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;

/// A guest frame number: a physical address in our address space divided by [`PAGE_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gfn(pub u64);

/// No page: the end of the free list.
const NONE: u32 = u32::MAX;

/// The pages that may ever be shared, handed over once at start.
#[derive(Clone, Copy)]
pub struct PagePool(&'static Pool);

struct Pool {
    base: NonNull<u8>,
    base_gfn: Gfn,
    total: u32,
    /// Index of the first free page; each free page begins with the next one's.
    head: Cell<u32>,
    free: Cell<u32>,
    lost: Cell<u32>,
}

impl fmt::Debug for PagePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PagePool({} of {} free)",
            self.0.free.get(),
            self.0.total
        )
    }
}

impl PagePool {
    /// A pool over `total` pages at `base`.
    ///
    /// # Safety
    /// The memory must be page-aligned, valid for ever, used by nobody else,
    /// and page `i` of it must be guest frame `base_gfn + i`.
    pub unsafe fn new(base: NonNull<u8>, total: u32, base_gfn: Gfn) -> Self {
        assert!(
            base.as_ptr().addr().is_multiple_of(PAGE_BYTES),
            "the pool must be page-aligned"
        );
        let (head, free, lost) = (Cell::new(NONE), Cell::new(0), Cell::new(0));
        let pool = PagePool(Box::leak(Box::new(Pool {
            base,
            base_gfn,
            total,
            head,
            free,
            lost,
        })));
        for index in (0..total).rev() {
            pool.put(index);
        }
        pool
    }

    /// A zeroed page, if there is one left.
    pub fn take(self) -> Option<Page> {
        let index = self.0.head.get();
        if index == NONE {
            return None;
        }
        let mut page = Page { pool: self, index };
        let (next, _) = page.first_chunk().expect("a page has four bytes");
        self.0.head.set(u32::from_ne_bytes(*next));
        self.0.free.set(self.0.free.get() - 1);
        page.fill(0);
        Some(page)
    }

    /// Pages that can be taken now.
    pub fn free(self) -> u32 {
        self.0.free.get()
    }

    /// Pages there are in all.
    pub fn total(self) -> u32 {
        self.0.total
    }

    /// Pages a backend may still hold: never used again.
    pub fn lost(self) -> u32 {
        self.0.lost.get()
    }

    fn address(self, index: u32) -> NonNull<u8> {
        debug_assert!(index < self.0.total);
        // SAFETY: by the contract of `new` the pool has `total` pages at `base`.
        unsafe { self.0.base.add(index as usize * PAGE_BYTES) }
    }

    fn put(self, index: u32) {
        let link = self.0.head.get().to_ne_bytes();
        // SAFETY: the page is ours alone: it comes from `new` or from a `Page` that ends here.
        let start = unsafe { slice::from_raw_parts_mut(self.address(index).as_ptr(), link.len()) };
        start.copy_from_slice(&link);
        self.0.head.set(index);
        self.0.free.set(self.0.free.get() + 1);
    }
}

/// A page only we touch; dropped, it goes back to its pool.
pub struct Page {
    pool: PagePool,
    index: u32,
}

impl Page {
    /// Which guest frame it is.
    pub fn gfn(&self) -> Gfn {
        Gfn(self.pool.0.base_gfn.0 + u64::from(self.index))
    }

    fn first_chunk(&self) -> Option<(&[u8; 4], &[u8])> {
        self.split_first_chunk()
    }

    /// From now on somebody else may write it.
    pub(crate) fn share(self) -> SharedPage {
        let base = self.pool.address(self.index);
        let shared = SharedPage {
            base,
            gfn: self.gfn(),
            origin: Some((self.pool, self.index)),
        };
        core::mem::forget(self);
        shared
    }
}

impl Deref for Page {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the page is valid and, by the module's invariant, ours alone.
        unsafe { slice::from_raw_parts(self.pool.address(self.index).as_ptr(), PAGE_BYTES) }
    }
}

impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes it the only reference.
        unsafe { slice::from_raw_parts_mut(self.pool.address(self.index).as_ptr(), PAGE_BYTES) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pool.put(self.index);
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({:#x})", self.gfn().0)
    }
}

/// A page somebody else may write at any time. Nothing but accessors.
pub struct SharedPage {
    base: NonNull<u8>,
    gfn: Gfn,
    origin: Option<(PagePool, u32)>,
}

impl fmt::Debug for SharedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedPage({:#x})", self.gfn.0)
    }
}

macro_rules! atomic_access {
    ($load:ident, $store:ident, $int:ty, $atomic:ty) => {
        /// Loads an integer once.
        pub fn $load(&self, offset: usize, ordering: Ordering) -> $int {
            observe(self.gfn, offset, size_of::<$int>(), Access::Load);
            let place = self.place(offset, size_of::<$int>()).cast::<$atomic>();
            // SAFETY: in bounds and aligned by `place`; atomics tolerate other writers.
            unsafe { place.as_ref() }.load(ordering)
        }

        /// Stores an integer once.
        pub fn $store(&self, offset: usize, value: $int, ordering: Ordering) {
            let place = self.place(offset, size_of::<$int>()).cast::<$atomic>();
            // SAFETY: in bounds and aligned by `place`; atomics tolerate other accesses.
            unsafe { place.as_ref() }.store(value, ordering);
            observe(self.gfn, offset, size_of::<$int>(), Access::Store);
        }
    };
}

impl SharedPage {
    /// A page that Xen or a backend gave us at `base`.
    ///
    /// # Safety
    /// `base` must be page-aligned and valid for reads and writes for as long
    /// as the value lives, and no Rust reference to its bytes may exist.
    pub unsafe fn foreign(base: NonNull<u8>, gfn: Gfn) -> Self {
        assert!(
            base.as_ptr().addr().is_multiple_of(PAGE_BYTES),
            "pages are page-aligned"
        );
        SharedPage {
            base,
            gfn,
            origin: None,
        }
    }

    /// Which guest frame it is.
    pub fn gfn(&self) -> Gfn {
        self.gfn
    }

    /// A second handle on a foreign page.
    pub(crate) fn alias(&self) -> SharedPage {
        assert!(self.origin.is_none(), "pages of the pool have one owner");
        SharedPage {
            base: self.base,
            gfn: self.gfn,
            origin: None,
        }
    }

    /// A second handle on any page, for the last request of a guest that dies: nothing else runs
    /// then, so nobody has the page to himself even if it was given back meanwhile.
    pub(crate) fn last_alias(&self) -> SharedPage {
        SharedPage {
            base: self.base,
            gfn: self.gfn,
            origin: None,
        }
    }

    /// Ours alone again. Only for a page nobody else has access to any more.
    pub(crate) fn unshare(mut self) -> Page {
        let (pool, index) = self
            .origin
            .take()
            .expect("foreign pages are never unshared");
        Page { pool, index }
    }

    fn place(&self, offset: usize, len: usize) -> NonNull<u8> {
        assert!(
            offset <= PAGE_BYTES && len <= PAGE_BYTES - offset,
            "outside of the page"
        );
        assert!(len == 0 || offset.is_multiple_of(len), "not aligned");
        // SAFETY: inside the page, as just checked.
        unsafe { self.base.add(offset) }
    }

    atomic_access!(load_u8, store_u8, u8, AtomicU8);
    atomic_access!(load_u16, store_u16, u16, AtomicU16);
    atomic_access!(load_u32, store_u32, u32, AtomicU32);
    atomic_access!(load_u64, store_u64, u64, AtomicU64);

    /// Replaces a word and returns what was there.
    pub(crate) fn swap_u64(&self, offset: usize, value: u64) -> u64 {
        observe(self.gfn, offset, 8, Access::Load);
        // SAFETY: in bounds and aligned by `place`.
        unsafe { self.place(offset, 8).cast::<AtomicU64>().as_ref() }.swap(value, Ordering::SeqCst)
    }

    /// Clears the bits of `mask` in a word and returns what was there.
    pub(crate) fn clear_u64(&self, offset: usize, mask: u64) -> u64 {
        observe(self.gfn, offset, 8, Access::Load);
        // SAFETY: in bounds and aligned by `place`.
        let word = unsafe { self.place(offset, 8).cast::<AtomicU64>().as_ref() };
        word.fetch_and(!mask, Ordering::SeqCst)
    }

    /// Sets the bits of `mask` in a word and returns what was there.
    pub(crate) fn set_u64(&self, offset: usize, mask: u64) -> u64 {
        observe(self.gfn, offset, 8, Access::Load);
        // SAFETY: in bounds and aligned by `place`.
        let word = unsafe { self.place(offset, 8).cast::<AtomicU64>().as_ref() };
        word.fetch_or(mask, Ordering::SeqCst)
    }

    /// Stores `new` if the value is `current`.
    pub(crate) fn replace_u16(&self, offset: usize, current: u16, new: u16) -> Result<u16, u16> {
        observe(self.gfn, offset, 2, Access::Load);
        // SAFETY: in bounds and aligned by `place`.
        let word = unsafe { self.place(offset, 2).cast::<AtomicU16>().as_ref() };
        word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }

    /// Copies bytes out; each byte is read once.
    pub fn copy_out(&self, offset: usize, into: &mut [u8]) {
        self.check(offset, into.len());
        observe(self.gfn, offset, into.len(), Access::Load);
        let mut at = offset;
        let (head, words) = into.split_at_mut(head_len(offset, into.len()));
        for byte in head {
            *byte = self.relaxed_u8(at).load(Ordering::Relaxed);
            at += 1;
        }
        let (words, tail) = words.as_chunks_mut::<8>();
        for word in words {
            *word = self.relaxed_u64(at).load(Ordering::Relaxed).to_ne_bytes();
            at += 8;
        }
        for byte in tail {
            *byte = self.relaxed_u8(at).load(Ordering::Relaxed);
            at += 1;
        }
    }

    /// Copies bytes in.
    pub fn copy_in(&self, offset: usize, from: &[u8]) {
        self.check(offset, from.len());
        let mut at = offset;
        let (head, words) = from.split_at(head_len(offset, from.len()));
        for byte in head {
            self.relaxed_u8(at).store(*byte, Ordering::Relaxed);
            at += 1;
        }
        let (words, tail) = words.as_chunks::<8>();
        for word in words {
            self.relaxed_u64(at)
                .store(u64::from_ne_bytes(*word), Ordering::Relaxed);
            at += 8;
        }
        for byte in tail {
            self.relaxed_u8(at).store(*byte, Ordering::Relaxed);
            at += 1;
        }
        observe(self.gfn, offset, from.len(), Access::Store);
    }

    /// Copies a plain structure out, each byte read once.
    pub(crate) fn copy_out_plain<T: Plain>(&self, offset: usize) -> T {
        let mut value = T::default();
        // SAFETY: `Plain` has no padding and allows any bytes.
        let bytes =
            unsafe { slice::from_raw_parts_mut((&raw mut value).cast::<u8>(), size_of::<T>()) };
        self.copy_out(offset, bytes);
        value
    }

    /// Copies a plain structure in.
    pub(crate) fn copy_in_plain<T: Plain>(&self, offset: usize, value: &T) {
        // SAFETY: `Plain` has no padding, so all its bytes are initialised.
        let bytes =
            unsafe { slice::from_raw_parts((&raw const *value).cast::<u8>(), size_of::<T>()) };
        self.copy_in(offset, bytes);
    }

    fn check(&self, offset: usize, len: usize) {
        assert!(
            offset <= PAGE_BYTES && len <= PAGE_BYTES - offset,
            "outside of the page"
        );
    }

    fn relaxed_u8(&self, at: usize) -> &AtomicU8 {
        // SAFETY: in bounds by `place`; atomics tolerate other accesses.
        unsafe { self.place(at, 1).cast().as_ref() }
    }

    fn relaxed_u64(&self, at: usize) -> &AtomicU64 {
        // SAFETY: in bounds and aligned by `place`; atomics tolerate other accesses.
        unsafe { self.place(at, 8).cast().as_ref() }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // Not unshared: somebody may still hold it, so it is never used again.
        if let Some((pool, _)) = self.origin {
            pool.0.lost.set(pool.0.lost.get() + 1);
        }
    }
}

// SAFETY: it is an address with accessors that tolerate any concurrent access;
// a page of the pool, whose bookkeeping is not, is never sent: only foreign pages are aliased.
unsafe impl Send for SharedPage {}

/// Bytes before the next multiple of eight, at most `len`.
fn head_len(offset: usize, len: usize) -> usize {
    (offset.next_multiple_of(8) - offset).min(len)
}

/// A structure made of integers only.
///
/// # Safety
/// No padding, no niche: any bytes are a value, and all bytes are initialised.
pub(crate) unsafe trait Plain: Copy + Default {}

macro_rules! plain {
    ($($t:ty),*) => {
        $(
            // SAFETY: `repr(C)`, integers only, padding is named (xen-sys asserts the layout).
            unsafe impl Plain for $t {}
        )*
    };
}

plain!(
    xen_sys::io::netif::NetifTxRequest,
    xen_sys::io::netif::NetifTxResponse,
    xen_sys::io::netif::NetifRxRequest,
    xen_sys::io::netif::NetifRxResponse,
    xen_sys::io::blkif::BlkifRequest,
    xen_sys::io::blkif::BlkifResponse
);

/// Turns a Xen-provided guest frame into memory.
///
/// # Safety
/// `map` must return page-aligned memory that stays valid for ever, is not
/// cached other than write-back, and to which no Rust reference exists.
pub unsafe trait MapFrame {
    /// Makes the frame accessible.
    fn map(&mut self, gfn: Gfn) -> NonNull<u8>;
}

/// A frame mapped by `mapper`.
pub(crate) fn map_foreign(mapper: &mut dyn MapFrame, gfn: Gfn) -> SharedPage {
    let base = mapper.map(gfn);
    // SAFETY: the contract of `MapFrame`.
    unsafe { SharedPage::foreign(base, gfn) }
}

/// What we did to shared pages before it is seen by everybody before what we do after it.
pub(crate) fn fence() {
    core::sync::atomic::fence(Ordering::SeqCst);
}

/// Which way an observed access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Before a load.
    Load,
    /// After a store.
    Store,
}

/// Called at each access of a shared page when assertions are on.
pub type Observer = fn(Gfn, usize, usize, Access);

#[cfg(debug_assertions)]
static OBSERVER: core::sync::atomic::AtomicPtr<()> =
    core::sync::atomic::AtomicPtr::new(core::ptr::null_mut());

/// Has `observer` called at every access of a shared page; only with debug assertions.
#[cfg(debug_assertions)]
pub fn set_observer(observer: Observer) {
    OBSERVER.store(observer as *mut (), Ordering::Release);
}

#[cfg(debug_assertions)]
fn observe(gfn: Gfn, offset: usize, len: usize, access: Access) {
    let observer = OBSERVER.load(Ordering::Acquire);
    if !observer.is_null() {
        // SAFETY: only `set_observer` stores here, and only this type.
        let observer = unsafe { core::mem::transmute::<*mut (), Observer>(observer) };
        observer(gfn, offset, len, access);
    }
}

#[cfg(not(debug_assertions))]
fn observe(_: Gfn, _: usize, _: usize, _: Access) {}
