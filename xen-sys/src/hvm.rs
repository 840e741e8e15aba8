//! HVM parameters and the upcall vector.
//! Mirrors `xen/include/public/hvm/{hvm_op,params}.h`, Xen 4.17.

/// Sets a parameter.
pub const HVMOP_SET_PARAM: u32 = 0;
/// Reads a parameter.
pub const HVMOP_GET_PARAM: u32 = 1;
/// Sets the event upcall vector of one vCPU, delivered through its local APIC.
pub const HVMOP_SET_EVTCHN_UPCALL_VECTOR: u32 = 23;

/// How events are delivered to the domain.
pub const HVM_PARAM_CALLBACK_IRQ: u32 = 0;
/// Guest frame of the xenstore ring.
pub const HVM_PARAM_STORE_PFN: u32 = 1;
/// Event channel of the xenstore ring.
pub const HVM_PARAM_STORE_EVTCHN: u32 = 2;
/// Guest frame of the console ring.
pub const HVM_PARAM_CONSOLE_PFN: u32 = 17;
/// Event channel of the console ring.
pub const HVM_PARAM_CONSOLE_EVTCHN: u32 = 18;

/// `HVM_PARAM_CALLBACK_IRQ` value: deliver as this vector, without the local APIC.
pub const fn callback_vector(vector: u8) -> u64 {
    (2 << 56) | vector as u64
}

/// Argument of [`HVMOP_SET_PARAM`] and [`HVMOP_GET_PARAM`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct XenHvmParam {
    /// Whose parameter.
    pub domid: u16,
    /// Zero.
    pub pad: u16,
    /// `HVM_PARAM_*`.
    pub index: u32,
    /// In or out.
    pub value: u64,
}
layout!(
    XenHvmParam as ["struct xen_hvm_param"], 16,
    domid @ 0, pad @ 2, index @ 4, value @ 8,
);

/// Argument of [`HVMOP_SET_EVTCHN_UPCALL_VECTOR`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct XenHvmEvtchnUpcallVector {
    /// Which vCPU.
    pub vcpu: u32,
    /// Which vector, 16 to 255.
    pub vector: u8,
}
layout!(
    XenHvmEvtchnUpcallVector as ["struct xen_hvm_evtchn_upcall_vector"], 8,
    vcpu @ 0, vector @ 4,
);

mirror! {
    ["hvm/hvm_op.h", "hvm/params.h"]
    layouts [XenHvmParam, XenHvmEvtchnUpcallVector]
    numbers [
        HVMOP_SET_PARAM => "HVMOP_set_param",
        HVMOP_GET_PARAM => "HVMOP_get_param",
        HVMOP_SET_EVTCHN_UPCALL_VECTOR => "HVMOP_set_evtchn_upcall_vector",
        HVM_PARAM_CALLBACK_IRQ,
        HVM_PARAM_STORE_PFN,
        HVM_PARAM_STORE_EVTCHN,
        HVM_PARAM_CONSOLE_PFN,
        HVM_PARAM_CONSOLE_EVTCHN,
        callback_vector(0)
            => "HVM_PARAM_CALLBACK_TYPE_VECTOR * (HVM_PARAM_CALLBACK_IRQ_TYPE_MASK / 0xff)",
    ]
}
