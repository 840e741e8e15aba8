//! Programs that people reach a server with, out of Debian's packages.
//!
//! Each is there as a script that runs it by the tree's own loader.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::tree::Recipe;

const RECIPE: Recipe = Recipe {
    name: "http-clients",
    purpose: "curl, openssl and slowhttptest",
    suites: &["bookworm"],
    packages: &["curl", "openssl", "slowhttptest"],
};

/// Where they are in the tree.
const PROGRAMS: [(&str, &str); 3] = [
    ("curl", "usr/bin/curl"),
    ("openssl", "usr/bin/openssl"),
    ("slowhttptest", "usr/bin/slowhttptest"),
];

/// The directory with the scripts; fetches what is not there.
pub(crate) fn directory() -> Result<PathBuf> {
    let tree = super::fetched(&RECIPE)?;
    let directory = tree.path("scripts");
    fs::create_dir_all(&directory)?;
    for (name, path) in PROGRAMS {
        let script = script(&tree.program(path))?;
        // Two suites may do so at a time.
        let part = directory.join(format!(".{name}-{}", std::process::id()));
        fs::write(&part, script)?;
        fs::set_permissions(&part, fs::Permissions::from_mode(0o755))?;
        fs::rename(&part, directory.join(name))?;
    }
    Ok(directory)
}

fn script(program: &Command) -> Result<String> {
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let quoted = words.map(|word| {
        let word = word.to_str().context("a path that is no text")?;
        Ok(format!("'{}'", word.replace('\'', "'\\''")))
    });
    let quoted = quoted.collect::<Result<Vec<_>>>()?.join(" ");
    Ok(format!("#!/bin/sh\nexec {quoted} \"$@\"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_script_are_quoted() {
        let mut program = Command::new("/a b/ld.so");
        program.arg("it's");
        let expected = "#!/bin/sh\nexec '/a b/ld.so' 'it'\\''s' \"$@\"\n";
        assert_eq!(script(&program).expect("text"), expected);
    }
}
