//! The grant table: who may touch which page of ours, and how to take it back.
//!
//! An entry is made by writing domain and frame, then the flags. It is taken
//! back by clearing the flags only while no busy bit is set; a backend that
//! keeps a page mapped keeps both page and reference in quarantine, and we try
//! again later (XSA-396). Access never ends by dropping a value.
//!
//! Source: `xen/include/public/grant_table.h`, Xen 4.17.

use crate::page::{self, Gfn, MapFrame, Page, SharedPage, map_foreign};
use crate::{Domid, Errno, Xen};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use xen_sys::grant_table::{
    ENTRIES_PER_FRAME, GNTTAB_NR_RESERVED_ENTRIES, GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY,
    GTF_WRITING,
};
use xen_sys::memory::XENMAPSPACE_GRANT_TABLE;

/// Frames of the table we ask for: 2048 entries.
pub(crate) const FRAMES: u64 = 4;

/// The number of an entry, as backends are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantRef(u32);

impl GrantRef {
    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// What the grantee may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantAccess {
    /// Read and write.
    ReadWrite,
    /// Read.
    ReadOnly,
}

/// A page and the entry that grants it; ends only by [`GrantTable::revoke`].
#[derive(Debug)]
pub struct Grant {
    reference: GrantRef,
    page: SharedPage,
}

impl Grant {
    /// As backends are told.
    pub fn reference(&self) -> GrantRef {
        self.reference
    }

    /// The page.
    pub fn page(&self) -> &SharedPage {
        &self.page
    }
}

/// The domain's grant table.
#[derive(Debug)]
pub struct GrantTable {
    xen: Xen,
    /// Where the first frame is.
    first: Gfn,
    frames: Vec<SharedPage>,
    free: Vec<GrantRef>,
    quarantine: Vec<Grant>,
    in_use: u32,
}

impl GrantTable {
    /// Maps the table's frames at `first` and the guest frames after it.
    pub(crate) fn new(xen: Xen, mapper: &mut dyn MapFrame, first: Gfn) -> Result<Self, Errno> {
        // A hypervisor that only knows version 1 may refuse to be asked for it.
        let _ = xen.grant_version_1();
        let count = u64::from(xen.grant_frames_max()?).min(FRAMES);
        let mut frames = Vec::new();
        for index in 0..count {
            let gfn = Gfn(first.0 + index);
            xen.add_to_physmap(XENMAPSPACE_GRANT_TABLE, index, gfn)?;
            frames.push(map_foreign(mapper, gfn));
        }
        let entries = ENTRIES_PER_FRAME * frames.len() as u32;
        let free = (GNTTAB_NR_RESERVED_ENTRIES..entries)
            .rev()
            .map(GrantRef)
            .collect();
        Ok(GrantTable {
            xen,
            first,
            frames,
            free,
            quarantine: Vec::new(),
            in_use: 0,
        })
    }

    /// The domain was resumed: its table is a new, empty one. Grants of before are over, whoever
    /// had their pages mapped, and are taken back like others.
    pub(crate) fn renew(&mut self) -> Result<(), Errno> {
        let _ = self.xen.grant_version_1();
        for index in 0..self.frames.len() as u64 {
            let gfn = Gfn(self.first.0 + index);
            self.xen
                .add_to_physmap(XENMAPSPACE_GRANT_TABLE, index, gfn)?;
        }
        Ok(())
    }

    /// Lets `domid` use the page.
    ///
    /// # Errors
    /// The page comes back when there is no free entry.
    pub fn grant(&mut self, domid: Domid, page: Page, access: GrantAccess) -> Result<Grant, Page> {
        // The entry's frame number has 32 bits: memory under 16 TiB.
        let Ok(frame) = u32::try_from(page.gfn().0) else {
            return Err(page);
        };
        let Some(reference) = self.free.pop() else {
            return Err(page);
        };
        let (entries, offset) = self.place(reference);
        entries.store_u16(offset + 2, domid.0, Ordering::Relaxed);
        entries.store_u32(offset + 4, frame, Ordering::Relaxed);
        page::fence();
        let flags = match access {
            GrantAccess::ReadWrite => GTF_PERMIT_ACCESS,
            GrantAccess::ReadOnly => GTF_PERMIT_ACCESS | GTF_READONLY,
        };
        entries.store_u16(offset, flags, Ordering::SeqCst);
        self.in_use += 1;
        Ok(Grant {
            reference,
            page: page.share(),
        })
    }

    /// Ends the grantee's access and gives the page back.
    ///
    /// # Errors
    /// The grant comes back while the grantee has the page mapped.
    pub fn revoke(&mut self, grant: Grant) -> Result<Page, Grant> {
        let (entries, offset) = self.place(grant.reference);
        loop {
            let flags = entries.load_u16(offset, Ordering::SeqCst);
            if flags & (GTF_READING | GTF_WRITING) != 0 {
                return Err(grant);
            }
            if entries.replace_u16(offset, flags, 0).is_ok() {
                break;
            }
        }
        self.free.push(grant.reference);
        self.in_use -= 1;
        Ok(grant.page.unshare())
    }

    /// Ends the grantee's access now or, while it has the page mapped, later.
    pub fn revoke_or_quarantine(&mut self, grant: Grant) {
        if let Err(grant) = self.revoke(grant) {
            self.quarantine.push(grant);
        }
    }

    /// Tries again to take back what was still mapped.
    pub fn retry_quarantine(&mut self) {
        for grant in core::mem::take(&mut self.quarantine) {
            self.revoke_or_quarantine(grant);
        }
    }

    /// Entries in use, quarantine included.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Grants whose page a backend keeps mapped.
    pub fn quarantined(&self) -> usize {
        self.quarantine.len()
    }

    fn place(&self, reference: GrantRef) -> (&SharedPage, usize) {
        let frame = (reference.0 / ENTRIES_PER_FRAME) as usize;
        (
            &self.frames[frame],
            (reference.0 % ENTRIES_PER_FRAME) as usize * 8,
        )
    }
}
