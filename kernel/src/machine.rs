//! What the machine is, as the image's boot found it.

use crate::budget::Budget;
use alloc::boxed::Box;

/// How events reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upcalls {
    /// By each vCPU's local APIC.
    PerVcpu,
    /// By the domain-wide vector.
    DomainWide,
}

/// Randomness found at boot.
#[derive(Clone)]
pub struct Seed {
    /// The bytes.
    pub bytes: [u8; 32],
    /// Whether a hardware source stands behind all of them.
    pub strong: bool,
}

/// The heap's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapUsage {
    /// Bytes there are.
    pub total_bytes: u64,
    /// Bytes handed out.
    pub used_bytes: u64,
    /// Most bytes ever handed out.
    pub peak_bytes: u64,
}

impl HeapUsage {
    /// Nothing.
    pub const EMPTY: HeapUsage = HeapUsage {
        total_bytes: 0,
        used_bytes: 0,
        peak_bytes: 0,
    };

    /// Counts an allocation.
    pub fn take(&mut self, bytes: u64) {
        self.used_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.used_bytes);
    }

    /// Counts its end.
    pub fn give_back(&mut self, bytes: u64) {
        self.used_bytes -= bytes;
    }
}

/// What an alarm is after it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmState {
    /// It will go off.
    On,
    /// It finds out how fast its timer counts, and is on when it is set again.
    Measuring,
    /// Its timer counts not so far.
    Unable,
}

/// What ends, from inside, a guest whose loop stands still.
pub trait Alarm {
    /// It goes off after so many ns from now, unless it is set again or stopped.
    fn set(&self, after_ns: u64) -> AlarmState;

    /// It does not go off.
    fn stop(&self);
}

/// The machine.
pub struct Host {
    /// Randomness.
    pub seed: Seed,
    /// RAM found.
    pub ram_bytes: u64,
    /// Whether this is QEMU's emulation: no dom0 can read our xenstore.
    pub emulated: bool,
    /// The heap's numbers now.
    pub heap: fn() -> HeapUsage,
    /// What watches the loop, where there is something.
    pub alarm: Option<Box<dyn Alarm>>,
}

impl Host {
    /// How its memory is divided.
    pub fn budget(&self) -> Budget {
        Budget::from_ram(self.ram_bytes)
    }
}
