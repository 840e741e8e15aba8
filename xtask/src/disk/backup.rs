//! `disk backup` and `disk verify`: a backup out of an image, and whether a file is one.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::task::Poll;

use anyhow::{Context, Result, bail};
use store::backup::{BackupError, Decoder, End, Header, Item};
use store::{Refusal, SnapshotName, State};

use super::image::Image;
use super::partial::Partial;
use super::steps;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// What was in a backup.
pub(super) struct Summary {
    pub(super) header: Header,
    pub(super) end: End,
    /// Buckets and keys of what could not be read when it was taken.
    pub(super) lost: Vec<String>,
}

/// Writes a backup of what an image shows, or of one of its snapshots.
///
/// The file has its name only once it is complete.
pub(super) fn write(image: &Path, snapshot: Option<&str>, file: &Path) -> Result<Summary> {
    let device = Image::open(image)?;
    let hint = device.hint();
    let mut store = steps::opened(Box::new(device));
    if let State::Refused(why) = store.state() {
        bail!("{}: {why}{hint}", image.display());
    }
    let of = match snapshot {
        Some(name) => Some(SnapshotName::new(name).context("--snapshot names a snapshot")?),
        None => None,
    };
    let mut backup = store.begin_backup(of.as_ref()).map_err(|refusal| {
        let image = image.display();
        match refusal {
            Refusal::NoSuchSnapshot => anyhow::anyhow!(
                "{image} has no snapshot of this name: `disk stats` lists those it has"
            ),
            other => anyhow::anyhow!("{image}: no backup can begin: {other:?}"),
        }
    })?;
    let partial = Partial::create(file)?;
    let mut out = BufWriter::new(partial.file());
    let mut blocks = Vec::new();
    loop {
        match store.read_backup(&mut backup, &mut blocks) {
            Poll::Pending => steps::settle(&mut store),
            Poll::Ready(Ok(more)) => {
                out.write_all(&blocks)
                    .with_context(|| format!("{} cannot be written", file.display()))?;
                blocks.clear();
                if !more {
                    break;
                }
            }
            Poll::Ready(Err(BackupError::Refused(refusal))) => {
                bail!("{}: the backup ended early: {refusal:?}", image.display())
            }
            Poll::Ready(Err(BackupError::Cut | BackupError::Stopped)) => {
                bail!("the backup was not read in time")
            }
        }
    }
    out.flush()
        .with_context(|| format!("{} cannot be written", file.display()))?;
    drop(out);
    // What was written is what is read back.
    let summary = verify(partial.path())?;
    partial.finish()?;
    Ok(summary)
}

/// Reads all of a backup, and believes nothing of it unchecked.
pub(super) fn verify(file: &Path) -> Result<Summary> {
    let (mut header, mut end, mut lost) = (None, None, Vec::new());
    let (mut bucket, mut key) = (String::new(), String::new());
    read(file, |item| {
        match item {
            Item::Header(found) => header = Some(found),
            Item::Bucket(head) => bucket = head.name.as_str().to_owned(),
            Item::Entry(head) => key = super::lines::key(head.key.as_bytes()),
            Item::Lost(_) => lost.push(format!("{bucket}/{key}")),
            Item::End(found) => end = Some(found),
            Item::Data(_) | Item::Complete => {}
        }
        Ok(())
    })?;
    match (header, end) {
        (Some(header), Some(end)) => Ok(Summary { header, end, lost }),
        _ => bail!("{}: neither begins nor ends as a backup", file.display()),
    }
}

/// Gives out each item of a backup.
pub(super) fn read(file: &Path, mut see: impl FnMut(Item) -> Result<()>) -> Result<()> {
    let name = file.display();
    let opened = File::open(file).with_context(|| format!("{name} cannot be opened"))?;
    let mut stream = BufReader::new(opened);
    let mut decoder = Decoder::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let len = stream
            .read(&mut piece)
            .with_context(|| format!("{name} cannot be read"))?;
        let mut input = &piece[..len];
        loop {
            let pushed = decoder.push(input);
            let (used, item) = pushed.with_context(|| name.to_string())?;
            input = &input[used..];
            let Some(item) = item else {
                if input.is_empty() {
                    break;
                }
                continue;
            };
            see(item)?;
        }
        if len == 0 {
            return decoder.finish().with_context(|| name.to_string());
        }
    }
}

impl Summary {
    /// For people: what it is of, how much it has, what it lacks.
    pub(super) fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Header {
            seq,
            taken_wall_ms,
            live_bytes,
            buckets,
            device_bytes,
            ..
        } = self.header;
        let keys = self.end.entries - self.end.lost;
        writeln!(
            out,
            "store            {}",
            super::lines::hex(&self.header.store_id)
        )?;
        if let Some(snapshot) = &self.header.snapshot {
            writeln!(out, "snapshot         {snapshot}")?;
        }
        writeln!(out, "sequence         {}", seq.0)?;
        writeln!(out, "taken            {taken_wall_ms} ms since 1970")?;
        writeln!(
            out,
            "disk             {device_bytes} bytes, {live_bytes} of them live"
        )?;
        writeln!(out, "keys             {keys} in {buckets} buckets")?;
        writeln!(out, "values           {} bytes", self.end.data_bytes)?;
        if let Some(why) = &self.header.trouble {
            writeln!(out, "trouble          {why}")?;
        }
        for name in &self.lost {
            writeln!(out, "lost             {name}")?;
        }
        writeln!(out, "complete: every checksum is right")
    }
}
