//! The bed: machines with real Xen and with QEMU's Xen emulation.
//!
//! Everything lives under `target/bed`: root trees unpacked from Debian
//! packages, initramfs images, saved states of booted machines, and one
//! directory for each running bed. Nothing is installed and no root is
//! needed. What is prepared once is prepared under a lock; running beds do
//! not disturb each other.

pub(crate) mod agent;
mod answer;
mod apt;
pub(crate) mod clients;
pub(crate) mod command;
pub(crate) mod counter;
mod cpio;
pub(crate) mod doors;
pub(crate) mod headers;
pub(crate) mod hostile;
pub(crate) mod image;
pub(crate) mod initramfs;
pub(crate) mod linux_guest;
pub(crate) mod machine;
mod modules;
pub(crate) mod outer;
mod payload;
mod qmp;
mod snapshot;
pub(crate) mod tree;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::hosts::{self, Hypervisor};
use crate::progress::Progress;
use agent::Agent;
use anyhow::{Context, Result, bail};
use doors::Forward;
use machine::{Machine, Start};
use outer::{Disk, Options, Software};
use tree::{Recipe, Tree};

/// How long another process may hold the lock: it may be downloading.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// What a bed is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) hypervisor: Hypervisor,
    /// The outer machine's CPU model.
    pub(crate) cpu: String,
    /// How many CPUs it has; dom0 and each guest have one.
    pub(crate) cpu_count: u32,
    /// Count instructions instead of time.
    pub(crate) icount: bool,
    /// Disks beside the payload.
    pub(crate) disks: Vec<Disk>,
    /// Files for `/payload`, by name.
    pub(crate) payload: Vec<(String, PathBuf)>,
    /// The host's ports for doors of these names; free ones are taken for the others.
    pub(crate) ports: Vec<(&'static str, u16)>,
}

/// A running bed.
#[derive(Debug)]
pub(crate) struct Bed {
    machine: Machine,
    directory: PathBuf,
}

impl Bed {
    /// Prepares what is missing and starts a machine.
    pub(crate) fn start(request: &Request) -> Result<Self> {
        let progress = &Progress::new();
        let root = root()?;
        let directory = run_directory(&root)?;
        let lock = lock(&root, progress)?;
        let (tree, software) = hosts::prepare(request.hypervisor, &root, progress)?;
        let (drive, blocks) = payload::drive(&directory.join("payload.img"), &request.payload)?;
        let mut disks = vec![drive];
        disks.extend(request.disks.iter().cloned());
        let options = Options {
            cpu: request.cpu.clone(),
            cpu_count: request.cpu_count,
            memory_mib: 2048,
            icount: request.icount,
            disks,
            ports: request.ports.clone(),
        };
        let plan = Plan {
            tree,
            software,
            options,
            directory,
        };
        let machine = plan.start(&root, lock, &request.hypervisor.to_string(), progress)?;
        let bed = Self {
            machine,
            directory: plan.directory,
        };
        if let Err(error) = bed.hand_over(request, blocks) {
            bail!("{error:#}\n{}", bed.last_words());
        }
        Ok(bed)
    }

    /// Sets the clock inside and unpacks the payload.
    fn hand_over(&self, request: &Request, blocks: u64) -> Result<()> {
        let epoch = SystemTime::UNIX_EPOCH;
        let now = SystemTime::now().duration_since(epoch)?.as_secs();
        let now = if request.icount {
            String::new()
        } else {
            now.to_string()
        };
        let line = format!("payload {blocks} {now}");
        self.agent()
            .check(&line, Duration::from_secs(120))
            .map(drop)
    }

    /// The agent inside the machine.
    pub(crate) fn agent(&self) -> Agent {
        self.machine.agent()
    }

    /// The forwarded ports.
    pub(crate) fn forwards(&self) -> &[Forward] {
        self.machine.forwards()
    }

    /// Where its logs are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its logs' ends, for failures.
    pub(crate) fn last_words(&self) -> String {
        self.machine.last_words()
    }

