//! What the roof knows for `/-/admin/status`: the machine, its devices, and the settings in force.

use crate::config::{Given, Settings, Source};
use crate::logger;
use crate::report::Sources;
use crate::syslog;
use alloc::format;
use alloc::vec::Vec;
use drivers::Phase;
use drivers::blkfront::Blkfront;
use drivers::netfront::Netfront;
use service::{Config, Members, StatusSource};

/// Every key there is, and what holds where nobody has set it.
const DEFAULTS: [(&str, &str); 21] = [
    ("ip", "dhcp"),
    ("gw", "from DHCP, or none"),
    ("hostname", "lampion"),
    ("http.port", "80"),
    ("admin.port", "8081"),
    ("https.port", "443"),
    ("tls.cert", "kept, or made at first boot"),
    ("tls.key", "kept, or made at first boot"),
    ("auth", "token"),
    ("auth.token", "made at first boot"),
    ("auth.read-token", "none"),
    ("auth.plaintext", "warn"),
    ("cors", "off"),
    ("metrics", "token, and open on the admin port"),
    ("disk", "the first there is, or memory"),
    ("disk.format", "blank disks only"),
    ("disk.unit", "detected"),
    ("watchdog", "off"),
    ("log.level", "info"),
    ("log.access", "off"),
    ("syslog", "off"),
];

/// The machine, and what was set.
pub(crate) struct Standing {
    sources: Sources,
    given: Vec<Given>,
}

impl Standing {
    pub(crate) fn new(sources: Sources, settings: &Settings) -> Standing {
        Standing {
            sources,
            given: settings.sources.clone(),
        }
    }

    /// What is in force of a key.
    fn last(&self, key: &str) -> Option<&Given> {
        self.given.iter().rev().find(|given| given.key == key)
    }

    fn settings(&self, members: &mut Members<'_>, config: &Config) {
        for (key, default) in DEFAULTS {
            let is_made = key == "auth.token" && config.token.is_some();
            match self.last(key) {
                Some(given) => push_setting(members, key, (&given.value, said(given.source))),
                None if is_made => push_setting(members, key, ("set", "disk")),
                None => push_setting(members, key, (default, "default")),
            }
        }
        let mut others: Vec<&Given> = Vec::new();
        for given in self.given.iter().rev() {
            let is_known = DEFAULTS.iter().any(|(key, _)| *key == given.key);
            if !is_known && !others.iter().any(|other| other.key == given.key) {
                others.push(given);
            }
        }
        for given in others.into_iter().rev() {
            push_setting(members, &given.key, (&given.value, said(given.source)));
        }
    }

    fn machine(&self, members: &mut Members<'_>) {
        let Sources {
            xen, heap, pool, ..
        } = &self.sources;
        let ((major, minor), heap) = (xen.version(), heap());
        members.text("xen", &format!("{major}.{minor}"));
        members.number("heap_bytes", heap.total_bytes);
        members.number("heap_used_bytes", heap.used_bytes);
        members.number("shared_pages_free", u64::from(pool.free()));
        members.number("log_lines_dropped", logger::dropped());
        members.number("syslog_lines_sent", syslog::sent());
        members.number("syslog_lines_lost", syslog::lost());
    }
}

impl StatusSource for Standing {
    fn append(&self, members: &mut Members<'_>, config: &Config) {
        members.inner("machine", |machine| self.machine(machine));
        if let Some(vif) = &self.sources.vif {
            members.inner("vif", |members| push_vif(members, &vif.borrow()));
        }
        if let Some(vbd) = &self.sources.vbd {
            members.inner("vbd", |members| push_vbd(members, &vbd.borrow()));
        }
        members.inner("settings", |settings| self.settings(settings, config));
    }
}

fn said(source: Source) -> &'static str {
    match source {
        Source::CommandLine => "command line",
        Source::VmData => "vm-data",
    }
}

fn push_setting(members: &mut Members<'_>, key: &str, (value, source): (&str, &str)) {
    members.inner(key, |setting| {
        setting.text("value", value);
        setting.text("source", source);
    });
}

fn push_vif(members: &mut Members<'_>, vif: &Netfront) {
    members.flag("connected", vif.phase() == Phase::Connected);
    if let Some(link) = vif.link() {
        let [a, b, c, d, e, f] = link.mac;
        members.text(
            "mac",
            &format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"),
        );
        members.number("mtu_bytes", link.mtu_bytes.into());
    }
    members.number("connections", vif.connections().into());
}

fn push_vbd(members: &mut Members<'_>, vbd: &Blkfront) {
    members.flag("connected", vbd.phase() == Phase::Connected);
    if let Some(disk) = vbd.info() {
        members.number("bytes", disk.sectors.saturating_mul(512));
        members.number("sector_bytes", disk.sector_bytes.into());
        members.number("physical_sector_bytes", disk.physical_sector_bytes.into());
        members.flag("read_only", disk.read_only);
        members.flag("flush", disk.flush);
        members.flag("barrier", disk.barrier);
        members.flag("discard", disk.discard);
    }
    members.number("connections", vbd.connections().into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// What can be written as it is told is what holds where nobody has set it.
    #[test]
    fn defaults_are_those_of_the_settings() {
        let shown = |settings: &Settings| {
            let mut settings = settings.clone();
            settings.sources.clear();
            format!("{settings:?}")
        };
        let mut settable = 0;
        for (key, default) in DEFAULTS {
            let mut settings = Settings::default();
            let mut warnings: Vec<String> = Vec::new();
            let mut warn = |warning| warnings.push(warning);
            settings.set(key, default, Source::CommandLine, &mut warn);
            let is_sentence = default.contains(' ') || key == "auth.read-token";
            if !is_sentence && key != "disk.unit" {
                assert_eq!(warnings, [""; 0], "{key}={default}");
                assert_eq!(shown(&settings), shown(&Settings::default()), "{key}");
                settable += 1;
            }
            assert!(
                !warnings.iter().any(|told| told.contains("no such key")),
                "{key}"
            );
        }
        assert_eq!(settable, 12);
    }
}
