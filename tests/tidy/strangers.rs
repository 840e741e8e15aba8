//! The project speaks of itself alone: no machine's paths, no hosts it was built from.

use super::code::line_of;
use super::finding::{self, Finding};
use super::tree;

/// Put together, so that this file is not found by itself.
const HOSTS: [&str; 12] = [
    concat!("crates", ".io"),
    concat!("deb.", "debian.org"),
    concat!("ftp.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("snapshot.", "debian.org"),
    concat!("archive.", "ubuntu.com"),
    concat!("pypi", ".org"),
    concat!("npmjs", ".org"),
    concat!("proxy.", "golang.org"),
    concat!("static.", "rust-lang.org"),
    concat!("docker", ".io"),
    concat!("arti", "factory"),
];

/// Directories of somebody's machine.
const PLACES: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("C:\\Us", "ers"),
];

/// Where packages come from, as cargo writes it down for everybody.
const REGISTRY: &str = concat!(
    "\"registry+https:",
    "//github.com/rust-lang/",
    "crates",
    ".io-index\""
);

fn hosts(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in HOSTS {
        findings.extend(text.match_indices(host).map(|(at, _)| {
            let mend = format!("`{host}` is not ours to name: say what it is for instead");
            Finding::new(path, line_of(text, at), mend)
        }));
    }
    for (at, scheme) in text.match_indices("://") {
        let rest = &text[at + scheme.len()..];
        let host = |char: char| char.is_ascii_alphanumeric() || ".-@".contains(char);
        let host = &rest[..rest.find(|char| !host(char)).unwrap_or(rest.len())];
        if !is_nobodys(host.trim_end_matches('.')) {
            let mend = format!("`{host}` is a host: use a name that ends in .example, or none");
            findings.push(Finding::new(path, line_of(text, at), mend));
        }
    }
    findings
}

/// An address, a placeholder, or a name that belongs to nobody.
fn is_nobodys(host: &str) -> bool {
    let last = host.rsplit(['.', '@']).next().unwrap_or_default();
    !host.contains('.') || last.parse::<u8>().is_ok() || last.eq_ignore_ascii_case("example")
}

fn places(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for place in PLACES {
        let absolute = text.match_indices(place).filter(|(at, _)| {
            let before = text[..*at].chars().next_back();
            !before.is_some_and(|char| char.is_alphanumeric() || "/._-}$".contains(char))
        });
        findings.extend(absolute.map(|(at, _)| {
            let mend = format!("`{place}` is on one machine only: write a path of the project");
            Finding::new(path, line_of(text, at), mend)
        }));
    }
    findings
}

/// The lock file names one source.
fn sources(text: &str) -> Vec<Finding> {
    let lines = text.lines().enumerate();
    let stated = lines.filter_map(|(at, line)| Some((at, line.strip_prefix("source = ")?)));
    let foreign = stated.filter(|(_, source)| *source != REGISTRY);
    let mend = |source: &str| format!("{source} is not where packages come from for everybody");
    foreign
        .map(|(at, source)| Finding::new("Cargo.lock", at + 1, mend(source)))
        .collect()
}

#[test]
fn no_host_is_named() {
    let ours = |path: &str| path != "Cargo.lock" && !path.starts_with("LICENSE");
    let files = tree::files().iter().filter(|file| ours(&file.path));
    finding::none(
        files
            .flat_map(|file| hosts(&file.path, &file.text))
            .collect(),
    );
}

#[test]
fn packages_have_one_source() {
    finding::none(sources(&tree::file("Cargo.lock").text));
}

#[test]
fn no_machine_is_named() {
    let files = tree::files().iter();
    finding::none(
        files
            .flat_map(|file| places(&file.path, &file.text))
            .collect(),
    );
}

#[test]
fn a_host_is_found() {
    let text = format!(
        "good\nfrom {}\nhttps:{}mirror.company.net/x\n",
        HOSTS[0], "//"
    );
    assert_eq!(finding::lines(&hosts("a.md", &text)), [2, 3]);
    let good =
        "http://127.0.0.1:8080/ http://h.example/ http://u@H.EXAMPLE:80 http://HOST http://[::1]/";
    assert_eq!(hosts("a.md", good), []);
}

#[test]
fn a_second_source_is_found() {
    let text = format!(
        "source = {REGISTRY}\nsource = \"registry+https:{}other/\"\n",
        "//"
    );
    assert_eq!(finding::lines(&sources(&text)), [2]);
}

#[test]
fn a_machine_is_found() {
    let text = format!("a\n`{}me/x`\n{{host}}{}a\n", PLACES[0], PLACES[3]);
    assert_eq!(finding::lines(&places("a.md", &text)), [2]);
}
