//! Downloads Debian packages as an ordinary user, without installing any.
//!
//! `apt-get` runs against directories of its own and an empty list of
//! installed packages, so that the host's own state is neither used nor
//! changed. The mirror is the host's: it is read from the host's sources and
//! written down nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::command;

/// The variable that names a Debian mirror for hosts whose sources have none.
const MIRROR_VARIABLE: &str = "LAMPION_DEBIAN_MIRROR";

/// Where Debian keeps the keys its archive is signed with.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// What to download, from where.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The suites, such as `bookworm`; the last one is preferred.
    pub(crate) suites: &'a [&'a str],
    /// The packages; what they depend on comes along.
    pub(crate) packages: &'a [&'a str],
}

/// Downloads into `directory` and returns the packages' files, sorted.
pub(crate) fn download(directory: &Path, request: &Request<'_>) -> Result<Vec<PathBuf>> {
    for needed in ["apt-get", "dpkg-deb"] {
        if !command::exists(needed) {
            bail!("the bed needs Debian's {needed}: run it on Debian, or in a Debian container");
        }
    }
    let keyring = KEYRINGS
        .iter()
        .find(|path| Path::new(path).exists())
        .context(
            "Debian's keys are missing: run `apt-get install debian-archive-keyring` as root",
        )?;
    let sources = sources(&mirror()?, keyring, request.suites);
    prepare(directory, &sources)?;
    run(directory, &["update"])?;
    let mut install = vec!["-y", "--no-install-recommends", "--download-only"];
    if let Some(suite) = request.suites.last() {
        install.extend(["-t", suite]);
    }
    install.push("install");
    install.extend(request.packages);
    run(directory, &install)?;

    let archives = directory.join("cache/archives");
    let mut files = Vec::new();
    for entry in fs::read_dir(&archives)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("apt-get downloaded nothing into {}", archives.display());
    }
    files.sort();
    Ok(files)
}

fn prepare(directory: &Path, sources: &str) -> Result<()> {
    for name in ["empty", "state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(directory.join(name))?;
    }
    fs::write(directory.join("status"), "")?;
    fs::write(directory.join("sources.list"), sources)?;
    Ok(())
}

fn run(directory: &Path, words: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    let at = |name: &str| directory.join(name).display().to_string();
    let options = [
        ("Dir::Etc::sourcelist", at("sources.list")),
        ("Dir::Etc::sourceparts", at("empty")),
        ("Dir::Etc::preferences", at("empty/none")),
        ("Dir::Etc::preferencesparts", at("empty")),
        ("Dir::State", at("state")),
        ("Dir::State::status", at("status")),
        ("Dir::Cache", at("cache")),
        ("APT::Architecture", "amd64".to_owned()),
        ("APT::Sandbox::User", "root".to_owned()),
        ("APT::Default-Release", String::new()),
        ("Acquire::Languages", "none".to_owned()),
        ("Acquire::Retries", "3".to_owned()),
        (
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled",
            "false".to_owned(),
        ),
        ("Debug::NoLocking", "1".to_owned()),
    ];
    for (key, value) in options {
        apt.arg("-o").arg(format!("{key}={value}"));
    }
    apt.args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C");
    command::logged(&mut apt, &directory.join("apt.log"))
}

/// The host's Debian mirror.
fn mirror() -> Result<String> {
    if let Ok(uri) = std::env::var(MIRROR_VARIABLE) {
        return Ok(uri);
    }
    // This knows all sources, but only once `apt-get update` has been run.
    let mut known = Command::new("apt-get");
    known.args(["indextargets", "--format", "$(REPO_URI)"]);
    if let Some(mirror) = choose_mirror(&command::output(&mut known)?) {
        return Ok(mirror);
    }
    // This says what an update would fetch, and fetches nothing.
    let mut wanted = Command::new("apt-get");
    let wanted = command::output(wanted.args(["--print-uris", "update"]))?;
    choose_mirror(&bases(&wanted)).with_context(|| {
        format!("this host's apt has no Debian source: set {MIRROR_VARIABLE} to a mirror's address")
    })
}

/// The addresses of the archives among those of their files, which are quoted.
fn bases(uris: &str) -> String {
    let base =
        |line: &str| Some(line.strip_prefix('\'')?.split_once("/dists/")?.0.to_owned() + "\n");
    uris.lines().filter_map(base).collect()
}

/// The first address that ends in `/debian`: not one of security updates,
/// whose suites are others, nor a vendor's.
fn choose_mirror(listed: &str) -> Option<String> {
    let mut uris = listed.lines().map(str::trim);
    uris.find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

/// The text of a `sources.list`.
fn sources(mirror: &str, keyring: &str, suites: &[&str]) -> String {
    let line = |suite: &&str| format!("deb [signed-by={keyring}] {mirror} {suite} main\n");
    suites.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_first_plain_debian_one() {
        let listed = "http://a.example/vendor/\n\
                      http://b.example/debian-security/\n\
                      http://c.example/debian/\n\
                      http://d.example/debian\n";
        assert_eq!(
            choose_mirror(listed).as_deref(),
            Some("http://c.example/debian/")
        );
        assert_eq!(choose_mirror("http://a.example/ubuntu/\n"), None);
        assert_eq!(choose_mirror(""), None);
    }

    #[test]
    fn a_host_that_was_never_updated_says_what_it_would_fetch() {
        let wanted = "'http://b.example/debian-security/dists/s/InRelease' b.example_s 0\n\
                      'http://c.example/debian/dists/s/InRelease' c.example_s 0 \n\
                      noise\n";
        let expected = "http://b.example/debian-security\nhttp://c.example/debian\n";
        assert_eq!(bases(wanted), expected);
        assert_eq!(
            choose_mirror(&bases(wanted)).as_deref(),
            Some("http://c.example/debian")
        );
    }

    #[test]
    fn each_suite_is_one_signed_line() {
        let text = sources("http://c.example/debian/", "/keys", &["one", "two"]);
        let expected = "deb [signed-by=/keys] http://c.example/debian/ one main\n\
                        deb [signed-by=/keys] http://c.example/debian/ two main\n";
        assert_eq!(text, expected);
    }
}
