//! What a look adds up to, for people.

use std::io::{self, Write};

use store::check::{Identity, Report};

use super::lines;

/// One line: how much was looked at, and what was found.
pub(super) fn summary(report: &Report) -> String {
    let found = match report.findings {
        0 => String::from("no findings"),
        1 => String::from("1 finding"),
        count => format!("{count} findings"),
    };
    let notes = match report.notes {
        1 => String::from("1 note"),
        count => format!("{count} notes"),
    };
    let keys: u64 = report.buckets.values().map(|bucket| bucket.keys).sum();
    format!(
        "{found}, {notes}: {} segments in use, {} groups, {keys} keys",
        report.segments.len(),
        report.groups
    )
}

/// All figures, one a line, then segments, kinds of records and buckets as tables.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if let Some(says) = &report.identity {
        geometry(out, report, says)?;
    }
    let records: u64 = report.segments.iter().map(|one| one.record_bytes).sum();
    writeln!(out, "groups           {}", report.groups)?;
    writeln!(out, "group headers    {} bytes", report.group_header_bytes)?;
    writeln!(out, "padding          {} bytes", report.padding_bytes)?;
    writeln!(out, "gaps             {} bytes", report.gap_bytes)?;
    writeln!(out, "records          {records} bytes")?;
    writeln!(out, "records, live    {} bytes", report.live_bytes)?;
    writeln!(out, "records, dead    {} bytes", report.dead_bytes)?;
    writeln!(out)?;
    let (segment, generation) = ("segment", "generation");
    writeln!(
        out,
        "{segment:>8} {generation:>20} groups       used       live"
    )?;
    for one in &report.segments {
        writeln!(
            out,
            "{:>8} {:>20} {:>6} {:>10} {:>10}",
            one.number, one.generation, one.groups, one.used_bytes, one.live_bytes
        )?;
    }
    writeln!(out)?;
    writeln!(out, "record         count        bytes")?;
    for (name, sum) in report.tally.by_name() {
        writeln!(out, "{name:<10} {:>9} {:>12}", sum.count, sum.bytes)?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "     keys    key bytes  value bytes headers deleted quota bytes/keys bucket"
    )?;
    for (name, bucket) in &report.buckets {
        let none = |limit: u64| match limit {
            0 => String::from("none"),
            limit => limit.to_string(),
        };
        let quota = format!("{}/{}", none(bucket.quota.bytes), none(bucket.quota.keys));
        writeln!(
            out,
            "{:>9} {:>12} {:>12} {:>7} {:>7} {quota:>16} {name}",
            bucket.keys,
            bucket.key_bytes,
            bucket.value_bytes,
            bucket.metadata_bytes,
            bucket.tombstones
        )?;
    }
    snapshots(out, report)?;
    writeln!(out)?;
    writeln!(out, "{}", summary(report))
}

fn geometry(out: &mut impl Write, report: &Report, says: &Identity) -> io::Result<()> {
    let closed = match (report.closed, says.clean) {
        (true, _) => "yes",
        (false, Some(_)) => "yes, but the log does not end where the mark says",
        (false, None) => "no",
    };
    let in_use = report.segments.len();
    let free = (says.segment_count as usize).saturating_sub(in_use);
    writeln!(out, "store            {}", lines::hex(&says.store_id))?;
    writeln!(
        out,
        "formatted        {} ns since 1970",
        says.formatted_wall_ns
    )?;
    writeln!(out, "device           {} bytes", report.device_bytes)?;
    writeln!(out, "unit             {} bytes", says.unit_bytes)?;
    writeln!(
        out,
        "segments         {} of {} bytes",
        says.segment_count, says.segment_bytes
    )?;
    writeln!(out, "segments in use  {in_use}")?;
    writeln!(out, "segments free    {free}")?;
    writeln!(out, "open-epoch       {}", report.epoch)?;
    writeln!(out, "next sequence    {}", report.next_seq)?;
    writeln!(out, "closed cleanly   {closed}")
}

fn snapshots(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.snapshots.is_empty() && report.rollbacks == 0 {
        return Ok(());
    }
    writeln!(out)?;
    writeln!(out, "     keys     sequence taken, ms since 1970 snapshot")?;
    for one in &report.snapshots {
        writeln!(
            out,
            "{:>9} {:>12} {:>20} {}",
            one.keys, one.seq, one.taken_wall_ms, one.name
        )?;
    }
    writeln!(out, "{} rollbacks hide something", report.rollbacks)
}
