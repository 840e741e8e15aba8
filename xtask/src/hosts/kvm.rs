//! Whether this host's own KVM can carry QEMU's Xen emulation.

use kvm_ioctls::Kvm;

/// `KVM_CAP_XEN_HVM` in `include/uapi/linux/kvm.h`.
const CAP_XEN_HVM: u64 = 38;

/// A `/dev/kvm` that exists need not be able to do this: it is asked.
pub(crate) fn emulates_xen() -> bool {
    Kvm::new().is_ok_and(|kvm| kvm.check_extension_raw(CAP_XEN_HVM) != 0)
}
