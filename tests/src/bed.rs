//! The machine that guests run in, reached through its agent.

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for one command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);

/// A running bed.
#[derive(Clone, Debug)]
pub struct Bed {
    control: String,
    /// Address of the first guest's HTTP port.
    pub http: String,
    /// Address of the first guest's port for TLS.
    pub https: String,
    /// Address of the first guest's admin port.
    pub admin: String,
    /// Address of the second guest's HTTP port.
    pub http2: String,
    /// Whether this is real Xen (with a dom0 and `xl`) or QEMU's emulation.
    pub is_xen: bool,
}

/// What a command printed, and its exit code.
#[derive(Clone, Debug)]
pub struct Output {
    /// Standard output and standard error.
    pub text: String,
    /// Exit code.
    pub code: i32,
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: this test needs a bed, run it by `cargo xtask test`")
    })
}

impl Bed {
    /// The bed of this test run.
    ///
    /// # Panics
    /// Outside of `cargo xtask test`.
    pub fn from_environment() -> Bed {
        Bed {
            control: variable("LAMPION_BED_CONTROL"),
            http: variable("LAMPION_BED_HTTP"),
            https: variable("LAMPION_BED_HTTPS"),
            admin: variable("LAMPION_BED_ADMIN"),
            http2: variable("LAMPION_BED_HTTP2"),
            is_xen: variable("LAMPION_BED").starts_with("xen"),
        }
    }

    /// Runs one shell command inside, whatever its exit code.
    ///
    /// # Panics
    /// When the agent does not answer.
    pub fn try_run(&self, command: &str) -> Output {
        self.ask(command)
            .unwrap_or_else(|error| panic!("`{command}`: {error}"))
    }

    /// As [`Bed::try_run`], for places that must not panic.
    ///
    /// # Errors
    /// The agent does not answer.
    pub fn ask(&self, command: &str) -> io::Result<Output> {
        assert!(!command.contains('\n'), "one command is one line");
        let mut agent = TcpStream::connect(&self.control)?;
        agent.set_read_timeout(Some(COMMAND_TIMEOUT))?;
        writeln!(agent, "{command}")?;
        let mut bytes = Vec::new();
        agent.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let answer = text.rsplit_once("exit:").and_then(|(text, code)| {
            Some(Output {
                text: text.trim_end_matches('\n').to_owned(),
                code: code.trim().parse().ok()?,
            })
        });
        answer.ok_or_else(|| io::Error::other(format!("no exit code from the agent: {text}")))
    }

    /// Runs one shell command inside; what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, command: &str) -> String {
        let Output { text, code } = self.try_run(command);
        assert_eq!(code, 0, "`{command}` failed in the bed: {text}");
        text
    }
}
