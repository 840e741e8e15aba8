//! What all backends share: their two directories in xenstore, and their state.
//!
//! Source: `xen/include/public/io/xenbus.h`, Xen 4.17.

use crate::domain::{DOMID, Domain};
use crate::xenstored::Access;
use std::collections::BTreeMap;
pub use xen_sys::io::xenbus::XenbusState;

/// Where a device's two ends meet.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// The guest's directory.
    pub frontend: String,
    /// The backend's directory.
    pub backend: String,
    /// The domain that the backend is in.
    pub domid: u16,
    /// The tree's version at the last look.
    seen: u64,
    /// What a frontend of before said last, until it says something else.
    stale: Option<XenbusState>,
    /// Nodes of the backend that a test has spoilt; `None` is one that is not there.
    spoilt: BTreeMap<String, Option<Vec<u8>>>,
}

impl Nodes {
    /// Makes both directories, as the toolstack does for a new device whose backend is in `domid`.
    pub fn create(domain: &mut Domain, domid: u16, kind: &str, number: u32) -> Nodes {
        let frontend = format!("/local/domain/{DOMID}/device/{kind}/{number}");
        let backend = format!("/local/domain/{domid}/backend/{kind}/{DOMID}/{number}");
        let xenstored = &mut domain.xenstored;
        for (path, key, value) in [
            (&frontend, "backend", backend.as_str()),
            (&frontend, "backend-id", &domid.to_string()),
            (&frontend, "handle", &number.to_string()),
            (&frontend, "state", "1"),
            (&backend, "frontend", frontend.as_str()),
            (&backend, "frontend-id", &DOMID.to_string()),
            (&backend, "online", "1"),
            (&backend, "state", "1"),
        ] {
            xenstored.write(&format!("{path}/{key}"), value.as_bytes());
        }
        xenstored.set_owner(&frontend, DOMID);
        for key in ["backend", "backend-id", "handle", "state"] {
            xenstored.set_owner(&format!("{frontend}/{key}"), DOMID);
        }
        xenstored.allow(&frontend, domid, Access::Both);
        Nodes {
            frontend,
            backend,
            domid,
            seen: 0,
            stale: None,
            spoilt: BTreeMap::new(),
        }
    }

    /// Whether anything in xenstore has changed since the last look.
    pub fn has_news(&mut self, domain: &Domain) -> bool {
        let version = domain.xenstored.version();
        std::mem::replace(&mut self.seen, version) != version
    }

    /// Writes a node of the backend, which the guest may read.
    pub fn write(&self, domain: &mut Domain, key: &str, value: impl ToString) {
        let value = value.to_string();
        let path = format!("{}/{key}", self.backend);
        match self.spoilt.get(key) {
            None => domain.xenstored.write(&path, value.as_bytes()),
            Some(Some(spoilt)) => domain.xenstored.write(&path, spoilt),
            Some(None) => return domain.xenstored.remove(&path),
        }
        domain.xenstored.allow(&path, DOMID, Access::Read);
    }

    /// From now on this node of the backend is as given, whatever is written.
    pub fn spoil(&mut self, domain: &mut Domain, (key, value): (String, Option<Vec<u8>>)) {
        self.spoilt.insert(key.clone(), value);
        self.write(domain, &key, "");
    }

    /// Makes the backend's directory again, as for one that has just been started.
    pub fn renew(&mut self, domain: &mut Domain) {
        self.stale = Some(self.stated(domain)).filter(|state| *state != XenbusState::Initialising);
        self.write(domain, "frontend", &self.frontend);
        self.write(domain, "frontend-id", DOMID);
        self.write(domain, "online", 1);
        self.show(domain);
    }

    /// Removes the backend's directory, as the toolstack does when its domain is gone.
    pub fn remove_backend(&self, domain: &mut Domain) {
        domain.xenstored.remove(&self.backend);
    }

    /// Removes both directories, as the toolstack does with a device that is closed.
    pub fn remove(&self, domain: &mut Domain) {
        domain.xenstored.remove(&self.frontend);
        domain.xenstored.remove(&self.backend);
    }

    /// Changes the backend's state.
    pub fn switch_to(&self, domain: &mut Domain, state: XenbusState) {
        domain.note(|| format!("{}: {state:?}", self.backend));
        self.write(domain, "state", state.digit());
    }

    /// The frontend's state; unknown while it is left from before the backend's start.
    pub fn frontend_state(&mut self, domain: &Domain) -> XenbusState {
        let state = self.stated(domain);
        if self.stale == Some(state) {
            return XenbusState::Unknown;
        }
        self.stale = None;
        state
    }

    fn stated(&self, domain: &Domain) -> XenbusState {
        let state = domain.xenstored.read(&format!("{}/state", self.frontend));
        XenbusState::parse(state.unwrap_or_default())
    }

    /// A number that the frontend has published.
    pub fn number(&self, domain: &Domain, key: &str) -> Option<u32> {
        let path = format!("{}/{key}", self.frontend);
        domain.xenstored.read_text(&path)?.parse().ok()
    }

    /// Lets the guest read all that the toolstack wrote.
    pub fn show(&self, domain: &mut Domain) {
        domain.xenstored.allow(&self.backend, DOMID, Access::Read);
        for key in domain.xenstored.list(&self.backend) {
            let path = format!("{}/{key}", self.backend);
            domain.xenstored.allow(&path, DOMID, Access::Read);
        }
    }
}

/// Makes the domain's own directory, as the toolstack does.
pub fn introduce(domain: &mut Domain, settings: &[(&str, &str)]) {
    let home = format!("/local/domain/{DOMID}");
    let xenstored = &mut domain.xenstored;
    xenstored.write(&format!("{home}/domid"), DOMID.to_string().as_bytes());
    xenstored.write(&format!("{home}/name"), b"lampion");
    xenstored.allow(&home, DOMID, Access::Read);
    for key in ["domid", "name"] {
        xenstored.allow(&format!("{home}/{key}"), DOMID, Access::Read);
    }
    for key in [
        "control",
        "control/shutdown",
        "control/sysrq",
        "device",
        "data",
        "attr",
        "error",
    ] {
        let path = format!("{home}/{key}");
        xenstored.write(&path, b"");
        xenstored.set_owner(&path, DOMID);
    }
    let target = format!("{home}/memory/target");
    xenstored.write(&target, b"16384");
    xenstored.allow(&target, DOMID, Access::Read);
    for (key, value) in settings {
        let path = format!("{home}/vm-data/{key}");
        xenstored.write(&path, value.as_bytes());
        xenstored.allow(&path, DOMID, Access::Read);
    }
    xenstored.allow(&format!("{home}/vm-data"), DOMID, Access::Read);
}
