//! That nothing of `xen-sys` is left out of what is compared.

use std::fs;
use std::path::Path;
use xen_sys::abi::{MIRRORS, Mirror};

/// What a source defines and its mirror does not list.
fn unlisted(module: &str, source: &str, mirrors: &[Mirror]) -> Vec<String> {
    let of_module = mirrors.iter().filter(|mirror| mirror.module == module);
    let mut structures = Vec::new();
    let mut numbers = String::new();
    for mirror in of_module {
        structures.extend(mirror.layouts.iter().map(|layout| layout.ours));
        for number in mirror.numbers {
            numbers += number.ours;
            numbers += " ";
        }
    }
    let words: Vec<&str> = numbers.split(|char| !is_of_word(char)).collect();
    let mut found = Vec::new();
    let mut in_abi = false;
    for line in source.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("pub struct ")
            && in_abi
            && !structures.contains(&first_word(name))
        {
            found.push(format!("{module}: {}", first_word(name)));
        }
        in_abi = line.starts_with("#[repr(C") || (in_abi && line.starts_with("#["));
        let name = line.strip_prefix("pub const ").or_else(|| variant(line));
        if let Some(name) = name.map(first_word)
            && name != "fn"
            && !words.contains(&name)
        {
            found.push(format!("{module}: {name}"));
        }
    }
    found
}

/// `Name = 3,` in an enum.
fn variant(line: &str) -> Option<&str> {
    let (name, value) = line.strip_suffix(',')?.split_once(" = ")?;
    let is_name = name.starts_with(char::is_uppercase) && name.chars().all(is_of_word);
    (is_name && value.parse::<u64>().is_ok()).then_some(name)
}

fn first_word(text: &str) -> &str {
    text.split(|char| !is_of_word(char))
        .next()
        .unwrap_or_default()
}

fn is_of_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Of a directory's sources, those below included; the names of modules are paths.
fn unlisted_below(directory: &Path, module: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("the sources can be read") {
        let path = entry.expect("an entry can be read").path();
        let stem = path.file_stem().expect("an entry has a name");
        let stem = stem.to_str().expect("our names are ASCII");
        let name = format!("{module}::{stem}");
        if path.is_dir() {
            found.extend(unlisted_below(&path, &name));
            continue;
        }
        let name = match stem {
            "lib" | "mod" => module,
            // Describes the others.
            "abi" => continue,
            _ => &name,
        };
        let source = fs::read_to_string(&path).expect("a source can be read");
        found.extend(unlisted(name, &source, MIRRORS));
    }
    found
}

#[test]
fn everything_of_xen_sys_is_listed_in_its_file() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xen-sys/src");
    let found = unlisted_below(&sources, "xen_sys");
    assert!(
        found.is_empty(),
        "add it to the file's `mirror!`, and the file to xen_sys::abi::MIRRORS: {found:#?}"
    );
}

#[test]
fn what_is_not_listed_is_found() {
    let source = "#[repr(C)]\n#[derive(Debug)]\npub struct New {\n    a: u8,\n}\n\
                  pub struct Ours(u8);\npub const NEW: u32 = 1;\npub const fn f() {}\n\
                  enum A {\n    First = 1,\n}\n";
    let found = unlisted("xen_sys::a", source, MIRRORS);
    assert_eq!(
        found,
        ["xen_sys::a: New", "xen_sys::a: NEW", "xen_sys::a: First"]
    );
    let listed = "pub const VIRQ_TIMER: u32 = 0;\n#[repr(C)]\npub struct EvtchnPort {\n";
    assert!(unlisted("xen_sys::event_channel", listed, MIRRORS).is_empty());
    assert_eq!(unlisted("xen_sys::sched", listed, MIRRORS).len(), 2);
}
