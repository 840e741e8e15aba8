//! One JSON object for each thing on the disk, with the names of the text form.

use serde_json::{Value, json};
use store::check::{Content, Identity, Item, OwnerOf, Record, SuperblockCopy};

use super::lines::{cause, hex, key, standing};

/// The object of anything, on one line.
pub(super) fn line(item: &Item<'_>) -> String {
    object(item).to_string()
}

fn object(item: &Item<'_>) -> Value {
    match item {
        Item::Superblock(superblock) => {
            let (state, says) = match &superblock.copy {
                SuperblockCopy::Absent => ("absent", Value::Null),
                SuperblockCopy::Unreadable => ("unreadable", Value::Null),
                SuperblockCopy::Damaged => ("damaged", Value::Null),
                SuperblockCopy::Version(version) => ("version", json!({ "version": version })),
                SuperblockCopy::Intact(says) => ("intact", identity(says)),
            };
            json!({ "offset": superblock.offset_bytes, "item": "superblock", "state": state, "says": says })
        }
        Item::Segment(segment) => json!({
            "offset": segment.offset_bytes, "item": "segment", "number": segment.number,
            "generation": segment.generation, "epoch": segment.epoch,
            "previous": segment.previous_generation, "successor": segment.successor,
            "free": segment.free_segments, "next_seq": segment.next_seq,
            "data": segment.data_offset_bytes, "wall_ns": segment.wall_ns,
        }),
        Item::Group(group) => json!({
            "offset": group.offset_bytes, "item": "group", "standing": standing(group.standing),
            "len": group.len_bytes, "span": group.span_bytes, "records": group.record_count,
            "epoch": group.epoch, "generation": group.generation, "base_seq": group.base_seq,
            "next_seq": group.next_seq, "flushed": group.flushed_through,
            "joint": group.joint.map(|joint| {
                json!({ "generation": joint.generation, "offset": joint.offset_bytes })
            }),
            "wall_ns": group.wall_ns,
        }),
        Item::Record(record) => self::record(record),
        Item::Gap(gap) => json!({
            "offset": gap.offset_bytes, "item": "gap", "cause": cause(gap.cause),
            "len": gap.len_bytes,
        }),
        Item::Footer(footer) => json!({
            "offset": footer.offset_bytes, "item": "footer", "needed": footer.counts,
            "generation": footer.says.map(|(generation, _)| generation),
            "end": footer.says.map(|(_, end)| end),
            "summary": footer.summary_bytes,
        }),
        Item::Finding(finding) => json!({
            "offset": finding.offset_bytes, "item": "finding", "kind": finding.kind.name(),
            "bucket": finding.about.as_ref().map(|about| &*about.bucket),
            "key": finding.about.as_ref().map(|about| key(&about.key)),
            "seq": finding.about.as_ref().map(|about| about.seq),
            "meaning": finding.meaning,
        }),
        Item::Note(note) => json!({
            "offset": note.offset_bytes, "item": "note", "meaning": note.meaning,
        }),
    }
}

fn identity(says: &Identity) -> Value {
    json!({
        "store": hex(&says.store_id), "counter": says.counter, "epoch": says.epoch,
        "next_seq": says.next_seq, "unit": says.unit_bytes, "segments": says.segment_count,
        "segment_bytes": says.segment_bytes, "first_segment": says.first_segment_bytes,
        "header": says.header_bytes, "keys": says.key_count, "index": says.index_bytes,
        "clean": says.clean.map(|mark| {
            json!({ "generation": mark.generation, "offset": mark.offset_bytes })
        }),
        "flags": says.flags, "formatted_ns": says.formatted_wall_ns,
    })
}

fn record(record: &Record<'_>) -> Value {
    let says = match &record.content {
        Content::Put {
            owner,
            metadata,
            value_crc,
            value,
        } => owned(
            owner,
            json!({ "value": value.len(), "crc": value_crc, "headers": metadata.len() }),
        ),
        Content::Tombstone { owner } => owned(owner, json!({})),
        Content::Free { number, generation } => {
            json!({ "segment": number, "generation": generation })
        }
        Content::Chunk {
            upload,
            number,
            data,
        } => json!({ "upload": upload, "number": number, "data": data.len() }),
        Content::Manifest {
            owner,
            metadata,
            value_crc,
            value_len,
            upload,
        } => owned(
            owner,
            json!({
                "value": value_len, "crc": value_crc, "headers": metadata.len(),
                "upload": upload,
            }),
        ),
        Content::Quota {
            seq,
            bucket,
            limits,
        } => json!({
            "seq": seq, "bucket": bucket, "bytes": limits.bytes, "keys": limits.keys,
        }),
        Content::Views { seq, list } => json!({ "seq": seq, "list": list.len() }),
        Content::Unknown { ignorable } => json!({ "ignorable": ignorable }),
    };
    let place = json!({
        "offset": record.offset_bytes, "item": "record", "kind": record.content.name(),
        "standing": standing(record.standing), "len": record.len_bytes,
    });
    joined(place, says)
}

fn owned(owner: &OwnerOf<'_>, says: Value) -> Value {
    let owner = json!({
        "seq": owner.seq, "bucket": owner.bucket, "key": key(owner.key),
        "modified_ns": owner.modified_wall_ns,
    });
    joined(owner, says)
}

/// One object with the fields of both.
fn joined(mut first: Value, second: Value) -> Value {
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        first.extend(second);
    }
    first
}
