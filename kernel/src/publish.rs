//! What the domain tells the toolstack: addresses, versions, state, the token.
//!
//! Source: `docs/misc/xenstore-paths.pandoc`, Xen 4.17; XAPI's guest agent schema.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use xen::task::{self, Task};
use xen::xenstore::{Xenstore, XsError};

/// Most changes that wait to be written; later ones are dropped and said.
const WAITING_MAX: usize = 64;

/// Nodes on their way to xenstore, one after the other.
pub(crate) struct Publisher {
    xenstore: Option<Xenstore>,
    waiting: VecDeque<(String, Option<String>)>,
    writing: Option<Task<()>>,
}

impl Publisher {
    /// Publishes through `xenstore`, if there is one.
    pub(crate) fn new(xenstore: Option<Xenstore>) -> Publisher {
        Publisher {
            xenstore,
            waiting: VecDeque::new(),
            writing: None,
        }
    }

    /// Writes a node some time soon.
    pub(crate) fn set(&mut self, path: &str, value: impl ToString) {
        self.push(path, Some(value.to_string()));
    }

    /// Removes a node some time soon.
    pub(crate) fn remove(&mut self, path: &str) {
        self.push(path, None);
    }

    /// What never changes.
    pub(crate) fn introduce(&mut self, version: &str, memory_kib: u64) {
        for (path, value) in [
            ("attr/PVAddons/MajorVersion", "1"),
            ("attr/PVAddons/MinorVersion", "0"),
            ("attr/PVAddons/MicroVersion", "0"),
            ("attr/PVAddons/BuildVersion", "0"),
            ("data/os_name", "Lampion"),
            ("data/os_distro", "lampion"),
            ("data/os_uname", version),
            ("data/lampion/version", version),
            ("data/lampion/state", "starting"),
        ] {
            self.set(path, value);
        }
        self.set("data/meminfo_total", memory_kib);
        self.set("data/updated", 1);
    }

    /// Writes what waits.
    pub(crate) fn step(&mut self) {
        let Some(xenstore) = &self.xenstore else {
            return;
        };
        loop {
            if let Some(task) = &mut self.writing {
                if task::poll(task).is_pending() {
                    return;
                }
                self.writing = None;
            }
            let Some((path, value)) = self.waiting.pop_front() else {
                return;
            };
            self.writing = Some(Box::pin(write(xenstore.clone(), path, value)));
        }
    }

    fn push(&mut self, path: &str, value: Option<String>) {
        if self.xenstore.is_none() {
            return;
        }
        if self.waiting.len() >= WAITING_MAX {
            log::warn!("publish: too many changes are waiting; {path} is not written");
            return;
        }
        self.waiting.push_back((path.to_string(), value));
    }
}

async fn write(xenstore: Xenstore, path: String, value: Option<String>) {
    let result = match value {
        Some(value) => xenstore.write(&path, value.as_bytes()).await,
        None => xenstore.remove(&path).await,
    };
    match result {
        // A toolstack that does not want to know is no fault of ours.
        Ok(()) | Err(XsError::Denied | XsError::NotFound) => {}
        Err(error) => log::warn!("publish: {path}: {error}"),
    }
}
