//! Receiving: pages posted to the backend, copied out and posted again.

use super::{Counters, page_index};
use crate::fault::BackendFault;
use crate::resources::{GrantedPages, Handles};
use alloc::boxed::Box;
use alloc::vec;
use xen::io::netif::{NETRXF_EXTRA_INFO, NETRXF_MORE_DATA, NetifRxRequest, NetifRxResponse};
use xen::last::LastRing;
use xen::page::PAGE_BYTES;
use xen::ring::{FrontRing, NetRx};

pub(super) struct Receiver {
    ring: Option<FrontRing<NetRx>>,
    pages: GrantedPages,
    in_flight: Box<[bool]>,
    /// The frame being handed out.
    frame: Box<[u8; PAGE_BYTES]>,
    handles: Handles,
}

impl Receiver {
    /// Posts every page.
    pub(super) fn new(handles: Handles, ring: FrontRing<NetRx>, pages: GrantedPages) -> Self {
        let in_flight = vec![false; pages.len()].into_boxed_slice();
        let frame = Box::new([0; PAGE_BYTES]);
        let mut receiver = Receiver {
            ring: Some(ring),
            pages,
            in_flight,
            frame,
            handles,
        };
        for index in 0..receiver.pages.len() {
            receiver.post(index);
        }
        receiver
    }

    pub(super) fn last(&self) -> LastRing<NetRx> {
        LastRing::of(self.ring.as_ref().expect("taken only by drop"))
    }

    fn ring(&mut self) -> &mut FrontRing<NetRx> {
        self.ring.as_mut().expect("taken only by drop")
    }

    fn post(&mut self, index: usize) {
        let gref = self.pages.get(index).reference().number();
        self.in_flight[index] = true;
        self.ring().push(&NetifRxRequest {
            id: index as u16,
            pad: 0,
            gref,
        });
    }

    /// Shows the backend what was posted; whether it wants to know.
    pub(super) fn publish(&mut self) -> bool {
        self.ring().publish()
    }

    /// Asks for an event at the next packet; `true` if one is there.
    pub(super) fn wait(&mut self) -> bool {
        self.ring().wait_for_response()
    }

    /// Hands the next good frame to `take`.
    pub(super) fn receive(
        &mut self,
        take: &mut dyn FnMut(&[u8]),
        counters: &mut Counters,
    ) -> Result<bool, BackendFault> {
        while let Some(response) = self.ring().pop()? {
            let index = page_index(response.id, self.pages.len())?;
            if !core::mem::take(&mut self.in_flight[index]) {
                return Err(BackendFault::UnknownId(u64::from(response.id)));
            }
            let range = data_range(&response)?;
            let Some((offset, len)) = range else {
                counters.rx_errors += 1;
                self.post(index);
                continue;
            };
            self.pages
                .get(index)
                .page()
                .copy_out(offset, &mut self.frame[..len]);
            self.post(index);
            counters.rx_frames += 1;
            counters.rx_bytes += len as u64;
            take(&self.frame[..len]);
            return Ok(true);
        }
        Ok(false)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(ring) = self.ring.take() {
            self.handles.revoke(ring.into_grant());
        }
    }
}

/// Where the data lies, `None` for a packet the backend had to drop.
fn data_range(response: &NetifRxResponse) -> Result<Option<(usize, usize)>, BackendFault> {
    let foreign = response.flags & (NETRXF_MORE_DATA | NETRXF_EXTRA_INFO);
    if foreign != 0 {
        return Err(BackendFault::NotNegotiated(foreign));
    }
    let Ok(len) = u16::try_from(response.status) else {
        return Ok(None);
    };
    let (offset, end) = (
        usize::from(response.offset),
        usize::from(response.offset) + usize::from(len),
    );
    if end > PAGE_BYTES {
        return Err(BackendFault::OutsidePage {
            offset: response.offset,
            len,
        });
    }
    Ok((len > 0).then_some((offset, usize::from(len))))
}

#[cfg(test)]
mod tests {
    use super::data_range;
    use crate::fault::BackendFault;
    use xen::io::netif::NetifRxResponse;

    fn check(offset: u16, flags: u16, status: i16) -> Result<Option<(usize, usize)>, BackendFault> {
        data_range(&NetifRxResponse {
            id: 0,
            offset,
            flags,
            status,
        })
    }

    #[test]
    fn only_data_inside_the_page_is_taken() {
        assert_eq!(check(0, 0, 60), Ok(Some((0, 60))));
        assert_eq!(
            check(2, 3, 4094),
            Ok(Some((2, 4094))),
            "QEMU begins at offset 2"
        );
        assert_eq!(check(0, 0, -1), Ok(None));
        assert_eq!(check(0, 0, 0), Ok(None));
        assert!(matches!(
            check(2, 0, 4095),
            Err(BackendFault::OutsidePage { .. })
        ));
        assert!(matches!(
            check(u16::MAX, 0, i16::MAX),
            Err(BackendFault::OutsidePage { .. })
        ));
        assert_eq!(check(0, 4, 60), Err(BackendFault::NotNegotiated(4)));
        assert_eq!(check(0, 8, 60), Err(BackendFault::NotNegotiated(8)));
    }
}
