//! What an outer machine consists of, and QEMU's command line for it.

use std::path::PathBuf;

use serde_json::json;

/// The outer machine's CPU for functional tests. Xen's PV dom0 does not live
/// with SMAP here, so features are added one by one.
pub(crate) const CPU: &str = "qemu64,+svm,+npt,+rdrand,+rdseed";

/// A disk of the machine, found inside as `/disk/SERIAL`.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// A raw file.
    pub(crate) path: PathBuf,
    /// Its name inside.
    pub(crate) serial: String,
    /// Whether the machine may only read it.
    pub(crate) read_only: bool,
    /// A file in which QEMU records every write (its `blklogwrites`).
    pub(crate) log: Option<PathBuf>,
}

/// The kernel and what goes with it: the part that differs by hypervisor.
#[derive(Debug)]
pub(crate) struct Software {
    pub(crate) kernel: PathBuf,
    pub(crate) append: String,
    /// QEMU's `-initrd`, which takes several files for a multiboot kernel.
    pub(crate) initrd: String,
    /// What tells these files from others: their packages and hashes.
    pub(crate) identity: String,
}

/// What kind of machine.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) cpu: String,
    pub(crate) cpu_count: u32,
    pub(crate) memory_mib: u32,
    /// Count instructions instead of time, so that runs repeat.
    pub(crate) icount: bool,
    pub(crate) disks: Vec<Disk>,
    /// The host's ports for doors of these names; free ones are taken for the others.
    pub(crate) ports: Vec<(&'static str, u16)>,
}

/// All that a saved state depends on; ports and logs do not belong here.
pub(crate) fn arguments(software: &Software, options: &Options) -> Vec<String> {
    let accel = if options.icount {
        "tcg,thread=single"
    } else {
        "tcg,thread=multi"
    };
    let mut words: Vec<String> = [
        "-nodefaults -no-user-config -display none -no-reboot",
        "-chardev stdio,id=monitor,signal=off -mon chardev=monitor,mode=control",
    ]
    .iter()
    .flat_map(|text| text.split(' '))
    .map(str::to_owned)
    .collect();
    let memory = options.memory_mib.to_string();
    let cpu_count = options.cpu_count.to_string();
    let kernel = software.kernel.display().to_string();
    let pairs = [
        ("-accel", accel),
        ("-cpu", &options.cpu),
        ("-smp", &cpu_count),
        ("-m", &memory),
        ("-kernel", &kernel),
        ("-append", &software.append),
        ("-initrd", &software.initrd),
    ];
    words.extend(
        pairs
            .iter()
            .flat_map(|(key, value)| [(*key).to_owned(), (*value).to_owned()]),
    );
    if options.icount {
        let count = "-icount shift=0,sleep=off -rtc base=2026-01-01T00:00:00,clock=vm";
        words.extend(count.split(' ').map(str::to_owned));
    }
    words.extend(options.disks.iter().flat_map(disk));
    words
}

fn disk(disk: &Disk) -> Vec<String> {
    let Disk {
        path,
        serial,
        read_only,
        log,
    } = disk;
    let node = |value: serde_json::Value| ["-blockdev".to_owned(), value.to_string()];
    let file = json!({ "driver": "file", "filename": path, "read-only": read_only });
    let raw = json!({ "driver": "raw", "file": file, "read-only": read_only });
    let mut words = Vec::new();
    let top = match log {
        None => {
            let mut raw = raw;
            raw["node-name"] = json!(serial);
            raw
        }
        Some(log) => json!({
            "driver": "blklogwrites",
            "node-name": serial,
            "file": raw,
            "log": { "driver": "raw", "file": { "driver": "file", "filename": log } },
        }),
    };
    words.extend(node(top));
    let device = format!("virtio-blk-pci,drive={serial},serial={serial}");
    words.extend(["-device".to_owned(), device]);
    words
}
