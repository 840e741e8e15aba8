//! Runs other programs, and says what they said when they fail.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How many lines of a log a failure shows.
const TAIL_LINES: usize = 25;

/// Whether `program` is on the PATH.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Runs it with its output added to `log`; a failure shows the log's tail.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::options().create(true).append(true).open(log)?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    let status = command.status().with_context(|| not_started(command))?;
    if !status.success() {
        bail!("{} failed ({status})\n{}", name(command), tail(log));
    }
    Ok(())
}

/// Runs it and returns what it printed, which must be text.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&output_bytes(command)?).into_owned())
}

/// Runs it and returns what it printed.
pub(crate) fn output_bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| not_started(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({}): {}",
            name(command),
            output.status,
            said.trim()
        );
    }
    Ok(output.stdout)
}

/// Runs it with its errors on the terminal, and returns what it printed.
pub(crate) fn output_shown(command: &mut Command) -> Result<String> {
    let command = command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().with_context(|| not_started(command))?;
    if !output.status.success() {
        bail!("{} failed ({})", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs it with its output on the terminal.
pub(crate) fn visible(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| not_started(command))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// The last lines of a log, under its name.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    let body: String = last
        .iter()
        .map(|line| format!("  | {}\n", line.trim_end()))
        .collect();
    format!("{} ends with:\n{body}", log.display())
}

/// The command line, for humans.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![name(command)];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn not_started(command: &Command) -> String {
    format!("{} could not be started", name(command))
}
