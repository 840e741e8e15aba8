//! QEMU's Xen emulation on this host's own KVM, with no machine around it.
//!
//! The guest's console is QEMU's standard input and output, so that what the
//! guest prints comes straight here and `poweroff` goes straight there.

use std::io::{Read, Write, stdout};
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bed::{self, machine};
use crate::run::{Ports, SHUTDOWN, announce};
use crate::{interrupt, progress};

/// What to run.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) image: PathBuf,
    pub(crate) memory: u32,
    pub(crate) cmdline: String,
    pub(crate) disk: PathBuf,
    pub(crate) ports: Ports,
}

/// Runs it until Ctrl-C, or until it powers off.
pub(crate) fn run(guest: &Guest) -> Result<()> {
    let tree = bed::emulation_tree(&progress::Progress::new())?;
    let mut qemu = machine::qemu(&tree, &words(guest))
        .spawn()
        .context("QEMU did not start")?;
    announce(guest.ports);
    let mut console = qemu.stdout.take().context("QEMU has no output")?;
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = console.read(&mut buffer) {
            let _ = stdout()
                .write_all(&buffer[..count])
                .and_then(|()| stdout().flush());
        }
    });
    let result = watch(&mut qemu);
    let _ = qemu.kill();
    let _ = qemu.wait();
    result
}

fn watch(qemu: &mut Child) -> Result<()> {
    while interrupt::count() == 0 {
        if let Some(status) = qemu.try_wait()? {
            println!("xtask: Lampion is gone (QEMU: {status})");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    let seconds = SHUTDOWN.as_secs();
    println!("xtask: shutting down (at most {seconds} s; Ctrl-C again kills it)");
    let mut input = qemu.stdin.take().context("QEMU has no input")?;
    let _ = input.write_all(b"poweroff\n");
    let deadline = Instant::now() + SHUTDOWN;
    while qemu.try_wait()?.is_none() {
        if interrupt::count() > 1 {
            println!("xtask: killed");
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("Lampion did not shut down in {seconds} s and was killed");
        }
        thread::sleep(Duration::from_millis(50));
    }
    println!("xtask: Lampion has shut down");
    Ok(())
}

fn words(guest: &Guest) -> Vec<String> {
    let Guest {
        image,
        memory,
        cmdline,
        disk,
        ports: Ports { http, admin },
    } = guest;
    let memory = memory.to_string();
    let net = format!(
        "user,id=net,hostfwd=tcp:127.0.0.1:{http}-10.0.2.50:80,\
         hostfwd=tcp:127.0.0.1:{admin}-10.0.2.50:8081"
    );
    let disk = format!(
        "file={},format=raw,if=none,id=disk",
        disk.display().to_string().replace(',', ",,")
    );
    let image = image.display().to_string();
    let words = [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        "pc",
        "-accel",
        "kvm,xen-version=0x40011,kernel-irqchip=split",
        "-cpu",
        "host",
        "-m",
        &memory,
        "-kernel",
        &image,
        "-append",
        cmdline,
        "-chardev",
        "stdio,id=console,signal=off",
        "-device",
        "xen-console,chardev=console",
        "-netdev",
        &net,
        "-device",
        "xen-net-device,netdev=net",
        "-drive",
        &disk,
        "-device",
        "xen-disk,drive=disk,vdev=xvda",
    ];
    words.map(str::to_owned).to_vec()
}
