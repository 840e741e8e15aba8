//! How things stand, on the console: for who typed `status` or sent a sysrq.

use crate::logger;
use crate::machine::HeapUsage;
use crate::report::state_text;
use alloc::format;
use alloc::string::String;
use core::cell::RefCell;
use drivers::blkfront::Blkfront;
use drivers::netfront::Netfront;
use service::Service;
use store::{State, Store};
use xen::Attachment;

/// The store and who asks for it.
pub(crate) fn log_service(service: &Service, net: net::Statistics) {
    let store = service.store().statistics();
    let keys = match store.in_part {
        true => String::from("an unknown number of"),
        false => format!("{}", store.keys),
    };
    log::info!(
        "status: store {}, {keys} keys, {} of {} bytes used",
        state_text(service.store().state()),
        store.used_bytes,
        store.limit_bytes
    );
    log::info!(
        "status: {} connections, {} requests in progress, {} accepted, {} refused",
        net.connections,
        service.request_count(),
        net.accepted,
        net.refused.total()
    );
}

/// What an earlier guest on this disk has died of, while nobody has acknowledged it.
pub(crate) fn log_crashes(store: &Store) {
    let crashes = store.crashes();
    if let (State::Ready | State::ReadOnly(_), Some(last)) = (store.state(), crashes.last()) {
        log::warn!(
            "crash: {} not acknowledged, see /-/admin/crash; the last one, {}: {}",
            crashes.len(),
            last.number,
            last.text.lines().next().unwrap_or_default()
        );
    }
}

/// The frontends.
pub(crate) fn log_devices(vif: Option<&RefCell<Netfront>>, vbd: Option<&RefCell<Blkfront>>) {
    if let Some(vif) = vif {
        let vif = vif.borrow();
        let counters = vif.counters();
        log::info!(
            "status: vif {:?}, {} frames received, {} sent, {} lost by the backend",
            vif.phase(),
            counters.rx_frames,
            counters.tx_frames,
            counters.rx_errors + counters.tx_errors
        );
    }
    if let Some(vbd) = vbd {
        let vbd = vbd.borrow();
        let counters = vbd.counters();
        log::info!(
            "status: vbd {:?}, {} reads, {} writes, {} flushes, {} failed, {} in flight",
            vbd.phase(),
            counters.reads,
            counters.writes,
            counters.flushes,
            counters.errors,
            vbd.in_flight()
        );
    }
}

/// What Xen gave us, and the heap.
pub(crate) fn log_machine(attachment: &Attachment, heap: HeapUsage) {
    let grants = attachment.grants.borrow();
    let xenstore = attachment.xenstore.as_ref();
    log::info!(
        "status: {} grants in use, {} kept by backends; {} watches and {} requests in xenstore",
        grants.in_use(),
        grants.quarantined(),
        xenstore.map_or(0, |xenstore| xenstore.watches()),
        xenstore.map_or(0, |xenstore| xenstore.waiting())
    );
    log::info!(
        "status: {} of {} bytes of heap in use, {} pages free to share; {} log lines dropped",
        heap.used_bytes,
        heap.total_bytes,
        attachment.pool.free(),
        logger::dropped()
    );
}
