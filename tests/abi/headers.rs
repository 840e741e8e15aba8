//! Asks a release's headers, through the C compiler.

use super::claims::Claim;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xen_sys::abi::Mirror;

/// The headers of one release.
pub(crate) struct Headers {
    directory: PathBuf,
    scratch: Scratch,
}

impl Headers {
    /// The name is that of a scratch directory.
    pub(crate) fn new(name: &str, directory: PathBuf) -> Headers {
        let scratch = Scratch::new(name);
        Headers { directory, scratch }
    }

    /// The headers' value for each claim; none where they do not have the name.
    pub(crate) fn answers(&self, mirrors: &[Mirror], claims: &[Claim]) -> Vec<Option<i64>> {
        let scratch = &self.scratch;
        let includes = self.includes(mirrors);
        let whole = scratch.write("whole", &program(&includes, claims.iter()));
        let known = if compile(&whole, None).is_ok() {
            vec![true; claims.len()]
        } else {
            // Without any claim it compiles, so that a claim is to blame where it does not.
            let none = scratch.write("none", &program(&includes, [].iter()));
            compile(&none, None).unwrap_or_else(|said| panic!("{said}"));
            let one = |claim: &Claim| {
                let one = scratch.write("one", &program(&includes, [claim].into_iter()));
                compile(&one, None).is_ok()
            };
            claims.iter().map(one).collect()
        };
        let asked = claims.iter().zip(&known).filter(|(_, known)| **known);
        let asked = asked.map(|(claim, _)| claim);
        let known_ones = scratch.write("known", &program(&includes, asked));
        let binary = scratch.0.join("known");
        compile(&known_ones, Some(&binary)).unwrap_or_else(|said| panic!("{said}"));
        let output = Command::new(&binary).output().expect("it was just made");
        let text = String::from_utf8(output.stdout).expect("it prints numbers");
        let mut values = text
            .lines()
            .map(|line| line.parse().expect("a line is a number"));
        let mut next = || values.next().expect("a line for each claim that is known");
        let answers = known.into_iter().map(|known| known.then(&mut next));
        answers.collect()
    }

    /// By their whole paths: the host may have headers of its own.
    fn includes(&self, mirrors: &[Mirror]) -> String {
        let headers: BTreeSet<&str> = mirrors
            .iter()
            .flat_map(|mirror| mirror.headers)
            .copied()
            .collect();
        let line =
            |header: &&str| format!("#include \"{}\"\n", self.directory.join(header).display());
        headers.iter().map(line).collect()
    }
}

/// Prints the value of each claim.
fn program<'a>(includes: &str, claims: impl Iterator<Item = &'a Claim>) -> String {
    let values: String = claims
        .map(|claim| format!("    (long long)({}),\n", claim.theirs))
        .collect();
    // Without a version the headers show the interface of long ago.
    format!(
        "#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n\
         #define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__\n\
         {includes}\
         static const long long values[] = {{\n    0,\n{values}}};\n\
         int main(void)\n{{\n    \
         for (size_t i = 1; i < sizeof(values) / sizeof(values[0]); i++)\n        \
         printf(\"%lld\\n\", values[i]);\n    return 0;\n}}\n"
    )
}

/// Compiles; what the compiler said if it refuses. Without a binary it only looks.
fn compile(source: &Path, binary: Option<&Path>) -> Result<(), String> {
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-w"]).arg(source);
    match binary {
        Some(binary) => cc.arg("-o").arg(binary),
        None => cc.arg("-fsyntax-only"),
    };
    let output = cc.output().expect("there is a C compiler");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(said)
    }
}

/// A directory for one comparison, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("abi-{}-{name}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("cargo's own directory can be written");
        Scratch(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(format!("{name}.c"));
        fs::write(&path, text).expect("it can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_header_is_asked_and_what_it_lacks_is_found() {
    let scratch = Scratch::new("header");
    let header = "struct a { short b; int c; };\nenum { D = -3 };\n#define E (1U << 4)\n";
    fs::write(scratch.0.join("a.h"), header).expect("it can be written");
    let headers = Headers::new("asked", scratch.0.clone());
    let mirror = Mirror {
        module: "a",
        headers: &["a.h"],
        layouts: &[],
        numbers: &[],
    };
    let claim = |theirs: &str| Claim {
        name: theirs.to_owned(),
        ours: 0,
        theirs: theirs.to_owned(),
    };
    let check = |expected: &[(&str, Option<i64>)]| {
        let claims: Vec<Claim> = expected.iter().map(|(theirs, _)| claim(theirs)).collect();
        let answers = headers.answers(&[mirror], &claims);
        let values: Vec<Option<i64>> = expected.iter().map(|(_, value)| *value).collect();
        assert_eq!(answers, values);
    };
    check(&[
        ("offsetof(struct a, c)", Some(4)),
        ("sizeof(struct a)", Some(8)),
    ]);
    check(&[
        ("D", Some(-3)),
        ("offsetof(struct a, d)", None),
        ("sizeof(struct b)", None),
        ("F", None),
        ("E", Some(16)),
    ]);
}
