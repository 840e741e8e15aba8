//! The orderly end: what is asked for, and how long it may take.
//!
//! The service drains, the store closes, and the hypervisor is told. Each phase is bounded: a
//! client or a disk that hangs delays the end, it cannot prevent it.

use service::Power;
use xen::ShutdownReason;

/// Longest wait for requests in progress.
pub(crate) const DRAIN_NS: u64 = 10_000_000_000;
/// Longest wait for the store to close after that.
pub(crate) const CLOSE_NS: u64 = 30_000_000_000;

/// An end that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Power off.
    Poweroff,
    /// Start again.
    Reboot,
    /// Crash on purpose.
    Crash,
}

impl End {
    /// What the hypervisor is told.
    pub(crate) fn reason(self) -> ShutdownReason {
        match self {
            End::Poweroff => ShutdownReason::Poweroff,
            End::Reboot => ShutdownReason::Reboot,
            End::Crash => ShutdownReason::Crash,
        }
    }

    /// What the owner has asked for over HTTP.
    pub(crate) fn of(power: Power) -> End {
        match power {
            Power::Off => End::Poweroff,
            Power::Reboot => End::Reboot,
        }
    }

    /// A value of `control/shutdown`, or a word on the console.
    pub(crate) fn parse(word: &[u8]) -> Option<End> {
        match word {
            b"poweroff" | b"halt" => Some(End::Poweroff),
            b"reboot" => Some(End::Reboot),
            b"crash" => Some(End::Crash),
            _ => None,
        }
    }
}
