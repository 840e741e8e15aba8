//! Talks to a QEMU's monitor (QMP) over the process' own input and output.
//!
//! No socket is made: nobody else can reach the monitor, and it ends with the
//! process.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long any one command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// A monitor that has been greeted.
#[derive(Debug)]
pub(crate) struct Qmp {
    input: ChildStdin,
    messages: Receiver<Value>,
}

impl Qmp {
    /// Starts reading and leaves the greeting's negotiation mode.
    pub(crate) fn new(input: ChildStdin, output: ChildStdout) -> Result<Self> {
        let (sender, messages) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                let Ok(message) = serde_json::from_str(&line) else {
                    continue;
                };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut qmp = Self { input, messages };
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and returns its answer; events are skipped.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.input, "{request}").context("the monitor is closed")?;
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = match self.messages.recv_timeout(left) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => bail!("no answer to {command}"),
                Err(RecvTimeoutError::Disconnected) => bail!("QEMU ended during {command}"),
            };
            if let Some(answer) = answer_in(&message) {
                return answer.with_context(|| format!("{command} was refused"));
            }
        }
    }

    /// Repeats a query until `done` says so, at most `timeout` long.
    pub(crate) fn poll(
        &mut self,
        query: &str,
        timeout: Duration,
        done: impl Fn(&Value) -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while !done(&self.execute(query, json!({}))?)? {
            if Instant::now() > deadline {
                bail!("{query} did not come to an end in {} s", timeout.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// `None` for the greeting and for events.
fn answer_in(message: &Value) -> Option<Result<Value>> {
    if let Some(answer) = message.get("return") {
        return Some(Ok(answer.clone()));
    }
    let error = message.get("error")?;
    Some(Err(anyhow::anyhow!(
        "{}",
        error["desc"].as_str().unwrap_or("no reason given")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_and_events_are_no_answers() {
        assert!(answer_in(&json!({ "QMP": {} })).is_none());
        assert!(answer_in(&json!({ "event": "STOP" })).is_none());
        assert_eq!(
            answer_in(&json!({ "return": 1 })).unwrap().unwrap(),
            json!(1)
        );
        let refused = answer_in(&json!({ "error": { "desc": "no such node" } })).unwrap();
        assert_eq!(refused.unwrap_err().to_string(), "no such node");
    }
}
