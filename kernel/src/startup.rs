//! From the first step to parts that can serve: settings, devices, disk.

use crate::budget::Budget;
use crate::config::{DiskChoice, Settings, Source, disk_name};
use crate::discover::{Found, choose_disk, discover};
use crate::pages::GuestPages;
use alloc::boxed::Box;
use alloc::string::String;
use core::task::Poll;
use drivers::blkfront::Blkfront;
use drivers::netfront::{Netfront, Pages};
use net::Options;
use service::AccessLog;
use store::Store;
use store::block::BlockDevice;
use xen::Attachment;
use xen::task::{self, Task};
use xen::xenstore::Xenstore;

/// Most connections at once, memory permitting.
const CONNECTIONS_MAX: u32 = 1024;
const HALF_OPEN_MAX: u32 = 512;

/// The walk through xenstore.
pub(crate) struct Startup {
    settings: Settings,
    walk: Option<Task<Found>>,
}

/// All that is needed to serve.
pub(crate) struct Parts {
    /// Settings from all sources.
    pub(crate) settings: Settings,
    /// Our domain's number, if xenstore says so.
    pub(crate) domid: Option<u32>,
    vif: Option<u32>,
    vbd: Option<u32>,
    /// Why there is no disk, for `/readyz`.
    pub(crate) note: Option<Box<str>>,
}

impl Startup {
    /// Reads the command line and begins to read xenstore.
    pub(crate) fn begin(xenstore: Option<Xenstore>, command_line: &[u8]) -> Startup {
        let mut settings = Settings::from_command_line(command_line, &mut warn);
        log::set_max_level(settings.log_level);
        if xenstore.is_none() {
            log::error!("xenstore: there is none, so there are no devices; serving from memory");
            settings.disk = DiskChoice::None;
        }
        let walk = xenstore.map(|xenstore| -> Task<Found> { Box::pin(discover(xenstore)) });
        Startup { settings, walk }
    }

    /// Advances; the parts when all is known.
    pub(crate) fn step(&mut self) -> Option<Parts> {
        let found = match &mut self.walk {
            None => Found::default(),
            Some(walk) => match task::poll(walk) {
                Poll::Pending => return None,
                Poll::Ready(found) => found,
            },
        };
        let mut settings = core::mem::take(&mut self.settings);
        for (key, value) in &found.settings {
            settings.set(key, value, Source::VmData, &mut warn);
        }
        log::set_max_level(settings.log_level);
        if settings.service.access_log == AccessLog::Syslog && settings.syslog.is_none() {
            warn("`log.access=syslog` goes nowhere: add syslog=ADDRESS".into());
        }
        let (vbd, note) = pick_disk(&settings, &found);
        if found.vifs.is_empty() {
            log::error!(
                "net: no vif is attached, so nobody can reach this appliance; add vif=['bridge=…'] to xl.cfg"
            );
        } else if found.vifs.len() > 1 {
            log::info!(
                "net: using vif 0 of {}; the others are left alone",
                found.vifs.len()
            );
        }
        let vif = found.vifs.first().copied();
        Some(Parts {
            settings,
            domid: found.domid,
            vif,
            vbd,
            note,
        })
    }
}

fn warn(sentence: String) {
    log::warn!("config: {sentence}");
}

fn pick_disk(settings: &Settings, found: &Found) -> (Option<u32>, Option<Box<str>>) {
    const LOST: &str = "everything is in memory only and lost at the next stop";
    match choose_disk(&settings.disk, &found.vbds) {
        Ok(Some(number)) => {
            log::info!("disk: {} is device/vbd/{number}", disk_name(number));
            (Some(number), None)
        }
        Ok(None) if settings.disk == DiskChoice::None => {
            log::warn!("disk: none, as asked: {LOST}");
            (None, Some(LOST.into()))
        }
        Ok(None) => {
            log::error!("disk: none is attached: {LOST}; add disk=['phy:…,xvda,w'] to xl.cfg");
            (None, Some(LOST.into()))
        }
        Err(sentence) => {
            log::error!("disk: {sentence}; meanwhile {LOST}");
            (None, Some(LOST.into()))
        }
    }
}

impl Parts {
    /// The network device, if one is attached.
    pub(crate) fn netfront(&self, attachment: &Attachment, budget: Budget) -> Option<Netfront> {
        let pages = Pages {
            rx: budget.rx_pages,
            tx: budget.tx_pages,
        };
        Netfront::new(attachment, self.vif?, pages)
    }

    /// The disk, if one is used.
    pub(crate) fn blkfront(&self, attachment: &Attachment, budget: Budget) -> Option<Blkfront> {
        Blkfront::new(attachment, self.vbd?, budget.blk_requests)
    }

    /// The store, opening.
    pub(crate) fn store(
        &self,
        device: Box<dyn BlockDevice>,
        memory_bytes: u64,
        seed: [u8; 32],
    ) -> Store {
        Store::opening(
            device,
            store::Options {
                format: self.settings.format.clone(),
                unit_bytes: self.settings.unit_bytes,
                memory_bytes,
                seed,
                pages: Box::new(GuestPages),
            },
        )
    }

    /// How the network stack is made.
    pub(crate) fn stack_options(&self, budget: Budget, seed: [u8; 32]) -> Options {
        Options {
            address: self.settings.address_config(),
            seed,
            buffer_bytes: budget.socket_bytes,
            connections_max: CONNECTIONS_MAX,
            half_open_max: HALF_OPEN_MAX,
            hostname: self.settings.hostname.clone(),
            link: None,
        }
    }
}
