//! The examples of a document, run as they stand, and what they print.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

const TOKEN: &str = "0123456789abcdef";
/// What stands for anything in what is printed.
const ANYTHING: char = '…';
/// What is printed between two commands.
const BETWEEN: char = '\x1e';

/// How long all of them may take, in seconds.
const SHELL_TIMEOUT_S: &str = "300";

/// A command, and what it prints.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    command: String,
    prints: String,
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn what_the_users_document_shows_is_what_comes() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "examples", DISK_BYTES);
    let recipe = Recipe {
        command_line: format!("ip=10.0.2.50/24 gw=10.0.2.2 auth.token={TOKEN}"),
        ..Recipe::on_disk(&disk)
    };
    let guest = Guest::serving(&bed, "examples", &recipe);
    let examples = examples(include_str!("../../docs/http.md"));
    assert!(examples.len() > 25, "{}", examples.len());
    let printed = run(&guest, &examples);
    let mut wrong = Vec::new();
    for (example, printed) in examples.iter().zip(&printed) {
        if !is_like(printed, &example.prints) {
            let Example { command, prints } = example;
            wrong.push(format!("$ {command}\n{printed}\n  instead of\n{prints}"));
        }
    }
    assert_eq!(
        printed.len(),
        examples.len(),
        "all of them end: {printed:?}"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The commands in the blocks that are called `console`.
fn examples(document: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let (mut is_inside, mut input_ends) = (false, false);
    for line in document.lines() {
        match (is_inside, line.strip_prefix("$ ")) {
            (false, _) => is_inside = line == "```console",
            (true, _) if line == "```" => is_inside = false,
            (true, Some(command)) => {
                // What follows up to `END` is what it reads.
                input_ends = !command.contains("<<'END'");
                examples.push(Example {
                    command: command.into(),
                    prints: String::new(),
                });
            }
            (true, None) => {
                let last = examples.last_mut().expect("a block begins with a command");
                let text = match input_ends {
                    true => &mut last.prints,
                    false => &mut last.command,
                };
                *text += if input_ends && text.is_empty() {
                    ""
                } else {
                    "\n"
                };
                *text += line;
                input_ends |= line == "END";
            }
        }
    }
    examples
}

/// What each prints, one after the other in one shell, in a directory of their own.
fn run(guest: &Guest, examples: &[Example]) -> Vec<String> {
    let directory = Directory::new();
    let mut script = String::new();
    for example in examples {
        script += &format!("{}\nprintf '\\n{BETWEEN}'\n", example.command);
    }
    let path = std::env::var("PATH").expect("a search path");
    let clients = std::env::var("LAMPION_CLIENTS").expect("set by `cargo xtask test`");
    // One that waits for what never comes is a failure, and not a test without an end.
    let mut shell = Command::new("timeout")
        .args([SHELL_TIMEOUT_S, "sh"])
        .current_dir(&directory.0)
        .env("PATH", format!("{clients}:{path}"))
        .env("L", format!("http://{}", guest.address()))
        .env("A", format!("http://{}", guest.admin_address()))
        .env("T", format!("Authorization: Bearer {TOKEN}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut input = shell.stdin.take().expect("it is piped");
    input.write_all(script.as_bytes()).expect("the shell reads");
    drop(input);
    let output = shell.wait_with_output().expect("the shell ends");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let text = text.replace('\r', "");
    let mut parts: Vec<String> = text.split(BETWEEN).map(str::to_owned).collect();
    let rest = parts.pop();
    let status = output.status;
    assert_eq!(
        rest.as_deref(),
        Some(""),
        "behind the last one that ended: {status}"
    );
    parts
}

/// Whether a text is what was expected, line ends at its end aside.
fn is_like(text: &str, expected: &str) -> bool {
    let mut rest = text.trim_end_matches('\n');
    let expected = expected.trim_end_matches('\n');
    let mut parts = expected.split(ANYTHING);
    let Some(behind) = rest.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    rest = behind;
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A directory that is removed with its files.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let name = format!("lampion-examples-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a temporary directory");
        Directory(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all::<&Path>(&self.0);
    }
}

#[test]
fn examples_are_read_and_compared() {
    let document =
        "x\n```sh\n$ no\n```\n```console\n$ a\n1\n\n$ cat <<'END'\nin\nEND\nout\n```\n$ no\n";
    let example = |command: &str, prints: &str| Example {
        command: command.into(),
        prints: prints.into(),
    };
    let expected = [example("a", "1\n"), example("cat <<'END'\nin\nEND", "out")];
    assert_eq!(examples(document), expected);
    for (text, expected, is_it) in [
        ("a\n", "a", true),
        ("a", "b", false),
        ("", "", true),
        ("x", "", false),
        ("abcabd", "a…bd", true),
        ("abc", "a…d", false),
        ("abc", "…", true),
        ("a1b2c", "a…b…c", true),
        ("a1c2b", "a…b…c", false),
    ] {
        assert_eq!(is_like(text, expected), is_it, "{text} {expected}");
    }
}
