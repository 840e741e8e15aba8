//! What the toolstack asks of the domain, through nodes of its own in xenstore.
//!
//! A request is acknowledged at once, by writing its node empty, and only when it is known.
//!
//! Source: `docs/misc/xenstore-paths.pandoc` (`control/shutdown`, `control/sysrq`,
//! `memory/target`), Xen 4.17.

use crate::lifecycle::End;
use crate::machine::Host;
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
    /// To be saved, and maybe to go on elsewhere.
    Suspend,
    /// How things stand, on the console.
    Status,
}

type Requests = Rc<RefCell<VecDeque<Asked>>>;

/// The listeners.
pub(crate) struct Toolstack {
    xenstore: Option<Xenstore>,
    can_suspend: bool,
    walks: Vec<Task<()>>,
    asked: Requests,
}

impl Toolstack {
    /// Says what we can do and listens.
    pub(crate) fn listen(xenstore: Option<Xenstore>, host: &Host) -> Toolstack {
        let asked = Requests::default();
        let can_suspend = !host.emulated;
        let mut toolstack = Toolstack {
            xenstore,
            can_suspend,
            walks: Vec::new(),
            asked: Rc::clone(&asked),
        };
        toolstack.introduce();
        if let Some(xenstore) = &toolstack.xenstore {
            let walks: [Task<()>; 3] = [
                Box::pin(shutdown(xenstore.clone(), Rc::clone(&asked), can_suspend)),
                Box::pin(sysrq(xenstore.clone(), asked)),
                Box::pin(memory_target(xenstore.clone(), host.ram_bytes)),
            ];
            toolstack.walks.extend(walks);
        }
        toolstack
    }

    /// Says what we can do: in each domain that we go on in.
    pub(crate) fn introduce(&mut self) {
        if let Some(xenstore) = &self.xenstore {
            let walk = features(xenstore.clone(), self.can_suspend);
            self.walks.push(Box::pin(walk));
        }
    }

    /// The next thing that was asked for.
    pub(crate) fn step(&mut self) -> Option<Asked> {
        self.walks.retain_mut(|walk| task::poll(walk).is_pending());
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

async fn features(xenstore: Xenstore, can_suspend: bool) {
    let suspend = if can_suspend { b"1" } else { b"0" };
    for (feature, value) in [("poweroff", b"1"), ("reboot", b"1"), ("suspend", suspend)] {
        // A toolstack that lets us write none of these knows anyway.
        let _ = xenstore
            .write(&format!("control/feature-{feature}"), value)
            .await;
    }
}

fn parse(word: &[u8], can_suspend: bool) -> Option<Asked> {
    match word {
        b"suspend" if can_suspend => Some(Asked::Suspend),
        _ => End::parse(word).map(Asked::End),
    }
}

/// Listens until an end is asked for: another one after it changes nothing.
async fn shutdown(xenstore: Xenstore, asked: Requests, can_suspend: bool) {
    const NODE: &str = "control/shutdown";
    let Some(watch) = watched(&xenstore, NODE, "xl shutdown").await else {
        return;
    };
    loop {
        let Some(request) = changed(&xenstore, &watch, NODE).await else {
            continue;
        };
        let word = request.escape_ascii();
        let Some(known) = parse(&request, can_suspend) else {
            log::warn!("lifecycle: `{word}` was asked, which is not done here");
            continue;
        };
        acknowledge(&xenstore, NODE).await;
        log::info!("lifecycle: {word} asked by the toolstack and acknowledged");
        asked.borrow_mut().push_back(known);
        if matches!(known, Asked::End(_)) {
            return;
        }
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
