//! What the roof adds to `/metrics` and `/readyz`.

use crate::logger;
use crate::machine::HeapUsage;
use crate::standing::Standing;
use crate::startup::Parts;
use crate::syslog;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::fmt::Write;
use drivers::Phase;
use drivers::blkfront::Blkfront;
use drivers::netfront::Netfront;
use net::{Refused, Statistics};
use service::{Environment, MetricsSource};
use store::State;
use xen::Xen;
use xen::grant::GrantTable;
use xen::page::PagePool;
use xen::xenstore::Xenstore;

/// The release.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What it was built from; set by `cargo xtask build`.
pub(crate) const COMMIT: &str = match option_env!("LAMPION_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Where the numbers are read when they are asked for.
#[derive(Clone)]
pub(crate) struct Sources {
    /// The network device.
    pub(crate) vif: Option<Rc<RefCell<Netfront>>>,
    /// The disk.
    pub(crate) vbd: Option<Rc<RefCell<Blkfront>>>,
    /// The network stack's counts, as of this step.
    pub(crate) net: Rc<Cell<Statistics>>,
    /// The grant table.
    pub(crate) grants: Rc<RefCell<GrantTable>>,
    /// Xenstore.
    pub(crate) xenstore: Option<Xenstore>,
    /// The hypervisor.
    pub(crate) xen: Xen,
    /// Pages that may be shared.
    pub(crate) pool: PagePool,
    /// The heap.
    pub(crate) heap: fn() -> HeapUsage,
}

/// The facts the service is told.
pub(crate) fn environment(parts: &Parts, sources: Sources) -> Environment {
    let address = parts
        .settings
        .address
        .map(|cidr| format!("{}", cidr.address).into());
    Environment {
        version: VERSION.into(),
        commit: COMMIT.into(),
        addresses: address.into_iter().collect(),
        note: parts.note.clone(),
        metrics: Some(Box::new(sources.clone())),
        status: Some(Box::new(Standing::new(sources, &parts.settings))),
    }
}

/// A word or a sentence for the store's state.
pub(crate) fn state_text(state: &State) -> String {
    match state {
        State::Opening => "opening".into(),
        State::Ready => "ready".into(),
        State::ReadOnly(why) => format!("read-only: {why}"),
        State::Refused(why) => format!("refused: {why}"),
        State::Closed => "closed".into(),
    }
}

impl MetricsSource for Sources {
    fn append(&self, out: &mut String) {
        self.append_memory(out);
        if let Some(xenstore) = &self.xenstore {
            gauge(
                out,
                "xenstore_watches",
                "Watches registered.",
                xenstore.watches() as u64,
            );
            gauge(
                out,
                "xenstore_waiting",
                "Requests waiting.",
                xenstore.waiting() as u64,
            );
        }
        for (name, help, value) in [
            ("log_dropped_total", "Log lines dropped.", logger::dropped()),
            (
                "syslog_sent_total",
                "Lines sent to a syslog server.",
                syslog::sent(),
            ),
            (
                "syslog_lost_total",
                "Lines for it that found no room.",
                syslog::lost(),
            ),
        ] {
            counter(out, name, help, value);
        }
        let running = self.xen.vcpu_running_ns(0).unwrap_or(0);
        counter(
            out,
            "vcpu_running_ns_total",
            "Time the vCPU ran, in ns.",
            running,
        );
        self.append_hypercalls(out);
        append_net(out, self.net.get());
        if let Some(vif) = &self.vif {
            append_vif(out, &vif.borrow());
        }
        if let Some(vbd) = &self.vbd {
            append_vbd(out, &vbd.borrow());
        }
    }
}

impl Sources {
    fn append_hypercalls(&self, out: &mut String) {
        let _ = out.write_str(
            "# HELP lampion_hypercalls_total Hypercalls made since boot.\n\
             # TYPE lampion_hypercalls_total counter\n",
        );
        for (op, count) in self.xen.counts().all() {
            let _ = writeln!(out, "lampion_hypercalls_total{{op=\"{op}\"}} {count}");
        }
    }

    fn append_memory(&self, out: &mut String) {
        let (heap, pool, grants) = ((self.heap)(), self.pool, self.grants.borrow());
        for (name, help, value) in [
            ("heap_bytes", "Bytes of heap there are.", heap.total_bytes),
            (
                "heap_used_bytes",
                "Bytes of heap handed out.",
                heap.used_bytes,
            ),
            (
                "heap_peak_bytes",
                "Most bytes of heap ever handed out.",
                heap.peak_bytes,
            ),
            (
                "shared_pages_free",
                "Shareable pages not in use.",
                u64::from(pool.free()),
            ),
            (
                "shared_pages_lost",
                "Pages a backend may still hold.",
                u64::from(pool.lost()),
            ),
            (
                "grants_in_use",
                "Grant entries in use.",
                u64::from(grants.in_use()),
            ),
            (
                "grants_quarantined",
                "Grants a backend keeps.",
                grants.quarantined() as u64,
            ),
        ] {
            gauge(out, name, help, value);
        }
    }
}

fn append_net(out: &mut String, net: Statistics) {
    for (name, help, value) in [
        (
            "tcp_connections",
            "Places taken, endings included.",
            net.connections.into(),
        ),
        (
            "tcp_connections_max",
            "Places there are.",
            net.connections_max.into(),
        ),
        (
            "tcp_backlog",
            "Connections that wait to be accepted.",
            net.backlog.into(),
        ),
        (
            "tcp_half_open",
            "SYNs answered and not confirmed yet.",
            net.half_open.into(),
        ),
        (
            "tcp_half_open_max",
            "As many of those there can be.",
            net.half_open_max.into(),
        ),
        (
            "tcp_buffer_bytes",
            "Bytes of socket buffers.",
            net.buffer_bytes,
        ),
        (
            "tcp_buffer_bytes_max",
            "As many there can be.",
            net.buffer_bytes_max,
        ),
    ] {
        gauge(out, name, help, value);
    }
    counter(
        out,
        "tcp_accepted_total",
        "Connections accepted.",
        net.accepted,
    );
    counter(
        out,
        "net_bad_frames_total",
        "Frames that were no good.",
        net.frames_dropped,
    );
    append_refused(out, net.refused);
}

fn append_refused(out: &mut String, refused: Refused) {
    let _ = out.write_str(
        "# HELP lampion_tcp_refused_total Connections refused, by reason.\n\
         # TYPE lampion_tcp_refused_total counter\n",
    );
    let Refused {
        backlog,
        places,
        half_open,
    } = refused;
    for (reason, count) in [
        ("backlog", backlog),
        ("places", places),
        ("half-open", half_open),
    ] {
        let _ = writeln!(
            out,
            "lampion_tcp_refused_total{{reason=\"{reason}\"}} {count}"
        );
    }
}

fn append_vif(out: &mut String, vif: &Netfront) {
    gauge(
        out,
        "netfront_connected",
        "Whether the vif works.",
        connected(vif.phase()),
    );
    let counters = vif.counters();
    for (name, help, value) in [
        (
            "netfront_rx_frames_total",
            "Frames received.",
            counters.rx_frames,
        ),
        (
            "netfront_rx_bytes_total",
            "Bytes received.",
            counters.rx_bytes,
        ),
        (
            "netfront_rx_errors_total",
            "Frames the backend lost.",
            counters.rx_errors,
        ),
        (
            "netfront_tx_frames_total",
            "Frames sent.",
            counters.tx_frames,
        ),
        ("netfront_tx_bytes_total", "Bytes sent.", counters.tx_bytes),
        (
            "netfront_tx_errors_total",
            "Frames the backend did not send.",
            counters.tx_errors,
        ),
        (
            "netfront_notifies_total",
            "Notifications sent.",
            counters.notifies,
        ),
    ] {
        counter(out, name, help, value);
    }
}

fn append_vbd(out: &mut String, vbd: &Blkfront) {
    gauge(
        out,
        "blkfront_connected",
        "Whether the vbd works.",
        connected(vbd.phase()),
    );
    let counters = vbd.counters();
    for (name, help, value) in [
        ("blkfront_reads_total", "Reads completed.", counters.reads),
        (
            "blkfront_writes_total",
            "Writes completed.",
            counters.writes,
        ),
        (
            "blkfront_flushes_total",
            "Flushes completed.",
            counters.flushes,
        ),
        (
            "blkfront_discards_total",
            "Discards completed.",
            counters.discards,
        ),
        (
            "blkfront_errors_total",
            "Requests that failed.",
            counters.errors,
        ),
        (
            "blkfront_notifies_total",
            "Notifications sent.",
            counters.notifies,
        ),
    ] {
        counter(out, name, help, value);
    }
}

fn connected(phase: Phase) -> u64 {
    u64::from(phase == Phase::Connected)
}

fn gauge(out: &mut String, name: &str, help: &str, value: u64) {
    metric(out, name, help, "gauge", value);
}

fn counter(out: &mut String, name: &str, help: &str, value: u64) {
    metric(out, name, help, "counter", value);
}

fn metric(out: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "# HELP lampion_{name} {help}\n# TYPE lampion_{name} {kind}\nlampion_{name} {value}\n"
    );
}
