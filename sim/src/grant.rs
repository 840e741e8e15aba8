//! The guest's grant table, as the hypervisor reads it for a backend.
//!
//! The entries lie in the guest's memory; a mapping sets the busy bits there
//! and a count here, as Xen does.
//!
//! Source: `xen/include/public/grant_table.h`, Xen 4.17.

use crate::arena::{Arena, PAGE_BYTES};
use std::collections::BTreeMap;
use xen_sys::grant_table::{
    ENTRIES_PER_FRAME, GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY, GTF_WRITING,
};

/// Frames a table may have.
pub const FRAMES_MAX: usize = 4;

/// What a backend wants of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To read it.
    Read,
    /// To write it, too.
    Write,
}

/// Why the hypervisor refuses a backend (`GNTST_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantError {
    /// No such entry, or one that permits nothing.
    BadReference,
    /// The entry names another domain.
    BadDomain,
    /// Read-only.
    PermissionDenied,
    /// The frame is no memory.
    BadFrame,
    /// Past the end of the page.
    BadRange,
    /// The guest took the entry back while its page was mapped.
    TakenBack,
}

/// A page of the guest that a backend has mapped.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapping {
    reference: u32,
    need: Need,
    /// The frame.
    pub gfn: u64,
}

/// The table.
#[derive(Debug, Default)]
pub struct Grants {
    /// Where each frame of the table was put.
    pub(crate) frames: [Option<u64>; FRAMES_MAX],
    mapped: BTreeMap<u32, (u32, u32)>,
}

impl Grants {
    fn place(&self, reference: u32) -> Option<(u64, usize)> {
        let frame = self.frames.get((reference / ENTRIES_PER_FRAME) as usize)?;
        Some(((*frame)?, (reference % ENTRIES_PER_FRAME) as usize * 8))
    }

    /// The frame an entry grants to `domid`.
    fn look(
        &self,
        arena: &Arena,
        domid: u16,
        reference: u32,
        need: Need,
    ) -> Result<u64, GrantError> {
        let (frame, offset) = self.place(reference).ok_or(GrantError::BadReference)?;
        let flags = arena.load_u16(frame, offset).unwrap_or(0);
        if flags & 3 != GTF_PERMIT_ACCESS {
            return Err(GrantError::BadReference);
        }
        if arena.load_u16(frame, offset + 2) != Some(domid) {
            return Err(GrantError::BadDomain);
        }
        if need == Need::Write && flags & GTF_READONLY != 0 {
            return Err(GrantError::PermissionDenied);
        }
        let gfn = granted_frame(arena, (frame, offset));
        if arena.has(gfn) {
            Ok(gfn)
        } else {
            Err(GrantError::BadFrame)
        }
    }

    /// Maps a page.
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn map(
        &mut self,
        arena: &Arena,
        domid: u16,
        reference: u32,
        need: Need,
    ) -> Result<Mapping, GrantError> {
        let gfn = self.look(arena, domid, reference, need)?;
        let (readers, writers) = self.mapped.entry(reference).or_default();
        match need {
            Need::Read => *readers += 1,
            Need::Write => *writers += 1,
        }
        self.show(arena, reference);
        Ok(Mapping {
            reference,
            need,
            gfn,
        })
    }

    /// Ends a mapping.
    ///
    /// # Errors
    /// [`GrantError::TakenBack`]: what the guest has used the page for since, the backend could
    /// read and write. Xen itself would not notice.
    pub fn unmap(&mut self, arena: &Arena, mapping: Mapping) -> Result<(), GrantError> {
        let stands = self.stands(arena, &mapping);
        if let Some((readers, writers)) = self.mapped.get_mut(&mapping.reference) {
            match mapping.need {
                Need::Read => *readers -= 1,
                Need::Write => *writers -= 1,
            }
        }
        self.show(arena, mapping.reference);
        self.mapped.retain(|_, counts| *counts != (0, 0));
        if stands {
            Ok(())
        } else {
            Err(GrantError::TakenBack)
        }
    }

