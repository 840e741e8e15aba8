//! The block handshake: what is read, what is published, in which state.

use super::last::LAST_PAGES;
use super::queue::Queue;
use super::{DiskInfo, Link};
use crate::fault::BackendFault;
use crate::resources::{Handles, OwnedPort};
use crate::session::{Connect, ConnectError, Established, Reread};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;
use xen::grant::GrantAccess;
use xen::io::blkif::{BLKIF_MAX_SEGMENTS_PER_REQUEST, SECTOR_BYTES, VDISK_CDROM, VDISK_READONLY};
use xen::page::PAGE_BYTES;
use xen::ring::{Blk, FrontRing, Protocol};
use xen::task::Task;
use xen::xenbus::{Frontend, XenbusState};
use xen::xenstore::XsError;

pub(crate) struct Handshake {
    pub(super) number: u32,
    pub(super) requests: u32,
}

impl Connect for Handshake {
    type Link = Link;

    fn connect(
        &self,
        handles: Handles,
        path: String,
    ) -> Task<Result<Established<Link>, ConnectError>> {
        let (number, requests) = (self.number, self.requests);
        Box::pin(async move { connect(handles, path, number, requests).await })
    }
}

async fn connect(
    handles: Handles,
    path: String,
    number: u32,
    requests: u32,
) -> Result<Established<Link>, ConnectError> {
    let frontend = Frontend::locate(&handles.xenstore, &handles.timers, &path).await?;
    let watch = frontend.watch_backend().await?;
    frontend.restart(&watch).await?;
    let (queue, port, ring) =
        build(&handles, &frontend, number, requests).ok_or(ConnectError::Resources)?;
    frontend
        .publish(&[
            ("ring-ref", &ring),
            ("event-channel", &port.port().number()),
            ("protocol", &"x86_64-abi"),
        ])
        .await?;
    frontend.switch_to(XenbusState::Initialised).await?;
    frontend.wait_for(&watch, &[XenbusState::Connected]).await?;

    // Size and features are valid once the backend is connected.
    let info = read_info(&frontend).await?;
    frontend.switch_to(XenbusState::Connected).await?;
    log::info!(
        "{path}: connected to domain {}, {} MiB, sectors of {} bytes{}{}{}",
        frontend.backend_domid().0,
        info.sectors / 2048,
        info.sector_bytes,
        if info.read_only { ", read-only" } else { "" },
        match (info.flush, info.barrier) {
            (true, _) => ", flush offered",
            (false, true) => ", barrier offered",
            (false, false) => ", neither flush nor barrier offered",
        },
        if info.discard {
            ", discard offered"
        } else {
            ""
        },
    );
    let info = Rc::new(Cell::new(info));
    let reread = reread(&frontend, &info);
    Ok(Established {
        link: Link { info, port, queue },
        frontend,
        watch,
        reread: Some(reread),
    })
}

/// A disk whose size was changed says so by writing its state again (`blkif.h`, "Live resize").
fn reread(frontend: &Frontend, info: &Rc<Cell<DiskInfo>>) -> Reread {
    let (frontend, info, told) = (frontend.clone(), Rc::clone(info), Rc::new(Cell::new(false)));
    Box::new(move || {
        let (frontend, info, told) = (frontend.clone(), Rc::clone(&info), Rc::clone(&told));
        Box::pin(async move { read_size(&frontend, &info, &told).await })
    })
}

/// Takes in the size, and nothing else that was agreed on. What cannot be read is told once: a
/// backend may write as often as it likes.
async fn read_size(frontend: &Frontend, info: &Cell<DiskInfo>, told: &Cell<bool>) {
    match read_info(frontend).await {
        Ok(DiskInfo { sectors, .. }) => info.set(DiskInfo {
            sectors,
            ..info.get()
        }),
        Err(error) if !told.replace(true) => {
            let path = frontend.path();
            log::warn!("{path}: its size cannot be read again, and stays what it was: {error}");
        }
        Err(_) => {}
    }
}

fn build(
    handles: &Handles,
    frontend: &Frontend,
    number: u32,
    requests: u32,
) -> Option<(Queue, OwnedPort, u32)> {
    let domid = frontend.backend_domid();
    let count = requests.min(Blk::SLOTS) as usize * BLKIF_MAX_SEGMENTS_PER_REQUEST;
    let last = handles.grant_many(domid, GrantAccess::ReadWrite, LAST_PAGES)?;
    let pages = handles.grant_many(domid, GrantAccess::ReadWrite, count)?;
    let port = OwnedPort::new(handles, handles.events.alloc_unbound(domid).ok()?);
    let grant = handles.grant(domid, GrantAccess::ReadWrite)?;
    let ring = grant.reference().number();
    // The protocol's handle has 16 bits; backends do not look at it.
    let queue = Queue::new(
        handles.clone(),
        FrontRing::new(grant),
        (pages, last),
        number as u16,
    );
    Some((queue, port, ring))
}

async fn read_info(frontend: &Frontend) -> Result<DiskInfo, ConnectError> {
    let number = async |key: &'static str| match frontend.read_backend_number(key).await {
        Err(XsError::Malformed) => Err(ConnectError::from(BackendFault::BadNode(key))),
        other => other.map_err(ConnectError::from),
    };
    let sectors = number("sectors")
        .await?
        .ok_or(BackendFault::BadNode("sectors"))?;
    let sector_bytes = sector_size(number("sector-size").await?.unwrap_or(512))
        .ok_or(BackendFault::BadNode("sector-size"))?;
    let physical = number("physical-sector-size")
        .await?
        .unwrap_or(u64::from(sector_bytes));
    let physical_sector_bytes =
        sector_size(physical).ok_or(BackendFault::BadNode("physical-sector-size"))?;
    // An `info` that is no number says of nothing that it is so.
    let kind = number("info").await.ok().flatten().unwrap_or(0);
    let mode_read_only = matches!(frontend.read_backend("mode").await.as_deref(), Ok("r"));
    if sectors == 0 || sectors > u64::MAX / u64::from(SECTOR_BYTES) {
        return Err(BackendFault::BadNode("sectors").into());
    }
    Ok(DiskInfo {
        sectors,
        sector_bytes,
        physical_sector_bytes,
        read_only: kind & u64::from(VDISK_READONLY | VDISK_CDROM) != 0 || mode_read_only,
        flush: frontend.read_backend_flag("feature-flush-cache").await?,
        barrier: frontend.read_backend_flag("feature-barrier").await?,
        discard: frontend.read_backend_flag("feature-discard").await?,
    })
}

/// A sector's size a page can hold.
fn sector_size(bytes: u64) -> Option<u32> {
    let fits = (u64::from(SECTOR_BYTES)..=PAGE_BYTES as u64).contains(&bytes);
    (fits && bytes.is_power_of_two()).then_some(bytes as u32)
}