    /// Whether the machine still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.machine.is_running()
    }

    /// Stops the machine and leaves its logs to be read.
    pub(crate) fn keep_logs(self) -> Result<()> {
        self.machine.stop()
    }

    /// Stops the machine and removes what only it needed.
    pub(crate) fn stop(self) -> Result<()> {
        self.machine.stop()?;
        fs::remove_dir_all(&self.directory)?;
        Ok(())
    }
}

/// A machine that is about to be started.
struct Plan {
    tree: Tree,
    software: Software,
    options: Options,
    directory: PathBuf,
}

impl Plan {
    /// From a saved state if there is one; else it is booted, and saved for
    /// the next time. The lock is held no longer than something is written.
    fn start(&self, root: &Path, lock: File, name: &str, progress: &Progress) -> Result<Machine> {
        let state = snapshot::place(root, &self.tree, &self.software, &self.options)?;
        if state.exists() {
            snapshot::touch(&state)?;
            drop(lock);
            progress.step(format!("resuming {name}"));
            return self.begin(Start::Resume(&state)).or_else(|error| {
                progress.note(&format!("{error:#}the saved state is of no use: booting"));
                let _ = fs::remove_file(&state);
                self.begin(Start::Boot)
            });
        }
        progress.step(format!("booting {name}"));
        let mut machine = self.begin(Start::Boot)?;
        progress.step("saving the booted machine for the next time");
        if let Err(error) = snapshot::save(&mut machine, &state) {
            progress.note(&format!("no saved state, so starts stay slow: {error:#}"));
        }
        drop(lock);
        Ok(machine)
    }

    fn begin(&self, start: Start<'_>) -> Result<Machine> {
        Machine::start(
            &self.tree,
            &self.software,
            &self.options,
            &self.directory,
            start,
        )
    }
}

/// The tree with a QEMU that emulates Xen, for a host whose KVM carries it.
pub(crate) fn emulation_tree(progress: &Progress) -> Result<Tree> {
    let root = root()?;
    let _lock = lock(&root, progress)?;
    Tree::open(&root, &tree::EMULATION, progress)
}

/// What a driver domain boots on this hypervisor, for the payload.
pub(crate) fn driver_domain(hypervisor: Hypervisor) -> Result<Vec<(String, PathBuf)>> {
    let progress = &Progress::new();
    let root = root()?;
    let _lock = lock(&root, progress)?;
    hosts::driver_domain(hypervisor, &root, progress)
}

/// A tree, fetched if it is not there.
pub(crate) fn fetched(recipe: &Recipe) -> Result<Tree> {
    let progress = &Progress::new();
    let root = root()?;
    let _lock = lock(&root, progress)?;
    Tree::open(&root, recipe, progress)
}

/// `target/bed` in the checkout.
fn root() -> Result<PathBuf> {
    let root = crate::checkout().join("target/bed");
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    Ok(root)
}

fn lock(root: &Path, progress: &Progress) -> Result<File> {
    let path = root.join("lock");
    let file = File::options().create(true).append(true).open(&path)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                if !told {
                    progress.step("waiting for another xtask that prepares the bed");
                    told = true;
                }
                thread::sleep(Duration::from_millis(200));
            }
            Err(TryLockError::WouldBlock) => bail!("{} is still locked", path.display()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// A fresh directory for one bed's logs; those of processes that are gone are
/// removed after a day.
fn run_directory(root: &Path) -> Result<PathBuf> {
    let runs = root.join("runs");
    fs::create_dir_all(&runs)?;
    for entry in fs::read_dir(&runs)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.split('-').next().unwrap_or_default();
        let gone = !Path::new("/proc").join(process).exists();
        let age = entry.metadata().and_then(|data| data.modified()).ok();
        let age = age.and_then(|time| time.elapsed().ok()).unwrap_or_default();
        if gone && age > Duration::from_secs(24 * 60 * 60) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    for number in 0.. {
        let directory = runs.join(format!("{}-{number}", std::process::id()));
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("some number is free")
}
