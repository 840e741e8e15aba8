//! Event channels, two-level ABI. Mirrors `xen/include/public/event_channel.h`, Xen 4.17.

/// Binds a virtual IRQ to a fresh port.
pub const EVTCHNOP_BIND_VIRQ: u32 = 1;
/// Closes a port.
pub const EVTCHNOP_CLOSE: u32 = 3;
/// Notifies the other end of a port.
pub const EVTCHNOP_SEND: u32 = 4;
/// Allocates a port that a remote domain may bind to.
pub const EVTCHNOP_ALLOC_UNBOUND: u32 = 6;
/// Unmasks a port and re-raises it if it is pending.
pub const EVTCHNOP_UNMASK: u32 = 9;

/// Ports of the two-level ABI on 64-bit guests.
pub const EVTCHN_2L_NR_CHANNELS: u32 = 4096;

/// The one-shot timer's virtual IRQ (`VIRQ_TIMER`, xen.h).
pub const VIRQ_TIMER: u32 = 0;

/// Argument of [`EVTCHNOP_ALLOC_UNBOUND`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct EvtchnAllocUnbound {
    /// Who allocates.
    pub dom: u16,
    /// Who may bind.
    pub remote_dom: u16,
    /// The port (out).
    pub port: u32,
}
layout!(
    EvtchnAllocUnbound as ["struct evtchn_alloc_unbound"], 8,
    dom @ 0, remote_dom @ 2, port @ 4,
);

/// Argument of [`EVTCHNOP_BIND_VIRQ`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct EvtchnBindVirq {
    /// Which virtual IRQ.
    pub virq: u32,
    /// On which vCPU.
    pub vcpu: u32,
    /// The port (out).
    pub port: u32,
}
layout!(
    EvtchnBindVirq as ["struct evtchn_bind_virq"], 12,
    virq @ 0, vcpu @ 4, port @ 8,
);

/// Argument of [`EVTCHNOP_SEND`], [`EVTCHNOP_CLOSE`] and [`EVTCHNOP_UNMASK`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct EvtchnPort {
    /// The port.
    pub port: u32,
}
layout!(
    EvtchnPort as ["struct evtchn_send", "struct evtchn_close", "struct evtchn_unmask"], 4,
    port @ 0,
);

mirror! {
    ["event_channel.h", "xen.h"]
    layouts [EvtchnAllocUnbound, EvtchnBindVirq, EvtchnPort]
    numbers [
        EVTCHNOP_BIND_VIRQ => "EVTCHNOP_bind_virq",
        EVTCHNOP_CLOSE => "EVTCHNOP_close",
        EVTCHNOP_SEND => "EVTCHNOP_send",
        EVTCHNOP_ALLOC_UNBOUND => "EVTCHNOP_alloc_unbound",
        EVTCHNOP_UNMASK => "EVTCHNOP_unmask",
        EVTCHN_2L_NR_CHANNELS,
        VIRQ_TIMER,
    ]
}
