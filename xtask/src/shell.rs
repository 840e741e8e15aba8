//! `cargo xtask bed`: a bed by hand, for looking around.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::bed::agent::Agent;
use crate::bed::doors::{CONTROL, Forward};
use crate::bed::outer::{self, Disk};
use crate::bed::{Bed, Request, hostile};
use crate::hosts::Hypervisor;
use crate::interrupt;

/// How long a command by hand may run.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// What `cargo xtask bed` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The hypervisor.
    #[arg(long, value_enum, default_value = "xen")]
    on: Hypervisor,
    /// Keeps the bed until Ctrl-C, and prints its ports.
    #[arg(long)]
    keep: bool,
    /// Sends the command to a bed that is kept, by its agent's port.
    #[arg(long, value_name = "PORT")]
    to: Option<u16>,
    /// Counts instructions instead of time.
    #[arg(long)]
    icount: bool,
    /// The outer machine's CPU model.
    #[arg(long, default_value = outer::CPU)]
    cpu: String,
    /// How many CPUs it has.
    #[arg(long, default_value_t = 1)]
    cpus: u32,
    /// Brings the hostile backend along, for `hostile`.
    #[arg(long)]
    hostile: bool,
    /// Takes a file along, as /payload/NAME.
    #[arg(long = "file", value_name = "NAME=PATH")]
    files: Vec<String>,
    /// Attaches a raw file, as /disk/SERIAL; with LOG, records its writes.
    #[arg(long = "disk", value_name = "SERIAL=PATH[,LOG]")]
    disks: Vec<String>,
    /// The shell command; `vm` alone lists its verbs.
    #[arg(last = true)]
    command: Vec<String>,
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let line = arguments.command.join(" ");
    if let Some(port) = arguments.to {
        return command(Agent::new(port), &line);
    }
    interrupt::listen()?;
    let mut bed = Bed::start(&request(arguments)?)?;
    if arguments.keep {
        describe(&bed, arguments.on);
    }
    let result = if line.is_empty() {
        Ok(())
    } else {
        command(bed.agent(), &line)
    };
    if arguments.keep {
        println!("kept until Ctrl-C");
        while bed.is_running() && interrupt::count() == 0 {
            thread::sleep(Duration::from_millis(100));
        }
    }
    bed.stop()?;
    result
}

/// Tells where its doors are.
fn describe(bed: &Bed, hypervisor: Hypervisor) {
    println!("{hypervisor}: agent on 127.0.0.1:{}", bed.agent().port());
    let doors = bed.forwards().iter();
    for forward in doors.filter(|forward| forward.name != CONTROL) {
        let Forward {
            name,
            address,
            inside,
            port,
        } = forward;
        println!("  {name}: 127.0.0.1:{port} is {address}:{inside}");
    }
    println!("  logs: {}", bed.directory().display());
}

fn request(arguments: &Arguments) -> Result<Request> {
    let mut payload = Vec::new();
    for file in &arguments.files {
        let (name, path) = file.split_once('=').context("--file wants NAME=PATH")?;
        payload.push((name.to_owned(), PathBuf::from(path)));
    }
    let image = crate::checkout().join("target/dist/lampion");
    if image.exists() && !payload.iter().any(|(name, _)| name == "lampion") {
        payload.push(("lampion".to_owned(), image));
    }
    let mut disks = Vec::new();
    for disk in &arguments.disks {
        let (serial, path) = disk.split_once('=').context("--disk wants SERIAL=PATH")?;
        let (path, log) = match path.split_once(',') {
            Some((path, log)) => (path, Some(PathBuf::from(log))),
            None => (path, None),
        };
        let (serial, path) = (serial.to_owned(), PathBuf::from(path));
        disks.push(Disk {
            path,
            serial,
            read_only: false,
            log,
        });
    }
    let Arguments {
        on, icount, cpu, ..
    } = arguments;
    let (hypervisor, cpu) = (*on, cpu.clone());
    if arguments.hostile {
        payload.push(hostile::file()?);
    }
    Ok(Request {
        hypervisor,
        cpu,
        cpu_count: arguments.cpus,
        icount: *icount,
        disks,
        payload,
        ports: Vec::new(),
    })
}

/// Shows a command's output as it comes.
fn command(agent: Agent, line: &str) -> Result<()> {
    let status = agent.stream(line, COMMAND_TIMEOUT, |bytes| {
        let _ = stdout().write_all(bytes).and_then(|()| stdout().flush());
    })?;
    if status != 0 {
        bail!("the command ended with status {status}");
    }
    Ok(())
}
