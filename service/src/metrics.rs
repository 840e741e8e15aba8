//! `/metrics`: counters of this crate, statistics of the store, the roof's lines.
//!
//! Prometheus text format 0.0.4: base units, `_total` on counters, the last
//! line ends with a line feed.

mod tls;

use crate::answer::Answer;
use crate::auth::Caller;
use crate::connection::STAKES;
use crate::http::response::STATUSES;
use crate::problem::{KINDS, Kind};
use crate::service::Service;
use alloc::string::String;
use core::fmt::Write;
use store::block::Durability;
use store::{BucketName, Now, Resource, State};

/// What is counted here.
#[derive(Debug)]
pub(crate) struct Counters {
    answers: [u64; STATUSES.len()],
    refused: [u64; KINDS.len()],
    /// Connections ever.
    pub(crate) connections: u64,
    /// Bytes taken from peers.
    pub(crate) received_bytes: u64,
    /// Bytes given to peers.
    pub(crate) sent_bytes: u64,
    /// Requests with the token.
    pub(crate) owner_logins: u64,
    /// The same with the token for reading.
    pub(crate) reader_logins: u64,
    /// Answers broken off because the rest of the value could not be read.
    pub(crate) broken_off: u64,
    /// Who watched and was too slow.
    pub(crate) watch_overflows: u64,
    /// Connections ended because the peer took or sent nothing for too long.
    pub(crate) timeouts: u64,
    /// Sessions of TLS whose handshake was completed.
    pub(crate) tls_sessions: u64,
    /// Sessions of TLS that failed, before that or behind it.
    pub(crate) tls_failures: u64,
    /// Connections whose session had to wait for room.
    pub(crate) tls_waits: u64,
    /// Connections ended since others needed the room, by what they were in the middle of.
    pub(crate) displaced: [u64; STAKES.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            answers: [0; STATUSES.len()],
            refused: [0; KINDS.len()],
            connections: 0,
            received_bytes: 0,
            sent_bytes: 0,
            owner_logins: 0,
            reader_logins: 0,
            broken_off: 0,
            watch_overflows: 0,
            timeouts: 0,
            tls_sessions: 0,
            tls_failures: 0,
            tls_waits: 0,
            displaced: [0; STAKES.len()],
        }
    }
}

impl Counters {
    /// Counts one answer.
    pub(crate) fn answered(&mut self, status: u16) {
        let place = STATUSES.iter().position(|(known, _)| *known == status);
        debug_assert!(place.is_some(), "status {status} is not in the table");
        if let Some(place) = place {
            self.answers[place] += 1;
        }
    }

    /// Counts one request with a right token, or with none.
    pub(crate) fn admitted(&mut self, caller: Caller) {
        match caller {
            Caller::Anyone => {}
            Caller::Reader => self.reader_logins += 1,
            Caller::Owner => self.owner_logins += 1,
        }
    }

    /// Counts one refusal.
    pub(crate) fn refused(&mut self, kind: Kind) {
        self.refused[kind as usize] += 1;
    }
}

