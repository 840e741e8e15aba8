//! The device's queue: requests out, completions to whoever waits for them.
//!
//! Each request has a [`Slot`]; its owner looks into it, and may drop it: then
//! the completion is dropped too. What the device cannot take now waits here.
//!
//! A device may go away and come back ([`link`]): who waits learns of it by the time it takes.
//!
//! # Invariants
//!
//! - After [`Disk::stop_writing`] no write, flush or discard is handed out.
//! - A slot's hold (a segment's token) lives until the device is done.

mod kept;
mod link;

use crate::blob::{PageRun, Pages};
use crate::block::{
    BlockDevice, Completion, Durability, Geometry, IoError, Presence, Request, RequestId,
    SubmitError,
};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use kept::Kept;
use link::Link;

/// Completions taken per step.
const COMPLETIONS_PER_PUMP: usize = 256;

/// Where one request's end will be found.
pub(crate) struct Slot {
    ended: RefCell<Option<Ended>>,
    /// Keeps a segment from being reused while the device works on it.
    _hold: Option<Rc<()>>,
    asked: Asked,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Read { offset_bytes: u64, len_bytes: usize },
    Write { offset_bytes: u64 },
    Flush,
    Discard { offset_bytes: u64, len_bytes: u64 },
}

/// How a request ended.
pub(crate) struct Ended {
    pub(crate) run: Option<Box<dyn PageRun>>,
    pub(crate) result: Result<(), IoError>,
}

impl Slot {
    /// The end of the request, once; `None` while it is under way.
    pub(crate) fn take(&self) -> Option<Ended> {
        self.ended.borrow_mut().take()
    }
}

/// The device and what is under way on it.
pub(crate) struct Disk {
    device: Box<dyn BlockDevice>,
    pages: Box<dyn Pages>,
    geometry: Option<Geometry>,
    next_id: u64,
    outbox: VecDeque<(RequestId, Request)>,
    under_way: BTreeMap<u64, Rc<Slot>>,
    /// How many requests the device has.
    in_device: usize,
    link: Link,
    kept: Kept,
    knows_no_flush: bool,
    writing_stopped: bool,
    starved: Cell<bool>,
    /// Sectors that stand as zeros because they cannot be read.
    pub(crate) unread_sectors: u64,
    /// For statistics.
    pub(crate) written_bytes: u64,
    pub(crate) flushes: u64,
    /// Requests that the device has ended.
    pub(crate) ended: u64,
}

impl Disk {
    /// See [`Pages::machine_mib`].
    pub(crate) fn machine_mib(&self, store_bytes: u64) -> u64 {
        self.pages.machine_mib(store_bytes)
    }

    pub(crate) fn new(device: Box<dyn BlockDevice>, pages: Box<dyn Pages>) -> Self {
        Disk {
            device,
            pages,
            geometry: None,
            next_id: 0,
            outbox: VecDeque::new(),
            under_way: BTreeMap::new(),
            in_device: 0,
            link: Link::default(),
            kept: Kept::default(),
            knows_no_flush: false,
            writing_stopped: false,
            starved: Cell::new(false),
            unread_sectors: 0,
            written_bytes: 0,
            flushes: 0,
            ended: 0,
        }
    }

    /// The geometry as first seen, once the device is there.
    pub(crate) fn geometry(&mut self) -> Option<Geometry> {
        if self.geometry.is_none() {
            self.geometry = self.device.geometry();
        }
        self.geometry
    }

    /// The geometry if it is known already.
    pub(crate) fn known_geometry(&self) -> Option<Geometry> {
        self.geometry
    }

    /// Whether memory was missing since this was last asked.
    pub(crate) fn take_starved(&self) -> bool {
        self.starved.take()
    }

