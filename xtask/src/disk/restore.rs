//! `disk restore`: a new image with all that a backup has.
//!
//! The backup is read twice: once to see that it is whole, and only then is anything written.

use std::path::Path;
use std::task::Poll;

use anyhow::{Context, Result, bail};
use store::backup::{BucketHead, EntryHead, Item};
use store::{BucketName, Condition, QuotaLimits, Refusal, State, Store, Ticket, Upload};

use super::backup::{self, Summary};
use super::image::Image;
use super::partial::Partial;
use super::steps;

const MIB: u64 = 1 << 20;

/// What to restore, and into what.
pub(super) struct Plan<'a> {
    pub(super) file: &'a Path,
    pub(super) image: &'a Path,
    /// As long as the disk it was on, if not given.
    pub(super) size_mib: Option<u64>,
    /// Without what was lost when it was taken.
    pub(super) lossy: bool,
}

/// Makes the image; it has its name only once all is on it.
pub(super) fn run(plan: &Plan<'_>) -> Result<Summary> {
    let summary = backup::verify(plan.file)?;
    let lost = summary.lost.len();
    if lost > 0 && !plan.lossy {
        bail!(
            "{} lacks {lost} values that could not be read when it was taken, {} first: restore it without them with --lossy",
            plan.file.display(),
            summary.lost[0]
        );
    }
    let len_bytes = match plan.size_mib {
        None => summary.header.device_bytes,
        Some(mib) => mib.checked_mul(MIB).context("--size-mib is too large")?,
    };
    let partial = Partial::create(plan.image)?;
    let image = plan.image.display();
    let device = Image::create(partial.file(), len_bytes)
        .with_context(|| format!("{image} cannot be made {len_bytes} bytes long"))?;
    let mut restoring = Restoring {
        store: steps::opened(Box::new(device)),
        bucket: None,
        entry: None,
        quotas: Vec::new(),
    };
    restoring.is_ready()?;
    backup::read(plan.file, |item| restoring.take(item))
        .with_context(|| format!("nothing was restored to {image}"))?;
    restoring.store.close();
    steps::settle(&mut restoring.store);
    if *restoring.store.state() != State::Closed {
        bail!("{image} could not be closed: {:?}", restoring.store.state());
    }
    drop(restoring);
    partial.finish()?;
    Ok(summary)
}

struct Restoring {
    store: Store,
    bucket: Option<BucketName>,
    /// Set when all is there: a bucket may have more than its quota.
    quotas: Vec<BucketHead>,
    /// The value on its way, and how it is called.
    entry: Option<(Upload, String)>,
}

impl Restoring {
    fn is_ready(&self) -> Result<()> {
        match self.store.state() {
            State::Ready => Ok(()),
            State::Refused(why) => bail!("no store can be made on the new image: {why}"),
            other => bail!("no store can be made on the new image: {other:?}"),
        }
    }

    fn take(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Bucket(head) => {
                self.bucket = Some(head.name.clone());
                self.quotas.push(head);
            }
            Item::Entry(head) => self.begin(&head)?,
            Item::Data(bytes) => self.feed(&bytes)?,
            Item::Complete => self.complete()?,
            Item::Lost(_) => self.entry = None,
            Item::End(_) => self.set_quotas()?,
            Item::Header(_) => {}
        }
        Ok(())
    }

    fn set_quotas(&mut self) -> Result<()> {
        for head in std::mem::take(&mut self.quotas) {
            if head.quota == QuotaLimits::default() {
                continue;
            }
            let name = format!("the quota of {}", head.name.as_str());
            let ticket = self.store.set_quota(head.name, head.quota);
            let ticket = ticket.map_err(|refusal| refused(&name, &refusal))?;
            self.finish(&ticket, &name)?;
        }
        Ok(())
    }

    fn begin(&mut self, head: &EntryHead) -> Result<()> {
        let bucket = self.bucket.clone().context("an entry is in a bucket")?;
        let name = format!(
            "{}/{}",
            bucket.as_str(),
            super::lines::key(head.key.as_bytes())
        );
        let begun = self.store.begin_upload(
            bucket,
            head.key.clone(),
            Condition::None,
            head.headers.clone(),
            Some(head.len_bytes),
        );
        let upload = begun.map_err(|refusal| refused(&name, &refusal))?;
        self.store.date_upload(&upload, head.modified_wall_ns);
        self.entry = Some((upload, name));
        Ok(())
    }

    fn feed(&mut self, mut bytes: &[u8]) -> Result<()> {
        let (mut upload, name) = self.entry.take().context("bytes belong to an entry")?;
        while !bytes.is_empty() {
            let taken = self.store.upload(&mut upload, bytes);
            let taken = taken.map_err(|refusal| refused(&name, &refusal))?;
            bytes = &bytes[taken..];
            if taken == 0 {
                steps::settle(&mut self.store);
            }
        }
        self.entry = Some((upload, name));
        Ok(())
    }

    fn complete(&mut self) -> Result<()> {
        let (upload, name) = self.entry.take().context("what is complete was begun")?;
        let ticket = self.store.commit_upload(upload);
        let ticket = ticket.map_err(|refusal| refused(&name, &refusal))?;
        self.finish(&ticket, &name)
    }

    fn finish(&mut self, ticket: &Ticket, name: &str) -> Result<()> {
        steps::settle(&mut self.store);
        match self.store.outcome(ticket) {
            Poll::Ready(Ok(_)) => Ok(()),
            Poll::Ready(Err(refusal)) => Err(refused(name, &refusal)),
            Poll::Pending => bail!("{name}: the new image takes no more"),
        }
    }
}

fn refused(name: &str, refusal: &Refusal) -> anyhow::Error {
    match refusal {
        Refusal::TooLarge { limit_bytes } => anyhow::anyhow!(
            "{name} is longer than a value on this disk can be, {limit_bytes} bytes: name a larger --size-mib"
        ),
        Refusal::NoSpace(space) => {
            anyhow::anyhow!("{name} finds no room: {space}: name a larger --size-mib")
        }
        other => anyhow::anyhow!("{name} is not taken: {other:?}"),
    }
}
