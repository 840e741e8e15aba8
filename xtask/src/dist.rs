//! `cargo xtask dist`: what is handed to a user.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::bed::command;
use crate::build::{self, Image};

/// The domain's configuration and the QEMU command line, ready to use.
const FILES: [(&str, &str); 2] = [
    ("lampion.cfg", include_str!("dist/lampion.cfg")),
    ("lampion-qemu.sh", include_str!("dist/lampion-qemu.sh")),
];

/// Fills `target/dist`.
pub(crate) fn run() -> Result<()> {
    let image = build::run()?;
    let dist = crate::checkout().join("target/dist");
    for (name, text) in FILES {
        fs::write(dist.join(name), text)?;
    }
    executable(&dist.join("lampion-qemu.sh"))?;
    fs::write(dist.join("build.json"), format!("{:#}\n", facts(&image)?))?;
    let mut names = vec!["lampion", "lampion.debug", "build.json"];
    names.extend(FILES.iter().map(|(name, _)| *name));
    names.sort_unstable();
    let mut sums = Command::new("sha256sum");
    let sums = command::output(sums.current_dir(&dist).args(&names))?;
    fs::write(dist.join("SHA256SUMS"), sums)?;
    names.push("SHA256SUMS");
    for name in names {
        let bytes = fs::metadata(dist.join(name))?.len();
        println!("{bytes:>9}  {}", dist.join(name).display());
    }
    Ok(())
}

/// No times and no paths: the same source gives the same bytes.
fn facts(image: &Image) -> Result<serde_json::Value> {
    let checkout = crate::checkout();
    let said = |words: &[&str]| -> Result<String> {
        let mut program = Command::new(words[0]);
        let text = command::output(program.args(&words[1..]).current_dir(&checkout))?;
        Ok(text.trim().to_owned())
    };
    let commit = said(&["git", "rev-parse", "--verify", "HEAD"]).ok();
    let clean = said(&["git", "status", "--porcelain"]).is_ok_and(|text| text.is_empty());
    Ok(json!({
        "name": "lampion",
        "commit": commit,
        "modified": !clean,
        "rustc": said(&["rustc", "--version"])?,
        "entry": format!("{:#x}", image.entry),
        "bytes": fs::metadata(&image.path)?.len(),
        "debug_bytes": fs::metadata(&image.debug)?.len(),
    }))
}

fn executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(
        path,
        fs::Permissions::from_mode(0o755),
    )?)
}