    /// Whether memory was missing since [`Disk::take_starved`] was asked.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved.get()
    }

    /// A zeroed run of memory, or `None` when there is none now.
    pub(crate) fn take_run(&self, len_bytes: usize) -> Option<Box<dyn PageRun>> {
        let run = self.pages.take(len_bytes);
        if run.is_none() {
            self.starved.set(true);
        }
        let run = run?;
        assert_eq!(
            run.bytes().len(),
            len_bytes,
            "Pages gave a run of another length"
        );
        Some(run)
    }

    pub(crate) fn device(&mut self) -> &mut dyn BlockDevice {
        &mut *self.device
    }

    /// How long the device was when it was met and is now, if somebody has cut off some of it.
    pub(crate) fn cropped(&self) -> Option<(u64, u64)> {
        let was = self.geometry?.len_bytes;
        let is = self.len_bytes()?;
        (is < was).then_some((was, is))
    }

    /// How long the device is now, if it is there and known to be ours.
    pub(crate) fn len_bytes(&self) -> Option<u64> {
        self.away_since_ns().is_none().then_some(())?;
        Some(self.device.geometry()?.len_bytes)
    }

    /// What the device has gained is in use.
    pub(crate) fn note_growth(&mut self) {
        let len_bytes = self.len_bytes();
        if let (Some(geometry), Some(len_bytes)) = (&mut self.geometry, len_bytes) {
            geometry.len_bytes = geometry.len_bytes.max(len_bytes);
        }
    }

    /// Whether the device does not come back.
    pub(crate) fn is_gone(&self) -> bool {
        self.device.presence() == Presence::Gone
    }

    /// Whether writes are still handed out.
    pub(crate) fn is_writing(&self) -> bool {
        !self.writing_stopped
    }

    /// Hands out no more writes; those waiting here are dropped, unended.
    pub(crate) fn stop_writing(&mut self) {
        self.writing_stopped = true;
        self.drop_writes();
    }

    /// Forgets what waits here and is no read, unended.
    fn drop_writes(&mut self) {
        let is_read = |request: &Request| matches!(request, Request::Read { .. });
        self.link
            .drop_again(|request| !is_read(request), &mut self.under_way);
        let under_way = &mut self.under_way;
        self.outbox.retain(|(id, request)| {
            let keep = is_read(request);
            if !keep {
                under_way.remove(&id.0);
            }
            keep
        });
    }

    fn enqueue(&mut self, request: Request, hold: Option<Rc<()>>) -> Rc<Slot> {
        let id = self.next_id;
        self.next_id += 1;
        let slot = Rc::new(Slot {
            ended: RefCell::new(None),
            _hold: hold,
            asked: Asked::of(&request),
        });
        self.under_way.insert(id, Rc::clone(&slot));
        let queue = match self.link.is_asking() {
            true => &mut self.link.own,
            false => &mut self.outbox,
        };
        queue.push_back((RequestId(id), request));
        slot
    }

    pub(crate) fn read(
        &mut self,
        offset_bytes: u64,
        into: Box<dyn PageRun>,
        hold: Option<Rc<()>>,
    ) -> Rc<Slot> {
        self.enqueue(Request::Read { offset_bytes, into }, hold)
    }

    pub(crate) fn write(&mut self, offset_bytes: u64, from: Box<dyn PageRun>) -> Rc<Slot> {
        assert!(!self.writing_stopped, "a write after writing was stopped");
        self.written_bytes += from.bytes().len() as u64;
        self.enqueue(Request::Write { offset_bytes, from }, None)
    }

    /// A flush of everything that has completed; where there is no flush, it ends at once.
    pub(crate) fn flush(&mut self) -> Rc<Slot> {
        assert!(!self.writing_stopped, "a flush after writing was stopped");
        if !self.is_flushing() {
            let ended = Some(Ended {
                run: None,
                result: Ok(()),
            });
            return Rc::new(Slot {
                ended: RefCell::new(ended),
                _hold: None,
                asked: Asked::Flush,
            });
        }
        self.enqueue(Request::Flush, None)
    }

    /// Whether memory comes back with a flush.
    pub(crate) fn is_keeping(&self) -> bool {
        self.kept.len() > 0
    }

    /// Whether what has completed is durable only after a flush.
    fn is_flushing(&self) -> bool {
        self.geometry
            .is_none_or(|geometry| geometry.durability != Durability::Backend)
    }

    pub(crate) fn discard(&mut self, offset_bytes: u64, len_bytes: u64, hold: Rc<()>) {
        assert!(!self.writing_stopped, "a discard after writing was stopped");
        let request = Request::Discard {
            offset_bytes,
            len_bytes,
        };
        self.enqueue(request, Some(hold));
    }

    /// The result of a flush; "unsupported" is a missing feature, said once.
    pub(crate) fn flush_result(&mut self, ended: &Ended) -> Result<(), IoError> {
        match ended.result {
            Err(IoError::Unsupported) => Ok(()),
            other => {
                self.flushes += u64::from(other.is_ok());
                other
            }
        }
    }

    /// Moves requests out and completions in; whether anything moved.
    pub(crate) fn pump(&mut self) -> Moved {
        let mut moved = self.follow_device() | self.send();
        for _ in 0..COMPLETIONS_PER_PUMP {
            let Some(completion) = self.device.poll() else {
                break;
            };
            self.in_device = self.in_device.saturating_sub(1);
            self.settle(completion);
            moved = Moved::Yes;
        }
        moved | self.send()
    }

    fn send(&mut self) -> Moved {
        let mut moved = Moved::No;
        while let Some((id, request)) = self.next_request() {
            let wanted = self
                .under_way
                .get(&id.0)
                .is_some_and(|slot| Rc::strong_count(slot) > 1);
            if !wanted && matches!(request, Request::Read { .. }) {
                self.under_way.remove(&id.0);
                continue;
            }
            let asked = Asked::of(&request);
            match self.device.submit(id, request) {
                Ok(()) => {
                    self.note_begun(id.0, asked);
                    moved = Moved::Yes;
                }
                Err(SubmitError::Detached(request)) if self.is_gone() => {
                    self.settle(detached(id, request));
                    moved = Moved::Yes;
                }
                Err(SubmitError::Busy(request) | SubmitError::Detached(request)) => {
                    self.put_back(id, request);
                    break;
                }
            }
        }
        moved
    }

    fn note_begun(&mut self, id: u64, asked: Asked) {
        self.in_device += 1;
        match asked {
            Asked::Write { offset_bytes } if self.is_flushing() => {
                self.kept.begin_write(id, offset_bytes);
            }
            Asked::Flush => self.kept.begin_flush(id),
            _ => {}
        }
    }

    fn settle(&mut self, completion: Completion) {
        self.ended += 1;
        let Some(completion) = self.settle_repeated(completion) else {
            return;
        };
        if completion.result == Err(IoError::Detached) && !self.is_gone() {
            self.ask_again(completion);
            return;
        }
        let Completion {
            id,
            mut run,
            mut result,
        } = completion;
        let Some(slot) = self.under_way.remove(&id.0) else {
            log::error!("the disk ended request {} which was never begun", id.0);
            return;
        };
        match slot.asked {
            Asked::Read { len_bytes, .. } => {
                if run
                    .as_ref()
                    .is_none_or(|run| run.bytes().len() != len_bytes)
                {
                    result = Err(IoError::Failed);
                }
            }
            Asked::Write { .. } if result.is_ok() && self.is_flushing() => {
                self.kept.written(id.0, run.take());
            }
            Asked::Write { .. } => self.kept.forget(id.0),
            Asked::Flush if result.is_ok() => self.kept.flushed(id.0),
            Asked::Flush if result == Err(IoError::Unsupported) => self.note_no_flush(),
            Asked::Flush => self.kept.not_flushed(id.0),
            Asked::Discard { .. } if result == Err(IoError::Unsupported) => self.note_no_discard(),
            Asked::Discard { .. } => {}
        }
        *slot.ended.borrow_mut() = Some(Ended { run, result });
    }

    /// It may offer them again when it comes back, and knows none.
    fn note_no_flush(&mut self) {
        if let Some(geometry) = &mut self.geometry
            && geometry.durability != Durability::Backend
        {
            log::warn!("the disk takes no flush: durability is up to the backend");
            geometry.durability = Durability::Backend;
        }
        self.knows_no_flush = true;
        self.kept.no_flush();
    }

    fn note_no_discard(&mut self) {
        if let Some(geometry) = &mut self.geometry {
            log::warn!("the disk takes no discard: what is freed stays allocated behind it");
            geometry.discard = false;
        }
    }
}

impl Asked {
    fn of(request: &Request) -> Asked {
        match *request {
            Request::Read {
                offset_bytes,
                ref into,
            } => Asked::Read {
                offset_bytes,
                len_bytes: into.bytes().len(),
            },
            Request::Write { offset_bytes, .. } => Asked::Write { offset_bytes },
            Request::Flush => Asked::Flush,
            Request::Discard {
                offset_bytes,
                len_bytes,
            } => Asked::Discard {
                offset_bytes,
                len_bytes,
            },
        }
    }
}

/// The end of a request that no device will take any more.
fn detached(id: RequestId, request: Request) -> Completion {
    let run = match request {
        Request::Read { into: run, .. } | Request::Write { from: run, .. } => Some(run),
        Request::Flush | Request::Discard { .. } => None,
    };
    let result = Err(IoError::Detached);
    Completion { id, run, result }
}

/// Whether a step got anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Yes,
    No,
}

impl core::ops::BitOr for Moved {
    type Output = Moved;

    /// Both are done; whether either got anywhere.
    fn bitor(self, other: Moved) -> Moved {
        match (self, other) {
            (Moved::No, Moved::No) => Moved::No,
            _ => Moved::Yes,
        }
    }
}
