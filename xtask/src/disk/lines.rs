//! One line of text for each thing on the disk: the offset, the kind, then NAME=VALUE.

use std::fmt::Write as _;

use store::check::{
    Cause, Content, Footer, Gap, Group, Identity, Item, OwnerOf, Record, Segment, Standing,
    Superblock, SuperblockCopy,
};

/// The line of a finding or a note; nothing for what is neither.
pub(super) fn finding(item: &Item<'_>) -> Option<String> {
    match item {
        Item::Finding(finding) => Some(finding.to_string()),
        Item::Note(note) => Some(note.to_string()),
        Item::Superblock(_)
        | Item::Segment(_)
        | Item::Group(_)
        | Item::Record(_)
        | Item::Gap(_)
        | Item::Footer(_) => None,
    }
}

/// The line of anything; those of findings have `!!` behind the offset.
pub(super) fn line(item: &Item<'_>) -> String {
    let (offset, rest) = match item {
        Item::Superblock(superblock) => (superblock.offset_bytes, self::superblock(superblock)),
        Item::Segment(segment) => (segment.offset_bytes, self::segment(segment)),
        Item::Group(group) => (group.offset_bytes, self::group(group)),
        Item::Record(record) => (record.offset_bytes, self::record(record)),
        Item::Gap(gap) => (gap.offset_bytes, self::gap(gap)),
        Item::Footer(footer) => (footer.offset_bytes, self::footer(footer)),
        Item::Finding(finding) => {
            let (kind, meaning) = (finding.kind.name(), &finding.meaning);
            (finding.offset_bytes, format!("!! {kind}: {meaning}"))
        }
        Item::Note(note) => (note.offset_bytes, format!("-- {}", note.meaning)),
    };
    format!("{offset:#014x} {rest}")
}

fn superblock(superblock: &Superblock) -> String {
    let state = match &superblock.copy {
        SuperblockCopy::Absent => String::from("absent"),
        SuperblockCopy::Unreadable => String::from("unreadable"),
        SuperblockCopy::Damaged => String::from("damaged"),
        SuperblockCopy::Version(version) => format!("version={version}"),
        SuperblockCopy::Intact(says) => identity(says),
    };
    format!("superblock {state}")
}

fn identity(says: &Identity) -> String {
    let clean = match says.clean {
        Some(mark) => format!("{}@{:#x}", mark.generation, mark.offset_bytes),
        None => String::from("none"),
    };
    let [required, compatible, ignorable] = says.flags;
    format!(
        "store={} counter={} epoch={} next_seq={} unit={} segments={}x{}@{:#x} header={} keys={} index={} clean={clean} flags={required:#x},{compatible:#x},{ignorable:#x} formatted_ns={}",
        hex(&says.store_id),
        says.counter,
        says.epoch,
        says.next_seq,
        says.unit_bytes,
        says.segment_count,
        says.segment_bytes,
        says.first_segment_bytes,
        says.header_bytes,
        says.key_count,
        says.index_bytes,
        says.formatted_wall_ns,
    )
}

/// Thirty-two hexadecimal digits, as on the console.
pub(super) fn hex(id: &[u8; 16]) -> String {
    id.iter().fold(String::new(), |mut out, byte| {
        // Writing into a string does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn segment(segment: &Segment) -> String {
    let number = |number: Option<u32>| number.map_or(String::from("none"), |one| one.to_string());
    format!(
        "segment {} generation={} epoch={} previous={} successor={} free={} next_seq={} data={:#x} wall_ns={}",
        segment.number,
        segment.generation,
        segment.epoch,
        segment.previous_generation,
        number(segment.successor),
        number(segment.free_segments),
        segment.next_seq,
        segment.data_offset_bytes,
        segment.wall_ns,
    )
}

/// The word for what is known of a group or record.
pub(super) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Proven => "proven",
        Standing::Unproven => "unproven",
        Standing::LeftOut => "left-out",
        Standing::Damaged => "damaged",
    }
}

fn group(group: &Group) -> String {
    let joint = group.joint.map_or_else(String::new, |joint| {
        format!(" joint={}@{:#x}", joint.generation, joint.offset_bytes)
    });
    format!(
        "group {} len={} span={} records={} epoch={} generation={} base_seq={} next_seq={} flushed={}{joint} wall_ns={}",
        standing(group.standing),
        group.len_bytes,
        group.span_bytes,
        group.record_count,
        group.epoch,
        group.generation,
        group.base_seq,
        group.next_seq,
        group.flushed_through,
        group.wall_ns,
    )
}

/// A key's bytes without blanks and unprintable ones: those are `\xNN`.
pub(super) fn key(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace(' ', "\\x20")
}

fn owner(owner: &OwnerOf<'_>) -> String {
    format!(
        "seq={} bucket={} key={} modified_ns={}",
        owner.seq,
        owner.bucket,
        key(owner.key),
        owner.modified_wall_ns
    )
}

fn record(record: &Record<'_>) -> String {
    let says = match &record.content {
        Content::Put {
            owner,
            metadata,
            value_crc,
            value,
        } => format!(
            "{} value={} crc={value_crc:#010x} headers={}",
            self::owner(owner),
            value.len(),
            metadata.len()
        ),
        Content::Tombstone { owner } => self::owner(owner),
        Content::Free { number, generation } => {
            format!("segment={number} generation={generation}")
        }
        Content::Chunk {
            upload,
            number,
            data,
        } => format!("upload={upload} number={number} data={}", data.len()),
        Content::Manifest {
            owner,
            metadata,
            value_crc,
            value_len,
            upload,
        } => format!(
            "{} value={value_len} crc={value_crc:#010x} headers={} upload={upload}",
            self::owner(owner),
            metadata.len()
        ),
        Content::Quota {
            seq,
            bucket,
            limits,
        } => format!(
            "seq={seq} bucket={bucket} bytes={} keys={}",
            limits.bytes, limits.keys
        ),
        Content::Views { seq, list } => format!("seq={seq} list={}", list.len()),
        Content::Unknown { ignorable } => format!("ignorable={ignorable}"),
    };
    format!(
        "  {} {} len={} {says}",
        record.content.name(),
        standing(record.standing),
        record.len_bytes
    )
}

/// The word for why no group counts in a range.
pub(super) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Crash => "crash",
        Cause::Damage => "damage",
        Cause::Unused => "unused",
    }
}

fn gap(gap: &Gap) -> String {
    format!("gap {} len={}", cause(gap.cause), gap.len_bytes)
}

fn footer(footer: &Footer) -> String {
    let says = match footer.says {
        Some((generation, end)) => format!("generation={generation} end={end:#x}"),
        None => String::from("none"),
    };
    let summary = match footer.summary_bytes {
        0 => String::new(),
        bytes => format!(" summary={bytes}"),
    };
    let counts = match footer.counts {
        true => "",
        false => " not-needed",
    };
    format!("footer {says}{summary}{counts}")
}
