//! A backup on its way out: block by block, as fast as the peer takes it.
//!
//! Nobody knows ahead how long it will be. One that was broken off has no last chunk, and no end
//! block either.

use super::exchange::After;
use super::{Connection, Context, Phase, Turn};
use crate::admin;
use crate::http::response::line;
use crate::jobs::Running;
use crate::problem::{Kind, Problem};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::task::Poll;
use store::backup::Backup;

/// Its media type.
const MEDIA: &[u8] = b"application/octet-stream";
/// What a browser does with it.
const DISPOSITION: &[u8] = b"attachment; filename=\"lampion.backup\"";

/// A backup on its way.
pub(super) struct BackingUp {
    backup: Backup,
    job: Running,
    /// What follows its answer, once that has begun.
    after: Option<After>,
    sent_bytes: u64,
}

impl BackingUp {
    /// Before its first block.
    pub(super) fn new(backup: Backup, job: Running) -> Self {
        BackingUp {
            backup,
            job,
            after: None,
            sent_bytes: 0,
        }
    }
}

impl Connection {
    /// Queues the next block.
    pub(super) fn turn_back_up(
        &mut self,
        cx: &mut Context<'_>,
        mut backing_up: Box<BackingUp>,
    ) -> Turn {
        if cx.transport.send_room() <= self.output.len_bytes() {
            self.phase = Phase::BackUp(backing_up);
            if cx.is_past(self.deadline_ns) {
                self.tell_of_backup("it takes no more");
            }
            return self.wait_for_room(cx);
        }
        let mut block = Vec::new();
        let more = match cx
            .service
            .store
            .read_backup(&mut backing_up.backup, &mut block)
        {
            Poll::Ready(Ok(more)) => more,
            Poll::Ready(Err(error)) if backing_up.after.is_none() => {
                return self.refuse(cx, admin::backup_refused(error));
            }
            Poll::Ready(Err(error)) => {
                log::error!("http: the backup for {} ends early: {error:?}", self.peer);
                return self.break_off(cx);
            }
            Poll::Pending => return self.wait_for_block(cx, backing_up),
        };
        let after = match backing_up.after {
            Some(after) => after,
            None => self.begin_stream(cx, MEDIA, &[(line!("Content-Disposition"), DISPOSITION)]),
        };
        backing_up.after = Some(after);
        backing_up.sent_bytes += block.len() as u64;
        backing_up.job.note(backing_up.sent_bytes, 0);
        if !self.exchange.wants_content() {
            backing_up.job.done();
            return self.become_phase(Phase::Flush(after));
        }
        self.push_chunk(cx, block);
        if more {
            return self.become_phase(Phase::BackUp(backing_up));
        }
        self.end_stream();
        let (sent_bytes, lost) = (backing_up.sent_bytes, backing_up.backup.lost());
        log::info!(
            "http: a backup of {sent_bytes} bytes for {} is complete; {lost} values could not be read",
            self.peer
        );
        backing_up.job.done();
        self.become_phase(Phase::Flush(after))
    }

    /// A backup that nobody takes is about to be broken off.
    pub(super) fn tell_of_backup(&self, why: &str) {
        if let Phase::BackUp(backing_up) = &self.phase {
            let (peer, queued_bytes) = (self.peer, backing_up.sent_bytes);
            log::warn!("http: the backup for {peer} is ended after {queued_bytes} bytes: {why}");
        }
    }

    fn wait_for_block(&mut self, cx: &mut Context<'_>, backing_up: Box<BackingUp>) -> Turn {
        if !cx.is_past(self.deadline_ns) {
            self.phase = Phase::BackUp(backing_up);
            return Turn::Store;
        }
        if backing_up.after.is_some() {
            log::error!(
                "http: the backup for {} is ended: the disk gives nothing",
                self.peer
            );
            return self.break_off(cx);
        }
        let detail = "The disk did not begin the backup in time; try again.";
        self.refuse(cx, Problem::new(Kind::StoreSlow, detail))
    }
}
