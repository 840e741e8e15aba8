//! A redis that makes every write durable, counted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::bed;
use crate::bed::command;
use crate::bed::counter::{Counter, collected};
use crate::bed::tree::Recipe;

const RECIPE: Recipe = Recipe {
    name: "redis",
    purpose: "redis, to compare with",
    suites: &["bookworm"],
    packages: &["redis-server"],
};

/// How long it may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A server that runs.
pub(super) struct Redis {
    server: Option<Child>,
    socket: PathBuf,
    log: PathBuf,
}

impl Redis {
    /// Starts one whose files are in `place`; it is fetched first if it is not there.
    pub(super) fn begin(counter: &Counter, place: &Path) -> Result<Redis> {
        let (socket, log) = (place.join("socket"), place.join("log"));
        let mut server = bed::fetched(&RECIPE)?.program("usr/bin/redis-server");
        server.args(["--port", "0", "--save", "", "--appendonly", "yes"]);
        server.args([
            "--appendfsync",
            "always",
            "--auto-aof-rewrite-percentage",
            "0",
        ]);
        server.args(["--enable-debug-command", "yes", "--daemonize", "no"]);
        server.arg("--unixsocket").arg(&socket);
        server.arg("--dir").arg(place);
        let file = File::create(&log)?;
        let mut counted = counter.command(&server, None);
        let counted = counted.stdin(Stdio::null()).stdout(file.try_clone()?);
        let server = counted
            .stderr(file)
            .spawn()
            .context("valgrind does not start")?;
        let redis = Redis {
            server: Some(server),
            socket,
            log,
        };
        redis.wait_until("it listens", |redis| redis.socket.exists())?;
        Ok(redis)
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits until it has ended, as its client told it to; what it executed.
    pub(super) fn end(mut self) -> Result<u64> {
        let mut server = self.server.take().context("it runs")?;
        let begin = Instant::now();
        while server.try_wait()?.is_none() {
            if begin.elapsed() > PATIENCE {
                server.kill()?;
                server.wait()?;
                bail!("redis does not end\n{}", command::tail(&self.log));
            }
            thread::sleep(PAUSE);
        }
        collected(&fs::read_to_string(&self.log)?)
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Redis) -> bool) -> Result<()> {
        let begin = Instant::now();
        while !is_so(self) {
            ensure!(
                begin.elapsed() < PATIENCE,
                "of redis it is waited in vain that {what}\n{}",
                command::tail(&self.log)
            );
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Redis {
    /// Where something went wrong it still runs.
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
