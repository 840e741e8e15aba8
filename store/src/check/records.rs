//! The records of a group: each one's own checksum, its value's, and what it says.

use super::content::{Content, Record};
use super::finding::{About, Kind};
use super::item::{Group, Item, Standing};
use super::ledger::about;
use super::look::Look;
use crate::format::checksum::{Seeds, crc32c};
use crate::format::group::Header;
use crate::format::layout::Layout;
use crate::format::record;
use crate::format::views;
use crate::large::CHUNKS_MAX;
use crate::metadata;
use alloc::format;
use alloc::string::String;

/// Where a group lies, and what is known of it.
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) standing: Standing,
    pub(super) seeds: Seeds,
    pub(super) layout: Layout,
}

impl Look {
    /// A group that counts.
    pub(super) fn group(&mut self, header: &Header, bytes: &[u8], place: &Place) {
        let offset = place.offset;
        self.report.groups += 1;
        self.report.group_header_bytes += header.header_len as u64;
        self.report.padding_bytes += header.span - header.length as u64;
        if let Some(segment) = self.report.segments.last_mut() {
            segment.groups += 1;
            segment.record_bytes += (header.length - header.header_len) as u64;
        }
        self.show(&Item::Group(&Group::of(header, offset, place.standing)));
        if header.newer {
            let meaning = "a newer release wrote something into this group that must be understood";
            self.note(
                offset,
                format!("{meaning}: this one opens the store read-only"),
            );
        }
        if header.flushed_through >= header.next_seq {
            let meaning = format!(
                "the group says that sequence {} was durable before it, and gives out sequences below {}",
                header.flushed_through, header.next_seq
            );
            self.find(offset, Kind::Sequence, None, meaning);
        }
        let (mut at, mut seen) = (header.header_len, 0);
        while at < bytes.len() {
            let pos = offset + at as u64;
            let Some(found) = record::decode_proven(&bytes[at..]) else {
                let meaning =
                    "an intact group holds what is no record: the rest of the group is not shown";
                self.find(pos, Kind::Record, None, String::from(meaning));
                return;
            };
            let raw = &bytes[at..at + found.len];
            let intact = record::decode(raw, place.seeds.place(header.generation, pos)).is_some();
            let record = Record {
                offset_bytes: pos,
                len_bytes: found.len as u64,
                content: Content::of(&found.record),
                standing: place.standing,
            };
            self.record(&record, header, place, intact);
            at += found.len;
            seen += 1;
        }
        if seen != header.record_count {
            let pos = offset + header.header_len as u64;
            let meaning = format!(
                "the group says that it holds {} records, and holds {seen}",
                header.record_count
            );
            self.find(pos, Kind::Group, None, meaning);
        }
    }

    fn record(&mut self, record: &Record<'_>, header: &Header, place: &Place, intact: bool) {
        let (pos, name) = (record.offset_bytes, describe(&record.content));
        let whose = whose(&record.content);
        self.show(&Item::Record(record));
        self.report.tally.add(&record.content, record.len_bytes);
        if !intact {
            let meaning = format!(
                "{name} fails its own checksum although its group is intact: it cannot be read"
            );
            self.find(pos, Kind::Record, whose.clone(), meaning);
        }
        if let Some((kind, meaning)) = wrong_content(&record.content, &name) {
            self.find(pos, kind, whose.clone(), meaning);
        }
        let high = header.next_seq;
        if let Some(seq) = record.content.seq().filter(|seq| *seq == 0 || *seq >= high) {
            let meaning =
                format!("{name} has sequence {seq}, and its group allows 1 to {high}, less one");
            self.find(pos, Kind::Sequence, whose.clone(), meaning);
        }
        if let Content::Free { number, generation } = record.content
            && (number >= place.layout.segment_count || generation >= header.generation)
        {
            let meaning = format!(
                "a record frees segment {number} of generation {generation}, which cannot have been freed here"
            );
            self.find(pos, Kind::Free, None, meaning);
        }
        if record.content == (Content::Unknown { ignorable: false }) {
            let meaning = "a record of a newer release: this one opens the store read-only";
            self.note(pos, String::from(meaning));
        }
        if !self.ledger.add(record, header.generation) {
            let meaning = format!("{name} is in the log twice, and not the same");
            self.find(pos, Kind::Sequence, whose, meaning);
        }
    }
}

fn wrong_content(content: &Content<'_>, name: &str) -> Option<(Kind, String)> {
    match *content {
        Content::Put {
            metadata,
            value_crc,
            value,
            ..
        } => wrong_value(value, value_crc, name).or_else(|| wrong_metadata(metadata, name)),
        Content::Manifest { metadata, .. } => wrong_metadata(metadata, name),
        Content::Chunk { number, .. } if number >= CHUNKS_MAX => Some((
            Kind::Chunk,
            format!("{name} has a number beyond the longest value: it is not used"),
        )),
        Content::Views { seq, list } if views::decode(seq, list).is_none() => Some((
            Kind::Record,
            format!("{name} is not well-formed: an older one is used"),
        )),
        Content::Chunk { .. }
        | Content::Views { .. }
        | Content::Unknown { .. }
        | Content::Tombstone { .. }
        | Content::Free { .. }
        | Content::Quota { .. } => None,
    }
}

fn wrong_value(value: &[u8], crc: u32, name: &str) -> Option<(Kind, String)> {
    let meaning = || format!("the value in {name} is damaged: reading it fails");
    (crc32c(0, value) != crc).then(|| (Kind::Value, meaning()))
}

fn wrong_metadata(bytes: &[u8], name: &str) -> Option<(Kind, String)> {
    let meaning =
        || format!("the headers kept with {name} are not well-formed: reading them fails");
    metadata::decode(bytes)
        .is_none()
        .then(|| (Kind::Metadata, meaning()))
}

/// The version of a key a record is about.
pub(super) fn whose(content: &Content<'_>) -> Option<About> {
    content
        .owner()
        .map(|owner| about(owner.bucket, owner.key, owner.seq))
}

/// A record in a few words.
pub(super) fn describe(content: &Content<'_>) -> String {
    let name = content.name();
    if let Some(about) = whose(content) {
        return format!("the {name} of {about}");
    }
    match *content {
        Content::Free { number, .. } => format!("the record that frees segment {number}"),
        Content::Chunk { upload, number, .. } => format!("chunk {number} of upload {upload}"),
        Content::Quota { seq, bucket, .. } => format!("the quota of {bucket} (seq {seq})"),
        Content::Views { seq, .. } => format!("the list of snapshots (seq {seq})"),
        Content::Unknown { .. }
        | Content::Put { .. }
        | Content::Tombstone { .. }
        | Content::Manifest { .. } => String::from("a record of a newer release"),
    }
}
