//! The domain is saved, and goes on in another one.
//!
//! All that Xen and the toolstack held of it is made anew, and only its memory is what it was.
//!
//! Source: `tools/libs/guest/xg_sr_restore_x86_hvm.c` and `tools/libs/light/libxl_create.c`,
//! Xen 4.17.

use crate::arena::PAGE_BYTES;
use crate::blkback::Blkback;
use crate::device::introduce;
use crate::domain::{
    CONSOLE_GFN, DOMID, Domain, Ended, STALE, STORE_GFN, WINDOW_FRAMES, WINDOW_GFN,
};
use crate::event::{Events, PortKind};
use crate::grant::Grants;
use crate::machine::World;
use crate::netback::Netback;
use xen_sys::errno::Errno;
use xen_sys::hvm::{HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_STORE_EVTCHN};

/// What becomes of a suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Save {
    /// It fails, and the domain goes on.
    Fails,
    /// Another domain goes on, where system time is so far ahead of here, modulo 2^64.
    Moves(u64),
}

impl Domain {
    /// The guest asks for it.
    pub(crate) fn suspend(&mut self) -> Result<usize, Errno> {
        if self.watchdog_ns().is_some() || self.apic_timer_ns.is_some() {
            // Nobody feeds it meanwhile.
            self.ended = Some(Ended::Watchdog);
        }
        match self.saves.pop_front() {
            // As QEMU's emulation.
            None => Err(Errno::EINVAL),
            Some(Save::Fails) => Ok(1),
            Some(Save::Moves(skew_ns)) => {
                self.go_on_elsewhere(skew_ns);
                self.has_moved = true;
                Ok(0)
            }
        }
    }

    /// Goes on where the host's system time is `skew_ns` ahead of here, modulo 2^64.
    pub fn go_on_elsewhere(&mut self, skew_ns: u64) {
        self.note(|| format!("resumed elsewhere, system time {skew_ns} ns ahead"));
        self.xenstored.disconnect(self.client);
        self.client = self.xenstored.connect(DOMID);
        self.renew_ports();
        self.grants = Grants::default();
        self.timer_ns = None;
        self.watchdogs_ns = [None; 2];
        self.clock.set_skew(skew_ns);
        for gfn in [STORE_GFN, CONSOLE_GFN] {
            self.arena.copy_in(gfn, 0, &[0; PAGE_BYTES]);
        }
        // Nothing is there before it is asked for.
        for gfn in WINDOW_GFN..WINDOW_GFN + WINDOW_FRAMES {
            self.arena.fill(gfn, STALE);
        }
    }

    /// The toolstack's ports have other numbers than before.
    fn renew_ports(&mut self) {
        let raised = self.events.raised;
        self.events = Events::default();
        self.events.raised = raised;
        let mut open = || {
            let port = self.events.open(PortKind::Interdomain(0));
            port.expect("there are many")
        };
        let passed_by = [open(), open(), open()];
        (self.console_port, self.store_port) = (open(), open());
        for port in passed_by {
            self.events.close(port);
        }
        let ports = [
            (HVM_PARAM_STORE_EVTCHN, self.store_port),
            (HVM_PARAM_CONSOLE_EVTCHN, self.console_port),
        ];
        self.params
            .extend(ports.map(|(param, port)| (param, u64::from(port))));
    }
}

impl World {
    /// Devices of the domain that the guest has moved to: backends that know nothing of it, and a
    /// disk on which is what was durable, and maybe more.
    pub(crate) fn follow(&mut self) {
        let domain = &mut self.domain;
        if !std::mem::take(&mut domain.has_moved) {
            return;
        }
        let home = format!("/local/domain/{DOMID}");
        for key in ["control", "device", "data", "attr"] {
            domain.xenstored.remove(&format!("{home}/{key}"));
        }
        introduce(domain, &[]);
        if let Some((backend, disk)) = &mut self.vbd {
            backend.cut_power(domain, disk);
            disk.crash();
            let (_, number) = backend.nodes().frontend.rsplit_once('/').expect("a path");
            let number = number.parse().expect("a device's number");
            *backend = Blkback::attach(domain, number);
        }
        if let Some(vif) = &mut self.vif {
            *vif = Netback::attach(domain, 0);
        }
    }
}
