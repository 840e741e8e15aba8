//! `cargo xtask run`: Lampion on this machine, with its port in your browser.

use std::fs::{self, File};
use std::io::{Write, stdout};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bed::agent::Agent;
use crate::bed::outer::{self, Disk};
use crate::bed::{Bed, Request};
use crate::hosts::direct::{self, Guest};
use crate::hosts::{Hypervisor, kvm};
use crate::{build, interrupt};

/// What `cargo xtask run` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The hypervisor; by default the best this host offers.
    #[arg(long, value_enum, default_value = "auto")]
    on: On,
    /// The port of this host at which the site appears.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The port of this host at which its owner's port appears.
    #[arg(long, default_value_t = 8081)]
    admin_port: u16,
    /// The guest's memory in MiB.
    #[arg(long, default_value_t = 32)]
    memory: u32,
    /// The raw image that is its disk, made if there is none; target/run/disk.img by default.
    #[arg(long)]
    disk: Option<PathBuf>,
    /// Further words for the guest's command line, such as `auth=open`.
    #[arg(last = true)]
    words: Vec<String>,
}

/// Where to run.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum On {
    /// QEMU's Xen emulation if this host's KVM can, else real Xen under QEMU.
    Auto,
    /// Real Xen under QEMU.
    Xen,
    /// QEMU's Xen emulation, on this host's KVM if it can.
    Emulation,
}

/// The disk that stays.
const DISK_BYTES: u64 = 64 << 20;

/// The guest's address behind the forwarded port.
const ADDRESS: &str = "ip=10.0.2.50/24 gw=10.0.2.2";

/// How long a command inside the machine may take.
const STEP: Duration = Duration::from_secs(120);

/// How long a guest may take to power off.
pub(crate) const SHUTDOWN: Duration = Duration::from_secs(60);

/// How long after its creation a guest's token is looked for.
const TOKEN: Duration = Duration::from_secs(60);

/// Runs it until Ctrl-C, or until the guest is gone.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    interrupt::listen()?;
    let image = build::run()?;
    let ports = Ports {
        http: arguments.port,
        admin: arguments.admin_port,
    };
    port_is_free(ports.http, "--port")?;
    port_is_free(ports.admin, "--admin-port")?;
    let disk = disk(arguments.disk.as_ref())?;
    let (hypervisor, on_this_kvm) = match (arguments.on, kvm::emulates_xen()) {
        (On::Xen, _) => (Hypervisor::XEN, false),
        (On::Emulation, direct) => (Hypervisor::Emulation, direct),
        (On::Auto, true) => (Hypervisor::Emulation, true),
        (On::Auto, false) => (Hypervisor::XEN, false),
    };
    println!("{}", reason(hypervisor, on_this_kvm));
    let words = format!("{ADDRESS} {}", arguments.words.join(" "));
    let memory = arguments.memory;
    if on_this_kvm {
        let cmdline = words.trim().to_owned();
        return direct::run(&Guest {
            image: image.path,
            memory,
            cmdline,
            disk,
            ports,
        });
    }
    let bed = Bed::start(&Request {
        hypervisor,
        cpu: outer::CPU.to_owned(),
        cpu_count: 1,
        icount: false,
        disks: vec![Disk {
            path: disk,
            serial: "data".to_owned(),
            read_only: false,
            log: None,
        }],
        payload: vec![("lampion".to_owned(), image.path)],
        ports: vec![("HTTP", ports.http), ("ADMIN", ports.admin)],
    })?;
    let words = quoted(words.trim());
    let create = format!("vm create lampion memory={memory} disk=/disk/data -- {words}");
    bed.agent().check(&create, STEP)?;
    announce(ports);
    let result = watch(bed.agent(), hypervisor);
    bed.stop()?;
    result
}

/// Where it appears on this host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) admin: u16,
}

/// Tells where the site is.
pub(crate) fn announce(Ports { http, admin }: Ports) {
    println!(
        "xtask: Lampion answers at http://127.0.0.1:{http}/, its owner at \
         http://127.0.0.1:{admin}/-/admin/ - Ctrl-C shuts it down"
    );
}

/// Why there and not elsewhere.
fn reason(hypervisor: Hypervisor, on_this_kvm: bool) -> &'static str {
    match (hypervisor, on_this_kvm) {
        (_, true) => "xtask: this host's KVM has Xen support: QEMU's Xen emulation runs on it",
        (Hypervisor::Emulation, false) => {
            "xtask: this host's KVM has no Xen support: QEMU's Xen emulation runs in a Linux \
             under QEMU (slow)"
        }
        (Hypervisor::Xen(..), false) => "xtask: real Xen, emulated by QEMU (slow, but all of Xen)",
    }
}

