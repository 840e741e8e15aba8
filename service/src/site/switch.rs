//! Which generation a site shows: one batch of marks switches it.

use super::generation::{Generation, Mark, State, marks};
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::service::Service;
use alloc::format;
use alloc::vec::Vec;
use store::{Batch, BucketName, Change, Condition, Headers, Key, Refusal, Ticket};

/// Changes of the marks of one bucket.
struct Switch {
    bucket: BucketName,
    batch: Batch,
}

impl Switch {
    fn of(bucket: &BucketName) -> Switch {
        Switch {
            bucket: bucket.clone(),
            batch: Batch::default(),
        }
    }

    /// This generation is that from now on.
    fn set(&mut self, generation: Generation, state: State) {
        let put = Change::Put {
            value: Vec::new(),
            headers: Headers::default(),
        };
        let key = generation.mark(state);
        let change = (self.bucket.clone(), key, Condition::Absent, put);
        self.batch.changes.push(change);
    }

    /// Nothing is changed unless this generation is that, or is not.
    fn check(&mut self, generation: Generation, state: State, condition: Condition) {
        let key = generation.mark(state);
        let change = (self.bucket.clone(), key, condition, Change::Check);
        self.batch.changes.push(change);
    }

    /// This generation is that no more; nothing is changed if it is not.
    fn end(&mut self, generation: Generation, state: State) {
        let key = generation.mark(state);
        let change = (self.bucket.clone(), key, Condition::Exists, Change::Delete);
        self.batch.changes.push(change);
    }

    fn turn(&mut self, mark: &Mark, state: State) {
        self.end(mark.generation, mark.state);
        self.set(mark.generation, state);
    }

    fn submit(self, service: &mut Service) -> Result<Ticket, Problem> {
        service.store.submit(self.batch).map_err(refused)
    }
}

/// Why a site shows what it has shown.
pub(crate) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Condition { .. } | Refusal::NotFound => {
            let detail = "Somebody else has changed the site meanwhile; `GET /-/admin/site` tells \
                          what it shows now.";
            Problem::new(Kind::SiteBusy, detail)
        }
        other => refusal::problem(other),
    }
}

fn found(service: &mut Service, bucket: &BucketName) -> Result<Vec<Mark>, Problem> {
    marks(&mut service.store, bucket).map_err(refusal::unavailable)
}

/// Marks a generation that is about to be filled, if there is none of its number: a rollback that
/// is on its way to the disk may bring one back.
pub(super) fn fill(
    service: &mut Service,
    bucket: &BucketName,
    generation: Generation,
) -> Result<Ticket, Problem> {
    let mut switch = Switch::of(bucket);
    for state in [State::Current, State::Kept, State::Gone] {
        switch.check(generation, state, Condition::Absent);
    }
    switch.set(generation, State::Filling);
    switch.submit(service)
}

/// Shows a generation that has been filled; of those before, so many can be gone back to.
pub(super) fn show(
    service: &mut Service,
    bucket: &BucketName,
    generation: Generation,
    keep: usize,
) -> Result<Ticket, Problem> {
    let marks = found(service, bucket)?;
    let mut switch = Switch::of(bucket);
    switch.end(generation, State::Filling);
    switch.set(generation, State::Current);
    let of = |state| {
        marks
            .iter()
            .rev()
            .filter(move |mark: &&Mark| mark.state == state)
    };
    // What was shown until now first, then the newest.
    for (nth, mark) in of(State::Current).chain(of(State::Kept)).enumerate() {
        match (nth < keep, mark.state) {
            (true, State::Kept) => {}
            (true, _) => switch.turn(mark, State::Kept),
            (false, _) => switch.turn(mark, State::Gone),
        }
    }
    switch.submit(service)
}

/// Removes some pages of a generation, and in the end its mark, as long as it is what it was: what
/// has been accepted since may show it again.
pub(super) fn remove(bucket: &BucketName, mark: &Mark, pages: Vec<Key>, is_last: bool) -> Batch {
    let mut switch = Switch::of(bucket);
    switch.check(mark.generation, mark.state, Condition::Exists);
    let removed = |key| (bucket.clone(), key, Condition::None, Change::Delete);
    switch.batch.changes.extend(pages.into_iter().map(removed));
    if is_last {
        switch.end(mark.generation, mark.state);
    }
    switch.batch
}

/// Shows another generation: that one, or the last one before what is shown.
///
/// # Errors
/// There is none, somebody pushes, or the store's.
pub(crate) fn back(
    service: &mut Service,
    bucket: &BucketName,
    to: Option<u64>,
) -> Result<(Ticket, Generation, Option<Generation>), Problem> {
    refuse_while_pushed(service, bucket)?;
    let marks = found(service, bucket)?;
    let of = |state| {
        marks
            .iter()
            .rev()
            .filter(move |mark: &&Mark| mark.state == state)
    };
    let shown = of(State::Current).next();
    let before = |mark: &&&Mark| match (to, shown) {
        (Some(to), _) => mark.generation == Generation(to),
        (None, Some(shown)) => mark.generation < shown.generation,
        (None, None) => true,
    };
    let Some(target) = of(State::Kept).find(|mark| before(&mark)) else {
        let name = bucket.as_str();
        let detail = match to {
            Some(to) => format!("No push {to} of the site in `{name}` is kept."),
            None => format!("No earlier push of the site in `{name}` is kept."),
        };
        let detail = format!("{detail} `GET /-/admin/site` lists those that are.");
        return Err(Problem::new(Kind::NoSuchGeneration, detail));
    };
    let mut switch = Switch::of(bucket);
    of(State::Current).for_each(|mark| switch.turn(mark, State::Kept));
    switch.turn(target, State::Current);
    let ticket = switch.submit(service)?;
    Ok((ticket, target.generation, shown.map(|mark| mark.generation)))
}

/// Removes all that was pushed: the bucket itself is the site again.
///
/// # Errors
/// Nothing was, somebody pushes, or the store's.
pub(crate) fn down(service: &mut Service, bucket: &BucketName) -> Result<Ticket, Problem> {
    refuse_while_pushed(service, bucket)?;
    let marks = found(service, bucket)?;
    let pushed = marks
        .iter()
        .filter(|mark| matches!(mark.state, State::Current | State::Kept));
    let mut switch = Switch::of(bucket);
    pushed.for_each(|mark| switch.turn(mark, State::Gone));
    if switch.batch.changes.is_empty() {
        let detail = format!("No site was pushed into `{}`.", bucket.as_str());
        return Err(Problem::new(Kind::NoSuchGeneration, detail));
    }
    switch.submit(service)
}

/// One changes a site at a time.
pub(super) fn refuse_while_pushed(service: &Service, bucket: &BucketName) -> Result<(), Problem> {
    refuse_while_any_pushed(service, Some(bucket))
}

/// The same of any bucket, if none is named: what brings back other states of it would leave pages
/// of a push that nothing knows of.
pub(crate) fn refuse_while_any_pushed(
    service: &Service,
    bucket: Option<&BucketName>,
) -> Result<(), Problem> {
    let Some(pushed) = service.sites.pushed_into(bucket) else {
        return Ok(());
    };
    let detail = format!(
        "The site in `{}` is being pushed; `GET /-/admin/jobs` shows by whom, and DELETE of that \
         job stops it.",
        pushed.as_str()
    );
    Err(Problem::new(Kind::SiteBusy, detail))
}
