//! `cargo xtask disk`: the offline look at a disk image, with the store's own library.
//!
//! The image is opened for reading only. The exit code is 0 if all is well, 1 if there are
//! findings, 2 if there is nothing that could be looked at.

mod figures;
mod image;
mod json;
mod lines;
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

/// Whether there are no findings.
fn perform<W: Write + 'static>(verb: &Verb, out: &Rc<RefCell<W>>) -> Result<bool> {
    let (image, form) = match verb {
        Verb::Check { image } | Verb::Stats { image } => (image, Form::Findings),
        Verb::Dump { image, json: false } => (image, Form::Lines),
        Verb::Dump { image, json: true } => (image, Form::Json),
    };
    let report = look(image, form, out)?;
    let out = &mut *out.borrow_mut();
    match verb {
        Verb::Check { .. } => writeln!(out, "{}", figures::summary(&report))?,
        Verb::Stats { .. } => figures::write(out, &report)?,
        Verb::Dump { .. } => {}
    }
    Ok(report.findings == 0)
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
