//! `cargo xtask site`: a directory as the appliance's site, shown and taken back as a whole.
//!
//! `curl` carries it, as it could by hand (`docs/http.md`): what this adds is the tar, in which
//! nothing is that should not be published.

mod directory;

use std::env::{self, VarError};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use directory::Directory;

/// What `cargo xtask site` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The appliance's admin port: HOST:PORT, or a whole `http://` or `https://` address.
    #[arg(long, global = true, default_value = "127.0.0.1:8081")]
    to: String,
    /// The bucket that is the site; without it, that of hosts nothing is said of (`www`).
    #[arg(long, global = true)]
    bucket: Option<String>,
    /// A file with the token; without it, the variable LAMPION_TOKEN has it.
    #[arg(long, global = true)]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows what is in a directory, in the place of what was shown.
    Push {
        /// Its files are the pages; links in it are followed.
        directory: PathBuf,
        /// How many earlier pushes stay, to go back to.
        #[arg(long)]
        keep: Option<u32>,
        /// Puts a compressed copy beside each page of text, for browsers that want it.
        #[arg(long)]
        gzip: bool,
        /// Also what is hidden: names that begin with a dot (`.well-known` is never left out).
        #[arg(long)]
        hidden: bool,
    },
    /// Shows an earlier push again.
    Rollback {
        /// The number of the push; without it, the last one before what is shown.
        push: Option<u64>,
    },
    /// Tells which pushes there are.
    List,
    /// Removes all that was pushed: the bucket itself is the site again.
    Down,
}

/// Does it, and prints what the appliance says.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let token = token(arguments)?;
    let mut parameters = Vec::new();
    parameters.extend(
        arguments
            .bucket
            .as_ref()
            .map(|bucket| format!("bucket={bucket}")),
    );
    let (method, path, body) = match &arguments.verb {
        Verb::Push {
            directory,
            keep,
            gzip,
            hidden,
        } => {
            parameters.extend(keep.map(|keep| format!("keep={keep}")));
            let directory = Directory::read(directory, *hidden)?;
            directory.tell_left_out();
            ("PUT", "site", Some((directory, *gzip)))
        }
        Verb::Rollback { push } => {
            parameters.extend(push.map(|push| format!("to={push}")));
            ("POST", "site/rollback", None)
        }
        Verb::List => {
            parameters.clear();
            ("GET", "site", None)
        }
        Verb::Down => ("DELETE", "site", None),
    };
    let base = match arguments.to.contains("://") {
        true => arguments.to.trim_end_matches('/').to_owned(),
        false => format!("http://{}", arguments.to),
    };
    let mut target = format!("{base}/-/admin/{path}");
    if !parameters.is_empty() {
        target = format!("{target}?{}", parameters.join("&"));
    }
    ask(method, &target, token.as_deref(), body)
}

/// Asks the appliance, and shows its answer; a directory goes along as a tar.
fn ask(
    method: &str,
    target: &str,
    token: Option<&str>,
    body: Option<(Directory, bool)>,
) -> Result<()> {
    let header = token.map(Header::with).transpose()?;
    let mut curl = Command::new("curl");
    // First, so that nobody's ~/.curlrc has a say.
    curl.arg("--disable");
    curl.args(["--silent", "--show-error", "--fail-with-body", "--globoff"]);
    curl.args(["-X", method, target]);
    if let Some(header) = &header {
        curl.arg("-H").arg(header.argument());
    }
    if body.is_some() {
        curl.args(["-H", "Content-Type: application/x-tar", "-T", "-"]);
        curl.stdin(Stdio::piped());
    }
    let no_curl = "`curl` cannot be started: install it, or see docs/http.md for what it sends";
    let mut child = curl.spawn().context(no_curl)?;
    let written = match (body, child.stdin.take()) {
        (Some((directory, gzip)), Some(input)) => directory.write(gzip, BufWriter::new(input)),
        _ => Ok(()),
    };
    match written {
        // It takes no more: its answer says why.
        Err(error) if is_broken_pipe(&error) => {}
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error.context("nothing was published"));
        }
        Ok(()) => {}
    }
    let status = child.wait()?;
    ensure!(
        status.success(),
        "{method} {target} failed: the answer above says why, and `site list` what is shown now"
    );
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The token, if one is given: `auth=open` needs none.
fn token(arguments: &Arguments) -> Result<Option<String>> {
    let (token, place) = match &arguments.token_file {
        Some(file) => {
            let text = fs::read_to_string(file);
            let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
            (text, file.display().to_string())
        }
        None => match env::var("LAMPION_TOKEN") {
            Ok(token) => (token, "LAMPION_TOKEN".to_owned()),
            Err(VarError::NotPresent) => return Ok(None),
            Err(error) => bail!("LAMPION_TOKEN: {error}"),
        },
    };
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("{place} is no token: that is 16 to 128 printable characters without a space");
    }
    Ok(Some(token.to_owned()))
}

/// A header field in a file without a name, which others cannot read as they can a command line,
/// and of which nothing is left.
struct Header(File);

impl Header {
    fn with(token: &str) -> Result<Header> {
        let name = format!("lampion-token-{}", std::process::id());
        let path = env::temp_dir().join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let opened = options.open(&path);
        let mut file = opened.with_context(|| format!("{} cannot be made", path.display()))?;
        fs::remove_file(&path)?;
        writeln!(file, "Authorization: Bearer {token}")?;
        Ok(Header(file))
    }

    /// What curl reads it by, while this is held.
    fn argument(&self) -> String {
        let (process, file) = (std::process::id(), self.0.as_raw_fd());
        format!("@/proc/{process}/fd/{file}")
    }
}
