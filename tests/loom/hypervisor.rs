//! What Xen does to the shared page: an event comes, a port is unmasked.
//!
//! Source: `evtchn_2l_set_pending` and `evtchn_2l_unmask` of `xen/common/event_2l.c`, Xen 4.17.

use crate::flaw::{self, Flaw};
use crate::page::SharedPage;
use crate::{Domid, Errno};
use loom::sync::atomic::Ordering;
use std::mem::offset_of;
use xen_sys::shared_info::{SharedInfo, VcpuInfo};

const PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
const MASK: usize = offset_of!(SharedInfo, evtchn_mask);
const PENDING_SEL: usize = offset_of!(VcpuInfo, evtchn_pending_sel);
/// Whether the vCPU has to run: the upcall's byte, and the interrupt it causes.
const UPCALL_PENDING: usize = offset_of!(VcpuInfo, evtchn_upcall_pending);
/// The port of the models, which lies in the first word.
pub(crate) const PORT: u32 = 1;
const BIT: u64 = 1 << PORT;

/// The hypervisor, with one guest.
#[derive(Clone, Copy)]
pub(crate) struct Xen {
    page: SharedPage,
}

impl std::fmt::Debug for Xen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Xen")
    }
}

impl Xen {
    pub(crate) fn new() -> Xen {
        Xen {
            page: SharedPage::with_bytes(&[UPCALL_PENDING], &[], &[PENDING, MASK, PENDING_SEL]),
        }
    }

    pub(crate) fn shared_info(self) -> SharedPage {
        self.page
    }

    /// Somebody sends an event.
    pub(crate) fn raise(self) {
        if self.page.set_u64(PENDING, BIT) & BIT == 0 {
            self.select();
        }
    }

    fn select(self) {
        let is_masked = self.page.load_u64(MASK, Ordering::SeqCst) & BIT != 0;
        if !is_masked && self.page.set_u64(PENDING_SEL, 1) & 1 == 0 {
            self.page.swap_u8(UPCALL_PENDING, 1);
        }
    }

    /// The vCPU's stub takes the upcall; whether there was one.
    pub(crate) fn take_upcall(self) -> bool {
        self.page.swap_u8(UPCALL_PENDING, 0) != 0
    }

    pub(crate) fn unmask(self, _: u32) -> Result<(), Errno> {
        if flaw::is(Flaw::NoSecondLook) {
            return Ok(());
        }
        self.page.clear_u64(MASK, BIT);
        if self.page.load_u64(PENDING, Ordering::SeqCst) & BIT != 0 {
            self.select();
        }
        Ok(())
    }

    pub(crate) fn alloc_unbound(self, _: Domid) -> Result<u32, Errno> {
        Ok(PORT)
    }

    pub(crate) fn bind_virq(self, _: u32, _: u32) -> Result<u32, Errno> {
        Ok(PORT)
    }

    pub(crate) fn close_port(self, _: u32) -> Result<(), Errno> {
        Ok(())
    }

    pub(crate) fn send(self, _: u32) -> Result<(), Errno> {
        Ok(())
    }
}
