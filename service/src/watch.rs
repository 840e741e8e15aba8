//! `/-/watch/BUCKET`: changes of a bucket as they become durable, as Server-Sent Events.
//!
//! Their form is that of the HTML Standard, section "Server-sent events".
//!
//! Nothing is kept for who watches but how far it has been told: the events are the store's, and
//! who is too slow for them is told so and let go.

use crate::gauge::Counted;
use crate::http::field::Field;
use crate::http::head::Request;
use crate::json;
use crate::kv;
use crate::listing;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::service::Service;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use store::{BucketName, Event, Key, Seq, Store, What};

/// Bytes after which a piece ends.
const PIECE_BYTES: usize = 4_096;
/// Events looked at for one piece.
const PIECE_EVENTS: usize = 512;
/// How long an event source waits before it connects again, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// Who watches what, and how far it has been told.
pub(crate) struct Watch {
    bucket: BucketName,
    prefix: Vec<u8>,
    sees_scripts: bool,
    /// How many tokens were made when it began.
    by_token: u32,
    told: Seq,
    _seats: [Option<Counted>; 2],
}

/// What is to be told next.
pub(crate) enum Piece {
    /// These events.
    Events(String),
    /// Some were looked at, and there are more.
    More,
    /// Nothing now.
    Nothing,
    /// That some are not known any more; then it is over.
    Overflow(String),
}

/// `GET /-/watch/BUCKET?prefix=&since=`.
pub(crate) fn begin(
    service: &mut Service,
    request: &Request<'_>,
    bucket: BucketName,
) -> Result<Watch, Problem> {
    let [prefix, since] = kv::parameters(request, ["prefix", "since"])?;
    let sees_scripts = listing::sees_scripts(service, request, &bucket)?;
    refusal::refuse_unreadable(&service.store)?;
    let last = request.fields.get(Field::LastEventId);
    let told = match last.or(since.as_deref()) {
        Some(text) => since_of(text)?,
        None => service.store.durable_seq(),
    };
    let known = service.store.changes_after(told).map(|_| ());
    known.map_err(|floor| gone(floor, service.store.durable_seq()))?;
    let seats = seats(service, sees_scripts)?;
    Ok(Watch {
        bucket,
        prefix: prefix.unwrap_or_default(),
        sees_scripts,
        by_token: service.tokens_made,
        told,
        _seats: seats,
    })
}

/// A place among those who watch, and among those of them who came without a token.
fn seats(service: &Service, has_token: bool) -> Result<[Option<Counted>; 2], Problem> {
    let limit = service.config.limits.watchers;
    let (all, strangers) = (&service.watchers, &service.strangers_watching);
    let is_full = all.count() >= limit || (!has_token && strangers.count() >= limit / 2);
    if is_full {
        let detail = format!(
            "{limit} connections may watch, half of them without a token, and do; try again later."
        );
        return Err(Problem::new(Kind::TooManyWatchers, detail).number("limit", limit.into()));
    }
    Ok([Some(all.enter()), (!has_token).then(|| strangers.enter())])
}

fn since_of(text: &[u8]) -> Result<Seq, Problem> {
    let number = core::str::from_utf8(text).ok();
    let number = number.and_then(|text| text.parse().ok());
    number.map(Seq).ok_or_else(|| {
        let detail = "`since` and Last-Event-ID are a sequence, as `id` and `seq` give them.";
        Problem::new(Kind::BadParameter, detail)
    })
}

fn gone(floor: Seq, seq: Seq) -> Problem {
    let detail = format!(
        "Only the changes after {} and up to {} are known (those of this boot, as many as fit in \
         memory): list the keys anew, and watch since the `seq` of the list.",
        floor.0, seq.0
    );
    Problem::new(Kind::ChangesGone, detail)
        .number("floor", floor.0)
        .number("seq", seq.0)
}

impl Watch {
    /// Whether who watches still may: by the token of then, or as anybody may.
    pub(crate) fn may_go_on(&self, service: &Service) -> bool {
        let bucket = self.bucket.as_str().as_bytes();
        match self.sees_scripts {
            true => self.by_token == service.tokens_made,
            false => service.visibility.is_public(bucket),
        }
    }

    /// What comes before all events: from where on they are told.
    pub(crate) fn beginning(&self) -> String {
        format!("retry: {RETRY_MS}\nid: {}\n\n", self.told.0)
    }

    /// What is sent when there was nothing to tell for a while.
    pub(crate) fn sign_of_life(&self) -> String {
        format!(": nothing new\nid: {}\n\n", self.told.0)
    }

    /// The next events, as far as they fit one piece.
    pub(crate) fn next(&mut self, store: &Store) -> Piece {
        let mut events = match store.changes_after(self.told) {
            Ok(events) => events,
            Err(floor) => return Piece::Overflow(overflow(floor)),
        };
        let mut out = String::new();
        for _ in 0..PIECE_EVENTS {
            let Some(event) = events.next() else {
                // What came after the last event concerns nobody.
                self.told = store.durable_seq();
                return match out.is_empty() {
                    true => Piece::Nothing,
                    false => Piece::Events(out),
                };
            };
            if self.concerns(event) {
                push_event(&mut out, event);
                if let Some(last) = self.last_of_batch(event, events.clone()) {
                    let _ = writeln!(out, "id: {}", last.0);
                }
                out.push('\n');
            }
            self.told = event.seq;
            if out.len() >= PIECE_BYTES {
                break;
            }
        }
        match out.is_empty() {
            true => Piece::More,
            false => Piece::Events(out),
        }
    }

    /// The last sequence of the event's batch, if it is told of no other event of that.
    fn last_of_batch<'e>(
        &self,
        event: &'e Event,
        rest: impl Iterator<Item = &'e Event>,
    ) -> Option<Seq> {
        for next in core::iter::once(event).chain(rest) {
            if next.seq != event.seq && self.concerns(next) {
                return None;
            }
            if next.ends_batch {
                return Some(next.seq);
            }
        }
        None
    }

    /// Whether it is told of an event.
    fn concerns(&self, event: &Event) -> bool {
        if event
            .bucket
            .as_ref()
            .is_some_and(|name| *name != self.bucket)
        {
            return false;
        }
        match &event.what {
            What::Reset => true,
            What::Put { key, .. } | What::Deleted { key } => {
                let key = key.as_bytes();
                key.starts_with(&self.prefix) && (self.sees_scripts || !kv::is_private(key))
            }
        }
    }
}

fn push_event(out: &mut String, event: &Event) {
    let seq = event.seq.0;
    let _ = match &event.what {
        What::Reset => writeln!(out, "event: reset\ndata: {{\"seq\":{seq}}}"),
        What::Put { key, len_bytes } => {
            push_change(out, (seq, "put"), key);
            writeln!(out, ",\"size\":{len_bytes}}}")
        }
        What::Deleted { key } => {
            push_change(out, (seq, "delete"), key);
            writeln!(out, "}}")
        }
    };
}

fn push_change(out: &mut String, (seq, op): (u64, &str), key: &Key) {
    let _ = write!(out, "data: {{\"seq\":{seq},\"op\":\"{op}\",");
    json::push_bytes(out, "key", key.as_bytes());
}

fn overflow(floor: Seq) -> String {
    format!("event: overflow\ndata: {{\"floor\":{}}}\n\n", floor.0)
}
