//! Scheduling and shutdown. Mirrors `xen/include/public/sched.h`, Xen 4.17.

/// Lets others run; takes no argument.
pub const SCHEDOP_YIELD: u32 = 0;
/// Ends the domain.
pub const SCHEDOP_SHUTDOWN: u32 = 2;

/// Sets, feeds or ends a watchdog.
pub const SCHEDOP_WATCHDOG: u32 = 6;

/// Exited normally; clean up and kill.
pub const SHUTDOWN_POWEROFF: u32 = 0;
/// Clean up, kill, and start again.
pub const SHUTDOWN_REBOOT: u32 = 1;
/// Save the state, and maybe go on in another domain.
pub const SHUTDOWN_SUSPEND: u32 = 2;
/// Tell the controller that we crashed.
pub const SHUTDOWN_CRASH: u32 = 3;
/// A watchdog of the domain has run out.
pub const SHUTDOWN_WATCHDOG: u32 = 4;

/// Argument of [`SCHEDOP_SHUTDOWN`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct SchedShutdown {
    /// `SHUTDOWN_*`.
    pub reason: u32,
}
layout!(SchedShutdown as ["struct sched_shutdown"], 4, reason @ 0);

/// Argument of [`SCHEDOP_WATCHDOG`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct SchedWatchdog {
    /// Which one; 0 asks for a fresh one, whose number is the result.
    pub id: u32,
    /// In seconds from now; 0 ends it.
    pub timeout: u32,
}
layout!(SchedWatchdog as ["struct sched_watchdog"], 8, id @ 0, timeout @ 4);

mirror! {
    ["sched.h"]
    layouts [SchedShutdown, SchedWatchdog]
    numbers [
        SCHEDOP_WATCHDOG => "SCHEDOP_watchdog",
        SCHEDOP_YIELD => "SCHEDOP_yield",
        SCHEDOP_SHUTDOWN => "SCHEDOP_shutdown",
        SHUTDOWN_POWEROFF => "SHUTDOWN_poweroff",
        SHUTDOWN_REBOOT => "SHUTDOWN_reboot",
        SHUTDOWN_SUSPEND => "SHUTDOWN_suspend",
        SHUTDOWN_CRASH => "SHUTDOWN_crash",
        SHUTDOWN_WATCHDOG => "SHUTDOWN_watchdog",
    ]
}
