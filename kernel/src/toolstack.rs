//! What the toolstack asks of the domain, through nodes of its own in xenstore.
//!
//! A request is acknowledged at once, by writing its node empty, and only when it is known.
//!
//! Source: `docs/misc/xenstore-paths.pandoc` (`control/shutdown`, `control/sysrq`,
//! `memory/target`), Xen 4.17.

use crate::lifecycle::End;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use xen::task::{self, Task};
use xen::xenstore::{Watch, Xenstore, XsError};

/// Something it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The domain's end.
    End(End),
    /// How things stand, on the console.
    Status,
}

type Requests = Rc<RefCell<VecDeque<Asked>>>;

/// The listeners.
pub(crate) struct Toolstack {
    listeners: Vec<Task<()>>,
    asked: Requests,
}

impl Toolstack {
    /// Says what we can do and listens. The domain has so many bytes of RAM.
    pub(crate) fn listen(xenstore: Option<Xenstore>, ram_bytes: u64) -> Toolstack {
        let asked = Requests::default();
        let listeners = xenstore.map_or_else(Vec::new, |xenstore| -> Vec<Task<()>> {
            Vec::from([
                Box::pin(shutdown(xenstore.clone(), Rc::clone(&asked))) as Task<()>,
                Box::pin(sysrq(xenstore.clone(), Rc::clone(&asked))),
                Box::pin(memory_target(xenstore, ram_bytes)),
            ])
        });
        Toolstack { listeners, asked }
    }

    /// The next thing that was asked for.
    pub(crate) fn step(&mut self) -> Option<Asked> {
        self.listeners
            .retain_mut(|listener| task::poll(listener).is_pending());
        self.asked.borrow_mut().pop_front()
    }
}

/// Watches a node; without it something is not heard, which is said.
async fn watched(xenstore: &Xenstore, node: &str, unheard: &str) -> Option<Watch> {
    let watch = xenstore.watch(node).await;
    let told = |error: &XsError| {
        log::warn!("toolstack: {node} cannot be watched ({error}): {unheard} will not be heard");
    };
    watch.inspect_err(told).ok()
}

/// What a node says when it has changed; `None` if that is nothing.
async fn changed(xenstore: &Xenstore, watch: &Watch, node: &str) -> Option<Vec<u8>> {
    watch.fired().await;
    match xenstore.read(node).await {
        Ok(said) => Some(said).filter(|said| !said.is_empty()),
        Err(XsError::NotFound) => None,
        Err(error) => {
            log::warn!("toolstack: {node} cannot be read: {error}");
            None
        }
    }
}

async fn acknowledge(xenstore: &Xenstore, node: &str) {
    if let Err(error) = xenstore.write(node, b"").await {
        log::warn!("toolstack: what {node} asked could not be acknowledged: {error}");
    }
}

/// Listens until an end is asked for: another one after it changes nothing.
async fn shutdown(xenstore: Xenstore, asked: Requests) {
    const NODE: &str = "control/shutdown";
    for (feature, value) in [("poweroff", b"1"), ("reboot", b"1"), ("suspend", b"0")] {
        // A toolstack that lets us write none of these knows anyway.
        let _ = xenstore
            .write(&format!("control/feature-{feature}"), value)
            .await;
    }
    let Some(watch) = watched(&xenstore, NODE, "xl shutdown").await else {
        return;
    };
    loop {
        let Some(request) = changed(&xenstore, &watch, NODE).await else {
            continue;
        };
        let word = request.escape_ascii();
        let Some(end) = End::parse(&request) else {
            log::warn!("lifecycle: `{word}` was asked, which this release does not do");
            continue;
        };
        acknowledge(&xenstore, NODE).await;
        log::info!("lifecycle: {word} asked by the toolstack and acknowledged");
        asked.borrow_mut().push_back(Asked::End(end));
        return;
    }
}

/// `xl sysrq DOMAIN LETTER`: whatever the letter is, how things stand is told.
async fn sysrq(xenstore: Xenstore, asked: Requests) {
    const NODE: &str = "control/sysrq";
    let Some(watch) = watched(&xenstore, NODE, "xl sysrq").await else {
        return;
    };
    loop {
        let Some(letter) = changed(&xenstore, &watch, NODE).await else {
            continue;
        };
        acknowledge(&xenstore, NODE).await;
        log::info!("lifecycle: sysrq `{}` asked", letter.escape_ascii());
        asked.borrow_mut().push_back(Asked::Status);
    }
}

/// Another size than what we have is asked of a balloon, and there is none.
async fn memory_target(xenstore: Xenstore, ram_bytes: u64) {
    const NODE: &str = "memory/target";
    let Some(watch) = watched(&xenstore, NODE, "xl mem-set").await else {
        return;
    };
    // What it was set to when the domain was made is no request.
    let mut last = changed(&xenstore, &watch, NODE).await;
    loop {
        let target = changed(&xenstore, &watch, NODE).await;
        if target.is_none() || target == last {
            continue;
        }
        if let Some(kib) = &target {
            log::warn!(
                "memory: the toolstack asks for {} KiB; there is no balloon, and all {} KiB stay in \
                 use: set memory= and boot again to change that",
                kib.escape_ascii(),
                ram_bytes / 1024
            );
        }
        last = target;
    }
}