/// The page.
pub(crate) fn page(service: &Service, now: Now) -> Answer {
    let mut out = String::with_capacity(6_144);
    let environment = &service.environment;
    head(
        &mut out,
        "build_info gauge The release and what it was built from.",
    );
    out.push_str("lampion_build_info{version=");
    label(&mut out, &environment.version);
    out.push_str(",commit=");
    label(&mut out, &environment.commit);
    out.push_str("} 1\n");
    let up_s = now.monotonic_ns / 1_000_000_000;
    one(&mut out, "uptime_seconds gauge Seconds since boot.", up_s);
    requests(&mut out, service);
    connections(&mut out, service);
    changes(&mut out, service);
    if service.logs_access() {
        access(&mut out, service);
    }
    promise(&mut out, service);
    space(&mut out, service);
    warnings(&mut out, service);
    compaction(&mut out, service);
    held(&mut out, service);
    work(&mut out, service);
    if let Some(source) = &environment.metrics {
        source.append(&mut out);
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    Answer::text(200, "text/plain; version=0.0.4; charset=utf-8", out)
}

/// Answers by what they said.
fn requests(out: &mut String, service: &Service) {
    let counters = &service.counters;
    head(out, "http_requests_total counter Answers, by status code.");
    for ((status, _), count) in STATUSES.iter().zip(counters.answers) {
        if count > 0 {
            let _ = writeln!(
                out,
                "lampion_http_requests_total{{code=\"{status}\"}} {count}"
            );
        }
    }
    head(
        out,
        "http_refused_total counter Requests refused, by problem type.",
    );
    for ((_, _, name, _), count) in KINDS.iter().zip(counters.refused) {
        if count > 0 {
            let _ = writeln!(
                out,
                "lampion_http_refused_total{{reason=\"{name}\"}} {count}"
            );
        }
    }
    let busy = service.busy.count().into();
    one(
        out,
        "http_requests_in_progress gauge Requests in progress.",
        busy,
    );
    one(
        out,
        "http_logins_total counter Requests with a right token.",
        counters.owner_logins + counters.reader_logins,
    );
    one(
        out,
        "http_broken_off_total counter Answers broken off.",
        counters.broken_off,
    );
}

/// What carries them.
fn connections(out: &mut String, service: &Service) {
    let counters = &service.counters;
    one(
        out,
        "http_connections gauge Connections that exist.",
        service.open.count().into(),
    );
    one(
        out,
        "http_connections_total counter Connections ever.",
        counters.connections,
    );
    one(
        out,
        "http_received_bytes_total counter Bytes from peers.",
        counters.received_bytes,
    );
    one(
        out,
        "http_sent_bytes_total counter Bytes to peers.",
        counters.sent_bytes,
    );
    one(
        out,
        "http_timeouts_total counter Connections ended by a deadline.",
        counters.timeouts,
    );
    tls::sessions(out, service);
    head(
        out,
        "http_displaced_total counter Connections ended to make room, by what they were doing.",
    );
    // Who works gives way to nobody.
    let stakes = STAKES.iter().zip(counters.displaced);
    for (name, count) in stakes.filter(|(name, _)| **name != "work") {
        let _ = writeln!(
            out,
            "lampion_http_displaced_total{{was=\"{name}\"}} {count}"
        );
    }
}

/// What is told of changes, and what batches hold.
fn changes(out: &mut String, service: &Service) {
    one(
        out,
        "http_watchers gauge Connections that watch a bucket.",
        service.watchers.count().into(),
    );
    one(
        out,
        "http_watch_overflows_total counter Watchers let go since they were too slow.",
        service.counters.watch_overflows,
    );
    one(
        out,
        "http_bodies_bytes gauge RAM of batches that come in, and of pages with values.",
        service.bodies.bytes(),
    );
    one(
        out,
        "store_changes_floor_seq gauge All changes after this one can be watched.",
        service.store.changes_floor().0,
    );
}

/// What is told of requests.
fn access(out: &mut String, service: &Service) {
    let access = &service.access;
    one(
        out,
        "access_log_lines_total counter Lines of the access log.",
        access.lines,
    );
    one(
        out,
        "access_log_lost_lines_total counter Lines of it that are nowhere.",
        access.lost,
    );
    one(
        out,
        "access_log_waiting_bytes gauge Bytes of lines that wait to be kept.",
        access.waiting_bytes(),
    );
}

/// What the store can do now, and promises.
fn promise(out: &mut String, service: &Service) {
    let store = &service.store;
    let writes = *store.state() == State::Ready;
    let reads = writes || matches!(store.state(), State::ReadOnly(_));
    let flushes = match store.durability() {
        Some(Durability::Flush | Durability::Barrier) => 1,
        Some(Durability::Backend) | None => 0,
    };
    one(
        out,
        "store_readable gauge 1 while the store can be read.",
        reads.into(),
    );
    one(
        out,
        "store_writable gauge 1 while the store takes changes.",
        writes.into(),
    );
    one(
        out,
        "store_durable gauge 1 if the disk flushes; 0: up to the backend.",
        flushes,
    );
    one(
        out,
        "store_durable_seq gauge The last durable change.",
        store.durable_seq().0,
    );
}

/// What the store holds.
fn space(out: &mut String, service: &Service) {
    let now = service.store.statistics();
    one(
        out,
        "store_waiting gauge Batches and uploads waiting.",
        now.waiting,
    );
    one(
        out,
        "store_upload_bytes gauge Bytes of values under way that are held in memory, beyond the first KiB of each.",
        now.upload_bytes,
    );
    one(
        out,
        "store_upload_limit_bytes gauge How many that may be: who wants more waits.",
        now.upload_limit_bytes,
    );
    one(
        out,
        "store_in_part gauge 1 if there is too little memory for the index: then keys and bytes are not known.",
        now.in_part.into(),
    );
    if !now.in_part {
        one(out, "store_keys gauge Live keys.", now.keys);
        one(
            out,
            "store_live_bytes gauge Bytes of live keys and values.",
            now.live_bytes,
        );
    }
    one(
        out,
        "store_used_bytes gauge Bytes of the disk in use.",
        now.used_bytes,
    );
    one(
        out,
        "store_limit_bytes gauge Bytes the store can hold.",
        now.limit_bytes,
    );
    one(
        out,
        "store_index_bytes gauge RAM of the index.",
        now.index_bytes,
    );
    one(
        out,
        "store_cache_bytes gauge RAM of the value cache.",
        now.cache_bytes,
    );
    one(
        out,
        "store_segments gauge Segments of the disk.",
        now.segments.into(),
    );
    one(
        out,
        "store_segments_free gauge Free segments.",
        now.segments_free.into(),
    );
}

/// Limits of the store that are near.
fn warnings(out: &mut String, service: &Service) {
    let name = head(
        out,
        "store_warning_percent gauge The level that the use of a limit has reached: 80 or 95.",
    );
    for warning in service.store.warnings() {
        let (limit, bucket) = match &warning.resource {
            Resource::Disk => ("disk", None),
            Resource::Memory => ("memory", None),
            Resource::Quota(bucket) => ("quota", Some(bucket)),
            Resource::QuotaKeys(bucket) => ("quota-keys", Some(bucket)),
        };
        let bucket = bucket.map_or("", BucketName::as_str);
        let percent = warning.level.percent();
        let _ = writeln!(
            out,
            "lampion_{name}{{limit=\"{limit}\",bucket=\"{bucket}\"}} {percent}"
        );
    }
}

/// What compaction has to do.
fn compaction(out: &mut String, service: &Service) {
    let now = service.store.statistics();
    one(
        out,
        "store_dead_bytes gauge Bytes written that count no longer.",
        now.dead_bytes,
    );
    one(
        out,
        "store_compaction_debt_bytes gauge Bytes that compaction has to make free before it rests.",
        now.compaction_debt_bytes,
    );
    one(
        out,
        "store_compaction_left_bytes gauge Bytes left of the segment that is being emptied.",
        now.compaction_left_bytes,
    );
}

/// What is kept for snapshots; not told while it is being counted.
fn held(out: &mut String, service: &Service) {
    one(
        out,
        "store_unusable_bytes gauge Bytes at the disk's end that a store made on a smaller one cannot use.",
        service.store.statistics().unusable_bytes,
    );
    if let Some(held_bytes) = service.store.statistics().held_bytes {
        one(
            out,
            "store_held_bytes gauge Bytes that snapshots show and that are not there now.",
            held_bytes,
        );
    }
}

/// What the store has done.
fn work(out: &mut String, service: &Service) {
    let now = service.store.statistics();
    one(
        out,
        "store_groups_total counter Commit groups written.",
        now.groups,
    );
    one(
        out,
        "store_changes_total counter Changes committed.",
        now.changes,
    );
    one(
        out,
        "store_written_bytes_total counter Bytes written to the disk.",
        now.written_bytes,
    );
    one(
        out,
        "store_flushes_total counter Flushes completed.",
        now.flushes,
    );
    one(
        out,
        "store_compactions_total counter Segments compacted.",
        now.compactions,
    );
    one(
        out,
        "store_expired_total counter Values whose time was over.",
        now.expired,
    );
    one(
        out,
        "store_clock_steps_total counter How often the wall clock was set by more than a minute.",
        now.clock_steps,
    );
    one(
        out,
        "store_corruptions_total counter Checksum mismatches met.",
        now.corruptions,
    );
    one(
        out,
        "store_uploads_displaced_total counter Slow uploads that were ended to make room for others.",
        now.uploads_displaced,
    );
}

/// The comment lines of a metric, written here as `name kind help`; its name.
fn head<'d>(out: &mut String, description: &'d str) -> &'d str {
    let (name, rest) = description.split_once(' ').unwrap_or((description, ""));
    let (kind, help) = rest.split_once(' ').unwrap_or((rest, ""));
    let _ = writeln!(
        out,
        "# HELP lampion_{name} {help}\n# TYPE lampion_{name} {kind}"
    );
    name
}

/// A metric with one value.
fn one(out: &mut String, description: &str, value: u64) {
    let name = head(out, description);
    let _ = writeln!(out, "lampion_{name} {value}");
}

/// A label's value, in quotes and escaped.
fn label(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_problem_is_counted() {
        for (_, status, name, _) in KINDS {
            let known = STATUSES.iter().any(|(known, _)| known == status);
            assert!(known, "{status} of {name}");
        }
    }
}