    /// Whether the entry still grants the page that was mapped by it.
    fn stands(&self, arena: &Arena, mapping: &Mapping) -> bool {
        self.place(mapping.reference)
            .is_some_and(|(frame, offset)| {
                let flags = arena.load_u16(frame, offset).unwrap_or(0);
                let gfn = arena.load_u32(frame, offset + 4).map(u64::from);
                flags & 3 == GTF_PERMIT_ACCESS && gfn == Some(mapping.gfn)
            })
    }

    /// Brings the entry's busy bits up to date.
    fn show(&self, arena: &Arena, reference: u32) {
        let Some((frame, offset)) = self.place(reference) else {
            return;
        };
        let (readers, writers) = self.mapped.get(&reference).copied().unwrap_or_default();
        loop {
            let flags = arena.load_u16(frame, offset).unwrap_or(0);
            let mut new = flags & !(GTF_READING | GTF_WRITING);
            if readers + writers > 0 {
                new |= GTF_READING;
            }
            if writers > 0 {
                new |= GTF_WRITING;
            }
            if arena.replace_u16(frame, offset, flags, new) {
                return;
            }
        }
    }

    /// Copies out of a granted page (`GNTTABOP_copy`).
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn copy_from(
        &self,
        arena: &Arena,
        (domid, reference): (u16, u32),
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), GrantError> {
        let gfn = self.look(arena, domid, reference, Need::Read)?;
        if offset + into.len() > PAGE_BYTES {
            return Err(GrantError::BadRange);
        }
        arena.copy_out(gfn, offset, into);
        Ok(())
    }

    /// Copies into a granted page (`GNTTABOP_copy`).
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn copy_to(
        &self,
        arena: &Arena,
        (domid, reference): (u16, u32),
        offset: usize,
        from: &[u8],
    ) -> Result<(), GrantError> {
        let gfn = self.look(arena, domid, reference, Need::Write)?;
        if offset + from.len() > PAGE_BYTES {
            return Err(GrantError::BadRange);
        }
        arena.copy_in(gfn, offset, from);
        Ok(())
    }

    /// Entries that permit access now, and the frame of each.
    pub fn permitted(&self, arena: &Arena) -> Vec<(u32, u64)> {
        let references = 0..FRAMES_MAX as u32 * ENTRIES_PER_FRAME;
        let places = references.filter_map(|entry| Some((entry, self.place(entry)?)));
        let permits = |(_, (frame, offset)): &(u32, (u64, usize))| {
            let flags = arena.load_u16(*frame, *offset);
            flags.is_some_and(|flags| flags & 3 != 0)
        };
        let permitted = places.filter(permits);
        permitted
            .map(|(entry, place)| (entry, granted_frame(arena, place)))
            .collect()
    }
}

/// What the entry at a place says it grants.
fn granted_frame(arena: &Arena, (frame, offset): (u64, usize)) -> u64 {
    u64::from(arena.load_u32(frame, offset + 4).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: u64 = 16;
    const PAGE: u64 = 17;
    const REFERENCE: u32 = 8;

    #[test]
    fn an_entry_that_is_taken_back_while_its_page_is_mapped_is_told() {
        let arena = Arena::new(TABLE, 2);
        let at = REFERENCE as usize * 8;
        for is_taken_back in [false, true] {
            let mut grants = Grants::default();
            grants.frames[0] = Some(TABLE);
            arena.store_u32(TABLE, at + 4, PAGE as u32);
            arena.store_u16(TABLE, at, GTF_PERMIT_ACCESS);
            let mapping = grants.map(&arena, 0, REFERENCE, Need::Write);
            let mapping = mapping.expect("it is granted");
            if is_taken_back {
                arena.store_u16(TABLE, at, 0);
            }
            let unmapped = grants.unmap(&arena, mapping);
            assert_eq!(unmapped == Err(GrantError::TakenBack), is_taken_back);
        }
    }
}