/// The disk that stays from run to run. It is made once and never overwritten.
fn disk(asked_for: Option<&PathBuf>) -> Result<PathBuf> {
    let path = match asked_for {
        Some(path) => std::path::absolute(path)?,
        None => crate::checkout().join("target/run/disk.img"),
    };
    if !path.exists() {
        let directory = path.parent().context("a disk is a file in a directory")?;
        fs::create_dir_all(directory)
            .and_then(|()| File::create_new(&path)?.set_len(DISK_BYTES))
            .with_context(|| format!("cannot make the disk {}", path.display()))?;
    }
    Ok(path)
}

/// One word for the shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn port_is_free(port: u16, option: &str) -> Result<()> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let next = port.checked_add(1).unwrap_or(8080);
    bound
        .map(drop)
        .with_context(|| format!("port {port} is taken: try `cargo xtask run {option} {next}`"))
}

/// Shows the console until the guest is gone or Ctrl-C was pressed.
fn watch(agent: Agent, hypervisor: Hypervisor) -> Result<()> {
    let shown = Arc::new(AtomicBool::new(false));
    let any = Arc::clone(&shown);
    let console = thread::spawn(move || {
        agent.follow("vm console lampion -f", |bytes| {
            any.store(true, Ordering::Relaxed);
            show(bytes);
        })
    });
    let created = Instant::now();
    let mut token_known = hypervisor != Hypervisor::XEN;
    let mut looked = Instant::now();
    while interrupt::count() == 0 {
        thread::sleep(Duration::from_millis(100));
        if looked.elapsed() < Duration::from_secs(3) {
            continue;
        }
        looked = Instant::now();
        if !token_known && created.elapsed() < TOKEN {
            token_known = show_token(agent);
        }
        let state = match agent.check("vm state lampion", STEP) {
            Err(_) if interrupt::count() > 0 => break,
            state => state?,
        };
        if let Some(reason) = state.trim().strip_prefix("gone ") {
            // What it wrote last is still on its way.
            thread::sleep(Duration::from_secs(1));
            if !shown.load(Ordering::Relaxed) {
                println!("{}", agent.check("vm early lampion", STEP)?.trim_end());
            }
            println!("xtask: Lampion is gone: {reason}");
            return if reason == "crash" {
                Err(anyhow::anyhow!("it crashed"))
            } else {
                Ok(())
            };
        }
        if console.is_finished() {
            bail!("the machine no longer answers");
        }
    }
    shut_down(agent)
}

fn show(bytes: &[u8]) {
    let _ = stdout().write_all(bytes).and_then(|()| stdout().flush());
}

/// Reads the token where dom0 finds it; false as long as there is none.
fn show_token(agent: Agent) -> bool {
    let read = "vm xenstore read /local/domain/$(xl domid lampion)/data/lampion/token";
    match agent.run(read, STEP) {
        Ok(outcome) if outcome.status == 0 => {
            println!(
                "xtask: the token (data/lampion/token) is {}",
                outcome.output.trim()
            );
            true
        }
        _ => false,
    }
}

/// Asks the guest to power off, and waits; another Ctrl-C does not.
fn shut_down(agent: Agent) -> Result<()> {
    let seconds = SHUTDOWN.as_secs();
    println!("xtask: shutting down (at most {seconds} s; Ctrl-C again kills it)");
    let asked = thread::spawn(move || {
        // In a thread, because another Ctrl-C must be seen meanwhile.
        agent.check(&format!("vm shutdown lampion {seconds}"), SHUTDOWN + STEP)
    });
    while !asked.is_finished() {
        if interrupt::count() > 1 {
            println!("xtask: killed");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    match asked.join() {
        Ok(Ok(_)) => {
            // What it wrote last is still on its way.
            thread::sleep(Duration::from_secs(1));
            println!("xtask: Lampion has shut down");
            Ok(())
        }
        Ok(Err(error)) => Err(error.context("Lampion did not shut down and was killed")),
        Err(_) => bail!("asking it to shut down failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_one_word_for_the_shell() {
        assert_eq!(quoted("a=b c"), "'a=b c'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }

    #[test]
    fn a_taken_port_is_refused_with_the_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = port_is_free(port, "--port").unwrap_err().to_string();
        assert!(error.contains("--port"), "{error}");
    }
}
