//! One outer machine: a QEMU process of ours and what it was given.
//!
//! It is stopped by its process handle only, and killed when dropped. All its
//! ports are forwarded from 127.0.0.1.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::agent::Agent;
use super::command;
use super::doors::{self, Forward};
use super::outer::{self, Options, Software};
use super::qmp::Qmp;
use super::tree::Tree;

/// How long the boot steps may take; other builds may run beside us.
const BOOT_TIMEOUT: Duration = Duration::from_secs(240);

/// What init prints on the serial line when all is up, and when not.
const READY: &str = "bed: ready";
const FAILED: &str = "bed: FAILED";

/// How often QEMU is started with other ports.
const PORT_TRIES: u32 = 5;

/// How a machine comes to life.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    /// From its kernel's first instruction.
    Boot,
    /// From the state another machine with the same options was saved in.
    Resume(&'a Path),
}

/// A running machine.
#[derive(Debug)]
pub(crate) struct Machine {
    child: Child,
    qmp: Qmp,
    agent: Agent,
    forwards: Vec<Forward>,
    serial: PathBuf,
    errors: PathBuf,
}

impl Machine {
    /// Starts QEMU 7.2 out of `tree`, with its logs in `directory`.
    pub(crate) fn start(
        tree: &Tree,
        software: &Software,
        options: &Options,
        directory: &Path,
        start: Start<'_>,
    ) -> Result<Self> {
        let (serial, errors) = (directory.join("serial.log"), directory.join("qemu.log"));
        fs::write(&serial, "")?;
        let mut words = outer::arguments(software, options);
        words.extend(["-serial".to_owned(), format!("file:{}", serial.display())]);
        if let Start::Resume(_) = start {
            words.extend(["-incoming".to_owned(), "defer".to_owned()]);
        }
        let mut tries = 1..=PORT_TRIES;
        let (child, qmp, forwards) = loop {
            let forwards = doors::choose(&options.ports)?;
            let mut words = words.clone();
            words.extend(doors::network(&forwards));
            match spawn(tree, &words, &errors) {
                Ok((child, qmp)) => break (child, qmp, forwards),
                Err(error) if !port_was_taken(&error) || tries.next().is_none() => {
                    return Err(error);
                }
                Err(_) => {}
            }
        };
        let control = forwards.iter().find(|door| door.name == doors::CONTROL);
        let agent = Agent::new(control.context("no door for the agent")?.port);
        let mut machine = Self {
            child,
            qmp,
            agent,
            forwards,
            serial,
            errors,
        };
        if let Err(error) = machine.come_up(start) {
            bail!("{error:#}\n{}", machine.last_words());
        }
        Ok(machine)
    }

    /// The agent inside.
    pub(crate) fn agent(&self) -> Agent {
        self.agent
    }

    /// The ports it is reached by.
    pub(crate) fn forwards(&self) -> &[Forward] {
        &self.forwards
    }

    /// Whether QEMU still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Saves its state, without its disks, into `file`. It goes on afterwards.
    pub(crate) fn save(&mut self, file: &Path) -> Result<()> {
        self.qmp.execute("stop", json!({}))?;
        let saved = self.migrate_to(file);
        self.qmp.execute("cont", json!({}))?;
        saved
    }

    /// What its logs say at the end.
    pub(crate) fn last_words(&self) -> String {
        format!(
            "{}{}",
            command::tail(&self.serial),
            command::tail(&self.errors)
        )
    }

    /// Ends it at once: what its disks were promised to have kept is flushed.
    pub(crate) fn stop(mut self) -> Result<()> {
        // Quitting closes the disk images (and the log of writes) properly.
        let _ = self.qmp.execute("quit", json!({}));
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.is_running() {
            if Instant::now() > deadline {
                bail!("QEMU did not quit and was killed");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn come_up(&mut self, start: Start<'_>) -> Result<()> {
        match start {
            Start::Boot => self.wait_until_ready()?,
            Start::Resume(file) => {
                let uri = format!("exec:cat '{}'", file.display());
                self.qmp
                    .execute("migrate-incoming", json!({ "uri": uri }))?;
                self.migrated()?;
                self.qmp.execute("cont", json!({}))?;
            }
        }
        self.agent.wait(BOOT_TIMEOUT)
    }

    fn migrate_to(&mut self, file: &Path) -> Result<()> {
        let unlimited = json!({ "max-bandwidth": 1_u64 << 40 });
        self.qmp.execute("migrate-set-parameters", unlimited)?;
        let uri = format!("exec:cat > '{}'", file.display());
        self.qmp.execute("migrate", json!({ "uri": uri }))?;
        self.migrated()
    }

    fn migrated(&mut self) -> Result<()> {
        self.qmp.poll(
            "query-migrate",
            BOOT_TIMEOUT,
            |answer| match answer["status"].as_str() {
                Some("completed") => Ok(true),
                Some("failed" | "cancelled") => bail!("the machine's state: {answer}"),
                _ => Ok(false),
            },
        )
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + BOOT_TIMEOUT;
        loop {
            let log = fs::read(&self.serial)?;
            let log = String::from_utf8_lossy(&log);
            if log.contains(READY) {
                return Ok(());
            }
            if let Some(found) = log.lines().find(|line| line.contains(FAILED)) {
                bail!("the machine did not come up: {found}");
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("QEMU ended while the machine booted ({status})");
            }
            if Instant::now() > deadline {
                bail!(
                    "the machine did not come up in {} s",
                    BOOT_TIMEOUT.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts QEMU and greets its monitor.
fn spawn(tree: &Tree, words: &[String], errors: &Path) -> Result<(Child, Qmp)> {
    let mut child = qemu(tree, words).stderr(File::create(errors)?).spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let input = input.context("QEMU has no input")?;
    let output = output.context("QEMU has no output")?;
    match Qmp::new(input, output) {
        Ok(qmp) => Ok((child, qmp)),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            bail!("QEMU did not start: {error:#}\n{}", command::tail(errors));
        }
    }
}

/// Somebody took a port between our choice and QEMU's start.
fn port_was_taken(error: &anyhow::Error) -> bool {
    error
        .to_string()
        .contains("Could not set up host forwarding")
}

/// The command that starts the tree's QEMU: in a process group of its own, so
/// that a Ctrl-C is ours to handle, and ending with us whatever happens.
pub(crate) fn qemu(tree: &Tree, words: &[String]) -> Command {
    let program = tree.program_words("usr/bin/qemu-system-x86_64");
    let mut command = if command::exists("setpriv") {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--pdeathsig", "KILL", "--"]).args(program);
        setpriv
    } else {
        let mut qemu = Command::new(&program[0]);
        qemu.args(&program[1..]);
        qemu
    };
    for directory in ["usr/share/qemu", "usr/share/seabios"] {
        command.arg("-L").arg(tree.path(directory));
    }
    command
        .args(words)
        .env("QEMU_MODULE_DIR", tree.qemu_modules())
        .process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}
