//! `/-/admin/status`: what runs here, on what, under which settings and limits.

use crate::answer::Answer;
use crate::batch;
use crate::connection::BYTES_PER_S_MIN;
use crate::http::head::{FIELDS_MAX, HEAD_BYTES_MAX, LINE_BYTES_MAX};
use crate::json::Members;
use crate::service::Service;
use alloc::string::String;
use store::block::Durability;
use store::{Now, State};

/// All of it; nothing in it is secret.
pub(super) fn show(service: &Service, now: Now) -> Answer {
    let mut out = String::with_capacity(4_096);
    Members::object(&mut out, |members| {
        let environment = &service.environment;
        members.text("version", &environment.version);
        members.text("commit", &environment.commit);
        members.number("uptime_s", now.monotonic_ns / 1_000_000_000);
        members.flag("draining", service.is_draining());
        members.inner("store", |store| push_store(store, service));
        members.inner("limits", |limits| push_limits(limits, service));
        if let Some(source) = &environment.status {
            source.append(members, &service.config);
        }
    });
    out.push('\n');
    Answer::text(200, "application/json", out)
}

fn push_store(members: &mut Members<'_>, service: &Service) {
    let store = &service.store;
    let (state, why) = match store.state() {
        State::Opening => ("opening", ""),
        State::Ready => ("ready", ""),
        State::ReadOnly(why) => ("read-only", &**why),
        State::Refused(why) => ("refused", &**why),
        State::Closed => ("closed", ""),
    };
    members.text("state", state);
    if !why.is_empty() {
        members.text("why", why);
    }
    let durability = match store.durability() {
        Some(Durability::Flush) => "flush",
        Some(Durability::Barrier) => "barrier",
        Some(Durability::Backend) => "up to the backend",
        None => "unknown",
    };
    members.text("durability", durability);
    if let Some(note) = &service.environment.note {
        members.text("note", note);
    }
    if let Some(away) = store.disk_absence() {
        members.text("disk_away", away);
    }
    let now = store.statistics();
    members.number("durable_seq", store.durable_seq().0);
    members.number("changes_floor_seq", store.changes_floor().0);
    members.flag("in_part", now.in_part);
    members.number("keys", now.keys);
    members.number("used_bytes", now.used_bytes);
    members.number("limit_bytes", now.limit_bytes);
    members.number("index_bytes", now.index_bytes);
    members.number("cache_bytes", now.cache_bytes);
    members.number("crashes", store.crashes().len() as u64);
}

fn push_limits(members: &mut Members<'_>, service: &Service) {
    let limits = &service.config.limits;
    let ms = |duration_ns: u64| duration_ns / 1_000_000;
    members.number("request_line_bytes", LINE_BYTES_MAX as u64);
    members.number("head_bytes", HEAD_BYTES_MAX as u64);
    members.number("fields", FIELDS_MAX as u64);
    members.number("head_timeout_ms", ms(limits.head_timeout_ns));
    members.number("idle_timeout_ms", ms(limits.idle_timeout_ns));
    members.number("body_timeout_ms", ms(limits.body_timeout_ns));
    members.number("answer_timeout_ms", ms(limits.answer_timeout_ns));
    members.number("bytes_per_s_min", BYTES_PER_S_MIN);
    members.number("batch_lines", batch::lines_max(limits));
    members.number("batch_bytes", batch::body_bytes_max(limits));
    members.number("bodies_bytes", limits.bodies_bytes);
    members.number("sessions_bytes", limits.sessions_bytes);
    members.number("watchers", limits.watchers.into());
}
