//! Runs shell commands inside a machine, through the agent it listens with.
//!
//! One connection is one command: a line goes in; the command's output, a
//! newline and `exit:STATUS` with another newline come back, then the
//! connection closes. Any number of commands may run at the same time.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::answer::Answer;
use crate::interrupt;

/// The agent's port inside every machine.
pub(crate) const PORT: u16 = 7000;

/// A loopback connection is there at once, or nobody listens.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An agent, by the loopback port that is forwarded to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agent {
    port: u16,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Standard output and standard error.
    pub(crate) output: String,
    /// The exit status.
    pub(crate) status: i32,
}

impl Agent {
    /// The agent behind 127.0.0.1:`port`.
    pub(crate) fn new(port: u16) -> Self {
        Self { port }
    }

    /// The loopback port.
    pub(crate) fn port(self) -> u16 {
        self.port
    }

    /// Runs a command and returns its outcome, whatever it is.
    pub(crate) fn run(self, line: &str, timeout: Duration) -> Result<Outcome> {
        let mut output = Vec::new();
        let status = self.stream(line, timeout, |bytes| output.extend_from_slice(bytes))?;
        Ok(Outcome {
            output: String::from_utf8_lossy(&output).into_owned(),
            status,
        })
    }

    /// Runs a command that must succeed and returns its output.
    pub(crate) fn check(self, line: &str, timeout: Duration) -> Result<String> {
        let outcome = self.run(line, timeout)?;
        if outcome.status != 0 {
            bail!(
                "`{line}` failed ({}): {}",
                outcome.status,
                outcome.output.trim()
            );
        }
        Ok(outcome.output)
    }

    /// Runs a command, hands out its output as it comes and returns its
    /// status. A Ctrl-C meanwhile is an error.
    pub(crate) fn stream(
        self,
        line: &str,
        timeout: Duration,
        take: impl FnMut(&[u8]),
    ) -> Result<i32> {
        let deadline = Instant::now() + timeout;
        let interrupts = interrupt::count();
        self.read_all(line, take, || {
            if interrupt::count() > interrupts {
                bail!("interrupted during `{line}`");
            }
            if Instant::now() > deadline {
                bail!("`{line}` took longer than {} s", timeout.as_secs());
            }
            Ok(())
        })
    }

    /// The same for as long as the machine runs, whatever keys are pressed.
    pub(crate) fn follow(self, line: &str, take: impl FnMut(&[u8])) -> Result<i32> {
        self.read_all(line, take, || Ok(()))
    }

    fn read_all(
        self,
        line: &str,
        mut take: impl FnMut(&[u8]),
        go_on: impl Fn() -> Result<()>,
    ) -> Result<i32> {
        ensure!(!line.contains('\n'), "a command for the agent is one line");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut connection = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
            .with_context(|| format!("no machine listens on {address}"))?;
        connection.set_read_timeout(Some(Duration::from_millis(200)))?;
        writeln!(connection, "{line}")?;
        let (mut buffer, mut answer) = ([0; 16 * 1024], Answer::default());
        let broken = || format!("the machine's agent broke off during `{line}`");
        loop {
            match connection.read(&mut buffer) {
                Ok(0) => return answer.status().with_context(broken),
                Ok(count) => answer.push(&buffer[..count], &mut take),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset => return answer.status().with_context(broken),
                    _ => return Err(error).context("reading from the machine's agent"),
                },
            }
            go_on()?;
        }
    }

    /// Waits until the agent answers.
    pub(crate) fn wait(self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.run("true", Duration::from_secs(5)) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_line() {
        let agent = Agent::new(1);
        assert!(agent.run("true\nfalse", Duration::from_secs(1)).is_err());
    }
}
