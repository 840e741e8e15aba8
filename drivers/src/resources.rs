//! What one connection to a backend holds: a port and grants.
//!
//! Dropped, the port is closed and every grant is revoked; a page the backend
//! still has mapped goes to quarantine, never back into use.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use xen::event::{Events, Port};
use xen::grant::{Grant, GrantAccess, GrantTable};
use xen::page::PagePool;
use xen::task::Timers;
use xen::xenstore::Xenstore;
use xen::{Attachment, Domid};

/// The handles of one attachment that a frontend works with.
#[derive(Clone, Debug)]
pub(crate) struct Handles {
    pub(crate) events: Events,
    pub(crate) grants: Rc<RefCell<GrantTable>>,
    pub(crate) pool: PagePool,
    pub(crate) timers: Timers,
    pub(crate) xenstore: Xenstore,
}

impl Handles {
    /// `None` where the domain has no xenstore.
    pub(crate) fn of(attachment: &Attachment) -> Option<Handles> {
        Some(Handles {
            events: attachment.events.clone(),
            grants: Rc::clone(&attachment.grants),
            pool: attachment.pool,
            timers: attachment.timers.clone(),
            xenstore: attachment.xenstore.clone()?,
        })
    }

    /// Grants a fresh page; `None` when pages or entries are used up.
    pub(crate) fn grant(&self, domid: Domid, access: GrantAccess) -> Option<Grant> {
        self.grants
            .borrow_mut()
            .grant(domid, self.pool.take()?, access)
            .ok()
    }

    /// Grants `count` fresh pages, or none.
    pub(crate) fn grant_many(
        &self,
        domid: Domid,
        access: GrantAccess,
        count: usize,
    ) -> Option<GrantedPages> {
        let mut granted = GrantedPages {
            handles: self.clone(),
            pages: Vec::new(),
        };
        for _ in 0..count {
            granted.pages.push(self.grant(domid, access)?);
        }
        Some(granted)
    }

    /// Takes a grant back, now or later.
    pub(crate) fn revoke(&self, grant: Grant) {
        self.grants.borrow_mut().revoke_or_quarantine(grant);
    }
}

/// Granted pages, named by their index; revoked when dropped.
#[derive(Debug)]
pub(crate) struct GrantedPages {
    handles: Handles,
    pages: Vec<Grant>,
}

impl GrantedPages {
    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    pub(crate) fn get(&self, index: usize) -> &Grant {
        &self.pages[index]
    }
}

impl Drop for GrantedPages {
    fn drop(&mut self) {
        for grant in self.pages.drain(..) {
            self.handles.revoke(grant);
        }
    }
}

/// A port, closed when dropped.
#[derive(Debug)]
pub(crate) struct OwnedPort {
    events: Events,
    port: Port,
}

impl OwnedPort {
    pub(crate) fn new(handles: &Handles, port: Port) -> OwnedPort {
        OwnedPort {
            events: handles.events.clone(),
            port,
        }
    }

    pub(crate) fn port(&self) -> Port {
        self.port
    }

    pub(crate) fn notify(&self) {
        self.events.notify(self.port);
    }
}

impl Drop for OwnedPort {
    fn drop(&mut self) {
        self.events.close(self.port);
    }
}
