//! What the toolstack gave this domain: settings, network devices, disks.

use crate::config::{DiskChoice, disk_name, virtual_device};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use xen::xenstore::{Xenstore, XsError};

/// Most nodes under `vm-data/` that are read.
const SETTINGS_MAX: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// `vm-data/` in order: key and value; the key with its dots.
    pub(crate) settings: Vec<(String, String)>,
    /// Our domain's number.
    pub(crate) domid: Option<u32>,
    /// Numbers under `device/vif/`, ascending.
    pub(crate) vifs: Vec<u32>,
    /// Numbers under `device/vbd/`, ascending.
    pub(crate) vbds: Vec<u32>,
}

/// Reads it all.
pub(crate) async fn discover(xenstore: Xenstore) -> Found {
    let mut found = Found::default();
    for key in children(&xenstore, "vm-data")
        .await
        .into_iter()
        .take(SETTINGS_MAX)
    {
        match xenstore.read_text(&format!("vm-data/{key}")).await {
            Ok(value) => found.settings.push((with_dots(&key), value)),
            Err(error) => log::warn!("config: vm-data/{key} cannot be read: {error}"),
        }
    }
    found.domid = xenstore
        .read_text("domid")
        .await
        .ok()
        .and_then(|text| text.parse().ok());
    found.vifs = numbers(children(&xenstore, "device/vif").await);
    found.vbds = numbers(children(&xenstore, "device/vbd").await);
    found
}

/// A key as the command line has it: a name in xenstore has no dots (Xen 4.17,
/// `docs/misc/xenstore.txt`), so each is an underscore there. QEMU's emulation takes dots; what
/// has them is as it is.
fn with_dots(node: &str) -> String {
    match node.contains('.') {
        true => node.into(),
        false => node.replace('_', "."),
    }
}

async fn children(xenstore: &Xenstore, path: &str) -> Vec<String> {
    match xenstore.directory(path).await {
        Ok(names) => names,
        Err(XsError::NotFound) => Vec::new(),
        Err(error) => {
            log::warn!("xenstore: {path} cannot be listed: {error}");
            Vec::new()
        }
    }
}

fn numbers(names: Vec<String>) -> Vec<u32> {
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// Which of the disks to use: `Ok(None)` for none on purpose or by lack.
///
/// # Errors
/// A sentence when the one asked for is not there.
pub(crate) fn choose_disk(choice: &DiskChoice, vbds: &[u32]) -> Result<Option<u32>, String> {
    match choice {
        DiskChoice::None => Ok(None),
        DiskChoice::First => {
            if let [first, second, ..] = vbds {
                log::info!(
                    "disk: using {}; {} and later ones are left alone (disk=NAME chooses)",
                    disk_name(*first),
                    disk_name(*second)
                );
            }
            Ok(vbds.first().copied())
        }
        DiskChoice::Named(name) => {
            let wanted = virtual_device(name).filter(|number| vbds.contains(number));
            wanted.map(Some).ok_or_else(|| {
                let names: Vec<String> = vbds.iter().map(|number| disk_name(*number)).collect();
                format!(
                    "disk={name} is not attached (attached: {}); attach it in xl.cfg or write \
                     another disk=",
                    if names.is_empty() {
                        String::from("none")
                    } else {
                        names.join(", ")
                    }
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DiskChoice, choose_disk};

    #[test]
    fn the_first_disk_or_the_named_one_or_none() {
        let both = [51712, 51728];
        assert_eq!(choose_disk(&DiskChoice::First, &both), Ok(Some(51712)));
        assert_eq!(choose_disk(&DiskChoice::First, &[]), Ok(None));
        assert_eq!(choose_disk(&DiskChoice::None, &both), Ok(None));
        assert_eq!(
            choose_disk(&DiskChoice::Named("xvdb".into()), &both),
            Ok(Some(51728))
        );
        let refused = choose_disk(&DiskChoice::Named("xvdc".into()), &both).unwrap_err();
        assert!(refused.contains("xvda, xvdb"), "{refused}");
    }
}
