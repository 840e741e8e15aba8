//! The image's part of a suspend: what the hypervisor has to be told again elsewhere.

use crate::arch::{self, paging::Mapper};
use crate::panic;
use kernel::run::Appliance;

/// Lets the domain be saved; returns when it goes on.
pub(crate) fn suspend(appliance: &mut Appliance, mapper: &mut Mapper) {
    let mut arrived = || {
        arch::hypervisor::detect_again();
        arch::entropy::seed()
    };
    if appliance.suspend(mapper, &mut arrived) {
        // A panic finds the console of this domain.
        panic::remember(appliance.attachment());
        let (_, alarm) = arch::deliver_upcalls(appliance.attachment(), mapper);
        appliance.watch_by(alarm);
    }
}
