//! What the toolstack asks of the domain, and the orderly end.
//!
//! A request is acknowledged at once, and only when it is known; then the
//! service drains, the store closes, and the hypervisor is told. Each phase is
//! bounded: a client or a disk that hangs delays the end, it cannot prevent it.
//!
//! Source: `docs/misc/xenstore-paths.pandoc` (control/shutdown), Xen 4.17.

use alloc::boxed::Box;
use core::task::Poll;
use xen::ShutdownReason;
use xen::task::{self, Task};
use xen::xenstore::{Xenstore, XsError};

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

/// The listener on `control/shutdown`.
pub(crate) struct Toolstack(Option<Task<Option<End>>>);

impl Toolstack {
    /// Says what we can do and listens.
    pub(crate) fn listen(xenstore: Option<Xenstore>) -> Toolstack {
        Toolstack(xenstore.map(|xenstore| -> Task<Option<End>> { Box::pin(listen(xenstore)) }))
    }

    /// An end that was asked for since last asked.
    pub(crate) fn step(&mut self) -> Option<End> {
        match task::poll(self.0.as_mut()?) {
            Poll::Pending => None,
            Poll::Ready(end) => {
                self.0 = None;
                end
            }
        }
    }
}

async fn listen(xenstore: Xenstore) -> Option<End> {
    for (node, value) in [
        ("feature-poweroff", "1"),
        ("feature-reboot", "1"),
        ("feature-suspend", "0"),
    ] {
        // A toolstack that lets us write none of these knows anyway.
        let _ = xenstore
            .write(&alloc::format!("control/{node}"), value.as_bytes())
            .await;
    }
    let watch = match xenstore.watch("control/shutdown").await {
        Ok(watch) => watch,
        Err(error) => {
            log::warn!(
                "lifecycle: control/shutdown cannot be watched ({error}): xl shutdown will not be heard"
            );
            return None;
        }
    };
    loop {
        watch.fired().await;
        let request = match xenstore.read("control/shutdown").await {
            Ok(request) => request,
            Err(XsError::NotFound) => continue,
            Err(error) => {
                log::warn!("lifecycle: control/shutdown cannot be read: {error}");
                continue;
            }
        };
        if request.is_empty() {
            continue;
        }
        let Some(end) = End::parse(&request) else {
            log::warn!(
                "lifecycle: `{}` was asked, which this release does not do",
                request.escape_ascii()
            );
            continue;
        };
        if let Err(error) = xenstore.write("control/shutdown", b"").await {
            log::warn!("lifecycle: the request could not be acknowledged: {error}");
        }
        log::info!(
            "lifecycle: {} asked by the toolstack and acknowledged",
            request.escape_ascii()
        );
        return Some(end);
    }
}
