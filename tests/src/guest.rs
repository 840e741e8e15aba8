//! One appliance in the bed.

use crate::bed::Bed;
use crate::http::{Answer, Client};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for an appliance to serve.
const READY_TIMEOUT: Duration = Duration::from_secs(90);
/// The smallest memory everything is promised for, in MiB.
pub const MEMORY_MIB: u32 = 16;
/// The disk most tests use.
pub const DISK_BYTES: u64 = 64 << 20;
/// Where most guests are.
pub const ADDRESS: &str = "ip=10.0.2.50/24 gw=10.0.2.2 auth=open metrics=open";

/// An appliance; destroyed when dropped.
#[derive(Debug)]
pub struct Guest {
    bed: Bed,
    name: String,
    http: String,
}

/// How to create one.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// MiB.
    pub memory: u32,
    /// `disk=…` words of the bed's `vm create`.
    pub disks: Vec<String>,
    /// Network devices.
    pub vifs: u32,
    /// Whether it waits to be unpaused (real Xen only).
    pub paused: bool,
    /// The image, where it lies in the bed.
    pub kernel: String,
    /// The kernel's command line.
    pub command_line: String,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            memory: MEMORY_MIB,
            disks: Vec::new(),
            vifs: 1,
            paused: false,
            kernel: "/payload/lampion".into(),
            command_line: ADDRESS.into(),
        }
    }
}

impl Recipe {
    /// The usual guest on one disk.
    pub fn on_disk(path: &str) -> Recipe {
        Recipe {
            disks: vec![format!("disk={path},vdev=xvda")],
            ..Recipe::default()
        }
    }
}

impl Guest {
    /// Creates a guest and does not wait for it.
    ///
    /// # Panics
    /// When it cannot be created.
    pub fn create(bed: &Bed, name: &str, recipe: &Recipe) -> Guest {
        bed.try_run(&format!("vm destroy {name}"));
        let Recipe {
            memory,
            disks,
            vifs,
            paused,
            kernel,
            command_line,
        } = recipe;
        let disks = disks.join(" ");
        let paused = if *paused { "paused" } else { "" };
        bed.run(&format!(
            "vm create {name} memory={memory} vifs={vifs} kernel={kernel} {disks} {paused} \
             -- {command_line}"
        ));
        Guest {
            bed: bed.clone(),
            name: name.into(),
            http: bed.http.clone(),
        }
    }

