//! Shows what tests print as it comes, and keeps what the failed ones said for the verdict.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bed::command::shown;

/// How much of it a verdict repeats: the whole stands where it was printed.
const LINES_MAX: usize = 60;
const LINE_CHARS_MAX: usize = 400;
/// How long the rest of the output of tests that have ended may take.
const REST_TIMEOUT: Duration = Duration::from_secs(10);

/// What libtest prints above what failed tests said, and below their names.
const BEGIN: &str = "failures:";
const END: &str = "test result: FAILED";

/// Runs tests that print to `screen`. Their failure says what the failed ones said.
pub(crate) fn told(tests: &mut Command, screen: impl Write + Send + 'static) -> Result<()> {
    let (mut child, failures) = spawn(tests, screen)?;
    let status = child.wait()?;
    let failures = said(failures);
    ensure!(
        status.success(),
        "{} failed ({status}){failures}",
        shown(tests)
    );
    Ok(())
}

/// Starts tests that print to `screen`. The thread returns what the failed ones said.
pub(crate) fn spawn(
    tests: &mut Command,
    screen: impl Write + Send + 'static,
) -> Result<(Child, JoinHandle<String>)> {
    let not_started = format!("{} could not be started", shown(tests));
    let mut child = tests.stdout(Stdio::piped()).spawn().context(not_started)?;
    let output = child.stdout.take().context("their output is not ours")?;
    Ok((child, thread::spawn(move || copy(output, screen))))
}

/// What the failed ones of tests that have ended said. Whatever they left running may hold their
/// output open for ever: that is not waited for.
pub(crate) fn said(failures: JoinHandle<String>) -> String {
    let begin = Instant::now();
    while !failures.is_finished() && begin.elapsed() < REST_TIMEOUT {
        thread::sleep(Duration::from_millis(10));
    }
    match failures.is_finished() {
        true => failures.join().unwrap_or_default(),
        false => {
            "\n  | (something they started is still running, and holds their output)".to_owned()
        }
    }
}

/// Copies it, and returns the parts between libtest's two lines.
fn copy(output: impl Read, mut screen: impl Write) -> String {
    let (mut kept, mut left_out) = (Vec::new(), 0);
    let mut failing = false;
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output
        .read_until(b'\n', &mut line)
        .is_ok_and(|count| count > 0)
    {
        // A closed terminal is no reason to stop reading: the tests would stop, too.
        let _ = screen.write_all(&line).and_then(|()| screen.flush());
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        failing = (failing || text == BEGIN) && !text.starts_with(END);
        if failing && text != BEGIN && !text.is_empty() {
            match kept.len() < LINES_MAX {
                true => kept.push(text.chars().take(LINE_CHARS_MAX).collect::<String>()),
                false => left_out += 1,
            }
        }
        line.clear();
    }
    if left_out > 0 {
        kept.push(format!("({left_out} more lines above)"));
    }
    kept.iter().map(|line| format!("\n  | {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, copy, told};
    use std::process::Command;

    const FAILED: &str = "test a ... ok\ntest b ... FAILED\n\nfailures:\n\n\
        ---- b stdout ----\nround 3: 5 is not 4\n\n\nfailures:\n    b\n\n\
        test result: FAILED. 1 passed\n\nafter\n";

    #[test]
    fn what_failed_is_repeated_and_all_is_shown() {
        let mut screen = Vec::new();
        let kept = copy(FAILED.as_bytes(), &mut screen);
        assert_eq!(screen, FAILED.as_bytes());
        assert_eq!(
            kept,
            "\n  | ---- b stdout ----\n  | round 3: 5 is not 4\n  |     b"
        );
    }

    #[test]
    fn what_tests_leave_running_is_not_waited_for() {
        let mut tests = Command::new("sh");
        tests.args(["-c", "sleep 30 & exit 1"]);
        let error = told(&mut tests, Vec::new()).expect_err("they failed");
        assert!(error.to_string().contains("is still running"), "{error}");
    }

    #[test]
    fn what_passed_is_not_and_much_is_cut() {
        let passed = "test a ... ok\n\ntest result: ok. 1 passed\n";
        assert_eq!(copy(passed.as_bytes(), &mut Vec::new()), "");
        let lines = "line\n".repeat(LINES_MAX + 5);
        let kept = copy(format!("failures:\n{lines}").as_bytes(), &mut Vec::new());
        assert_eq!(
            kept.lines().filter(|line| line.contains("line")).count(),
            LINES_MAX + 1
        );
        assert!(kept.ends_with("(5 more lines above)"), "{kept}");
    }
}
