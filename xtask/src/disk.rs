//! `cargo xtask disk`: disk images and backups, with the store's own library.
//!
//! An image is opened for reading only; what is made is a new file. The exit code is 0 if all is
//! well, 1 if there are findings or losses, 2 if there is nothing that could be looked at.

mod backup;
mod crashes;
mod figures;
mod image;
mod json;
mod lines;
mod partial;
mod restore;
mod steps;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::task::Poll;

use anyhow::{Context, Result, bail};
use store::blob::HeapPages;
use store::check::{Check, Item, Report, Verdict};

/// What `cargo xtask disk` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Reads all that counts, and tells every finding.
    Check {
        /// A raw image or a block device that no running VM uses.
        image: PathBuf,
    },
    /// Lists the log in order: superblocks, segments, groups and records.
    Dump {
        /// A raw image or a block device that no running VM uses.
        image: PathBuf,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Adds up what the log holds.
    Stats {
        /// A raw image or a block device that no running VM uses.
        image: PathBuf,
    },
    /// Shows what guests that crashed left behind, as `/-/admin/crash` does.
    Crashes {
        /// A raw image or a block device that no running VM uses.
        image: PathBuf,
    },
    /// Writes a backup of what the image shows.
    Backup {
        /// A raw image or a block device that no running VM uses.
        image: PathBuf,
        /// The file to be made.
        file: PathBuf,
        /// Of this snapshot, and not of what there is now.
        #[arg(long)]
        snapshot: Option<String>,
    },
    /// Reads all of a backup, and says whether it is whole and right.
    Verify {
        /// The backup.
        file: PathBuf,
    },
    /// Makes a new image with all that a backup has.
    Restore {
        /// The backup.
        file: PathBuf,
        /// The raw image to be made.
        image: PathBuf,
        /// Its length in MiB; as long as the disk it was on, if not given.
        #[arg(long)]
        size_mib: Option<u64>,
        /// Without the values that could not be read when the backup was taken.
        #[arg(long)]
        lossy: bool,
    },
}

/// What is printed of each item.
#[derive(Clone, Copy, Debug)]
enum Form {
    Findings,
    Lines,
    Json,
}

/// Looks, prints, and tells by the exit code what was found.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let out = Rc::new(RefCell::new(BufWriter::new(io::stdout())));
    let result = perform(&arguments.verb, &out);
    let flushed = out.borrow_mut().flush();
    match result.and_then(|clean| flushed.map(|()| clean).map_err(Into::into)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether there are no findings, and nothing was lost.
fn perform<W: Write + 'static>(verb: &Verb, out: &Rc<RefCell<W>>) -> Result<bool> {
    match verb {
        Verb::Check { image } => {
            let report = look(image, Form::Findings, out)?;
            writeln!(out.borrow_mut(), "{}", figures::summary(&report))?;
            Ok(report.findings == 0)
        }
        Verb::Dump { image, json } => {
            let form = if *json { Form::Json } else { Form::Lines };
            Ok(look(image, form, out)?.findings == 0)
        }
        Verb::Stats { image } => {
            let report = look(image, Form::Findings, out)?;
            figures::write(&mut *out.borrow_mut(), &report)?;
            Ok(report.findings == 0)
        }
        Verb::Crashes { image } => crashes::show(image, &mut *out.borrow_mut()),
        Verb::Backup {
            image,
            file,
            snapshot,
        } => told(&backup::write(image, snapshot.as_deref(), file)?, out),
        Verb::Verify { file } => told(&backup::verify(file)?, out),
        Verb::Restore {
            file,
            image,
            size_mib,
            lossy,
        } => {
            let plan = restore::Plan {
                file,
                image,
                size_mib: *size_mib,
                lossy: *lossy,
            };
            told(&restore::run(&plan)?, out)
        }
    }
}

/// Prints what a backup has; whether that is all there was.
fn told<W: Write>(summary: &backup::Summary, out: &Rc<RefCell<W>>) -> Result<bool> {
    summary.print(&mut *out.borrow_mut())?;
    Ok(summary.lost.is_empty() && summary.header.trouble.is_none())
}

/// Shows each item of the image in this form, until a line cannot be written.
fn look<W: Write + 'static>(image: &Path, form: Form, out: &Rc<RefCell<W>>) -> Result<Report> {
    let device = image::Image::open(image)?;
    let hint = device.hint();
    let (into, failed) = (Rc::clone(out), Rc::new(RefCell::new(None)));
    let failure = Rc::clone(&failed);
    let see = move |item: &Item<'_>| {
        if failure.borrow().is_some() {
            return;
        }
        let text = match form {
            Form::Findings => lines::finding(item),
            Form::Lines => Some(lines::line(item)),
            Form::Json => Some(json::line(item)),
        };
        let Some(text) = text else {
            return;
        };
        if let Err(error) = writeln!(into.borrow_mut(), "{text}") {
            *failure.borrow_mut() = Some(error);
        }
    };
    let mut check = Check::new(Box::new(device), Box::new(HeapPages), Box::new(see));
    let verdict = loop {
        if let Some(error) = failed.borrow_mut().take() {
            return Err(error).context("the output ended early");
        }
        if let Poll::Ready(verdict) = check.step() {
            break verdict;
        }
    };
    if let Some(error) = failed.borrow_mut().take() {
        return Err(error).context("the output ended early");
    }
    match verdict {
        Verdict::Looked(report) => Ok(*report),
        Verdict::Unlooked(sentence) => bail!("{}: {sentence}{hint}", image.display()),
    }
}