    /// Creates a guest that serves reads and writes.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn serving(bed: &Bed, name: &str, recipe: &Recipe) -> Guest {
        let guest = Guest::create(bed, name, recipe);
        guest.wait_for("/readyz?for=write", 200);
        guest
    }

    /// Where its HTTP port is.
    pub fn address(&self) -> &str {
        &self.http
    }

    /// Where its port for TLS is.
    pub fn secure_address(&self) -> &str {
        &self.bed.https
    }

    /// Where its admin port is.
    pub fn admin_address(&self) -> &str {
        &self.bed.admin
    }

    /// A fresh connection.
    ///
    /// # Panics
    /// When there is none to be had.
    pub fn client(&self) -> Client {
        Client::connect(&self.http).expect("the forwarded port is open")
    }

    /// One request on a connection of its own.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn request(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        let answer = self.client().request(method, target, body);
        answer.unwrap_or_else(|error| {
            panic!("{method} {target}: {error}\nconsole:\n{}", self.console())
        })
    }

    /// One request on its admin port.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask_admin(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        let client = Client::connect(&self.bed.admin);
        let answer = client.and_then(|mut client| client.request(method, target, body));
        answer.unwrap_or_else(|error| {
            panic!("{method} {target}: {error}\nconsole:\n{}", self.console())
        })
    }

    /// Asks for `target` until the answer is `status`.
    ///
    /// # Panics
    /// When that does not happen in time; shows the console.
    pub fn wait_for(&self, target: &str, status: u16) -> Answer {
        let begin = Instant::now();
        let mut last = String::new();
        while begin.elapsed() < READY_TIMEOUT {
            // The forwarder accepts before the guest does, so each try has its own connection.
            let answer = Client::connect(&self.http).and_then(|mut client| {
                client.set_timeout(Duration::from_secs(5))?;
                client.request("GET", target, b"")
            });
            match answer {
                Ok(answer) if answer.status == status => return answer,
                Ok(answer) => last = format!("{} {}", answer.status, answer.text()),
                Err(error) => last = error.to_string(),
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!(
            "{target} did not answer {status} (last: {last})\nconsole:\n{}\n{}",
            self.console(),
            self.circumstances()
        );
    }

    /// What its hypervisor says of it: for whoever reads that it does not answer.
    #[must_use]
    pub fn circumstances(&self) -> String {
        if !self.bed.is_xen {
            return self.state();
        }
        // Ports, domains with their pending bytes, registers; the second list shows who ran.
        let keys = ["e", "q", "d"].map(|key| format!("xl debug-keys {key}; "));
        let keys = keys.concat();
        let ask = format!("xl vcpu-list; {keys} sleep 1; xl vcpu-list; xl dmesg | tail -n 200");
        self.bed.try_run(&ask).text
    }

    /// The console's log.
    pub fn console(&self) -> String {
        self.bed.try_run(&format!("vm console {}", self.name)).text
    }

    /// Waits until the console has said `text`.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_for_console(&self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            let console = self.console();
            if console.contains(text) {
                return console;
            }
            assert!(
                begin.elapsed() < READY_TIMEOUT,
                "the console never said `{text}`:\n{console}"
            );
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// Waits until the console has seen the image begin `count` times.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_for_boot(&self, count: usize) {
        let begin = Instant::now();
        let beginning = |line: &&str| line.contains("boot: ") && !line.starts_with("early: ");
        loop {
            let console = self.console();
            if console.lines().filter(beginning).count() >= count {
                return;
            }
            assert!(
                begin.elapsed() < READY_TIMEOUT,
                "boot {count} never came:\n{console}"
            );
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Lets one that was created paused begin.
    ///
    /// # Panics
    /// When it cannot.
    pub fn unpause(&self) {
        self.bed.run(&format!("vm unpause {}", self.name));
    }

    /// Types a line on its console.
    ///
    /// # Panics
    /// When it has none.
    pub fn type_line(&self, line: &str) {
        self.bed.run(&format!("vm input {} {line}", self.name));
    }

    /// `running` or `gone …`, as the bed says.
    pub fn state(&self) -> String {
        self.bed.try_run(&format!("vm state {}", self.name)).text
    }

    /// Kills it: `xl destroy`, or SIGKILL of its QEMU.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&self) {
        self.bed.run(&format!("vm destroy {}", self.name));
    }

    /// Kills it and is done with it.
    pub fn destroy(self) {
        self.kill();
    }

    /// Asks for an orderly end and waits for it.
    ///
    /// # Panics
    /// When it is not gone after `seconds`.
    pub fn shut_down(&self, seconds: u32) {
        self.bed
            .run(&format!("vm shutdown {} {seconds}", self.name));
    }

    /// Asks for a restart.
    ///
    /// # Panics
    /// When that cannot be asked for.
    pub fn reboot(&self) {
        self.bed.run(&format!("vm reboot {}", self.name));
    }

    /// Makes its first disk, the file at `path`, so long while it runs.
    pub fn grow_disk(&self, path: &str, len_bytes: u64) {
        let name = &self.name;
        self.bed.run(&format!("vm grow {name} {path} {len_bytes}"));
    }

    /// The value of a metric without labels.
    ///
    /// # Panics
    /// When there is no such metric.
    pub fn metric(&self, name: &str) -> u64 {
        self.request("GET", "/metrics", b"").metric(name)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // A second panic would hide the first one.
        let _ = self.bed.ask(&format!("vm destroy {}", self.name));
    }
}

/// A blank disk in the bed.
pub fn blank_disk(bed: &Bed, name: &str, len_bytes: u64) -> String {
    let path = format!("/tmp/{name}.img");
    bed.run(&format!("rm -f {path}; vm disk {path} {len_bytes}"));
    path
}
