//! What no rot makes: intact groups that say what they must not.

use super::*;
use crate::format::checksum::Seeds;
use crate::format::group::{self, Header, Joint};
use crate::format::layout::Layout;
use crate::format::record::{self, Owner, Record};
use crate::format::superblock::{Found, Superblock};

/// The last group of a store that was not closed: nothing follows that could contradict it.
struct Last {
    disk: MemoryDisk,
    seeds: Seeds,
    layout: Layout,
    at: u64,
    header: Header,
}

fn last() -> Last {
    let disk = MemoryDisk::new(8 << 20);
    sample(&disk, false);
    let seen = look(&disk);
    let (at, _) = *seen.groups.last().expect("a group");
    let mut bytes = [0u8; 4096];
    disk.peek(0, &mut bytes);
    let Found::Intact(superblock) = Superblock::decode(&bytes) else {
        panic!("a good copy");
    };
    let seeds = Seeds::new(&superblock.store_id, superblock.checksum_seed);
    disk.peek(at, &mut bytes);
    let header = group::decode(&bytes, at, seeds).expect("a group");
    Last {
        disk,
        seeds,
        layout: superblock.layout,
        at,
        header,
    }
}

impl Last {
    /// Writes it anew with these records.
    fn rewrite(&self, records: &[Record<'_>], alter: impl Fn(&mut Header)) {
        let mut header = self.header;
        header.record_count = records.len() as u32;
        alter(&mut header);
        let mut bytes = Vec::new();
        group::begin(&mut bytes, header.joint.as_ref());
        for record in records {
            let place = self.at + bytes.len() as u64;
            record::encode(
                &mut bytes,
                record,
                self.seeds.place(header.generation, place),
            );
        }
        self.seal(bytes, header);
    }

    fn seal(&self, mut bytes: Vec<u8>, mut header: Header) {
        header.length = bytes.len();
        header.span = self.layout.span(bytes.len() as u64);
        group::seal(&mut bytes, &header, self.at, self.seeds);
        bytes.resize(header.span as usize, 0);
        self.disk.poke(self.at, &bytes);
    }

    fn look(&self) -> Seen {
        look(&self.disk)
    }
}

fn owner(key: &[u8], seq: u64) -> Owner<'_> {
    Owner {
        seq,
        bucket: "b",
        key,
        modified_wall_ns: 1,
    }
}

fn put_of<'a>(key: &'a [u8], seq: u64, value: &'a [u8], value_crc: u32) -> Record<'a> {
    Record::Put {
        owner: owner(key, seq),
        metadata: &[],
        value_crc,
        value,
    }
}

#[test]
fn a_rewritten_group_that_is_right_is_no_finding() {
    let last = last();
    let crc = crate::format::checksum::crc32c(0, b"x");
    last.rewrite(&[put_of(b"new", last.header.base_seq, b"x", crc)], |_| {});
    last.look().assert_clean("right");
}

#[test]
fn a_value_that_was_written_wrong_is_found() {
    let last = last();
    last.rewrite(&[put_of(b"new", last.header.base_seq, b"x", 5)], |_| {});
    let seen = last.look();
    assert!(seen.has(Kind::Value, last.at + 96), "{:#?}", seen.findings);
    assert!(seen.says("b/new (seq "));
}

#[test]
fn a_record_with_a_wrong_checksum_in_an_intact_group_is_found() {
    let last = last();
    let mut bytes = Vec::new();
    group::begin(&mut bytes, None);
    record::encode(
        &mut bytes,
        &Record::Tombstone {
            owner: owner(b"k", last.header.base_seq),
        },
        7,
    );
    last.seal(
        bytes,
        Header {
            record_count: 1,
            ..last.header
        },
    );
    let seen = last.look();
    assert!(seen.has(Kind::Record, last.at + 96), "{:#?}", seen.findings);
    assert!(seen.says("fails its own checksum"));
}

#[test]
fn sequences_out_of_bounds_are_found() {
    let crc = crate::format::checksum::crc32c(0, b"x");
    for seq in [0, u64::MAX / 4] {
        let last = last();
        last.rewrite(&[put_of(b"new", seq, b"x", crc)], |_| {});
        let seen = last.look();
        assert!(
            seen.has(Kind::Sequence, last.at + 96),
            "{seq}: {:#?}",
            seen.findings
        );
    }
    let last = last();
    let seq = last.header.base_seq;
    last.rewrite(&[put_of(b"new", seq, b"x", crc)], |header| {
        header.base_seq = 1;
        header.next_seq = seq - 1;
    });
    let seen = last.look();
    assert!(seen.has(Kind::Sequence, last.at), "{:#?}", seen.findings);
    assert!(seen.says("high-water goes back"));
}

#[test]
fn a_sequence_given_out_twice_is_found() {
    let last = last();
    let crc = crate::format::checksum::crc32c(0, b"x");
    let seq = last.header.base_seq;
    let twice = [
        put_of(b"one", seq, b"x", crc),
        put_of(b"two", seq, b"x", crc),
    ];
    last.rewrite(&twice, |_| {});
    assert!(last.look().says("was given out twice"));
    let twice = [put_of(b"one", seq, b"x", crc), put_of(b"one", seq, b"", 0)];
    last.rewrite(&twice, |_| {});
    let seen = last.look();
    assert!(
        seen.says("is in the log twice, and not the same"),
        "{:#?}",
        seen.findings
    );
}

#[test]
fn a_large_value_without_its_chunks_is_found() {
    let last = last();
    let manifest = |upload, value_len| Record::Manifest {
        owner: owner(b"new", last.header.base_seq),
        metadata: &[],
        value_crc: 1,
        value_len,
        upload,
    };
    last.rewrite(&[manifest(1 << 60, 70_000)], |_| {});
    let seen = last.look();
    assert!(seen.has(Kind::Chunk, last.at + 96), "{:#?}", seen.findings);
    assert!(seen.says("lacks chunk 0 of 2: reading it breaks off at byte 0"));
    let chunk = Record::Chunk {
        upload: 9,
        number: 0,
        data: b"data",
    };
    last.rewrite(&[chunk, manifest(9, 4)], |_| {});
    assert!(last.look().says("its chunks are not what was put"));
    last.rewrite(&[chunk, manifest(9, 5)], |_| {});
    assert!(last.look().says("has 4 bytes instead of 5"));
}

#[test]
fn a_record_that_frees_what_is_not_there_is_found() {
    let last = last();
    last.rewrite(
        &[Record::Free {
            number: 4000,
            generation: 1,
        }],
        |_| {},
    );
    let seen = last.look();
    assert!(seen.has(Kind::Free, last.at + 96), "{:#?}", seen.findings);
}

#[test]
fn a_joint_at_another_place_is_found() {
    let last = last();
    let before = last.header.chain;
    last.rewrite(&[], |header| {
        header.epoch += 1;
        header.joint = Some(Joint {
            generation: header.generation,
            offset: 512,
            chain: before,
        });
    });
    let seen = last.look();
    assert!(seen.has(Kind::Joint, last.at), "{:#?}", seen.findings);
}

#[test]
fn a_wrong_count_of_records_and_headers_that_are_none_are_found() {
    let last = last();
    last.rewrite(&[], |header| header.record_count = 3);
    assert!(
        last.look()
            .says("says that it holds 3 records, and holds 0")
    );
    let put = Record::Put {
        owner: owner(b"k", last.header.base_seq),
        metadata: &[1, 200],
        value_crc: 0,
        value: b"",
    };
    last.rewrite(&[put], |_| {});
    assert!(last.look().has(Kind::Metadata, last.at + 96));
}

#[test]
fn a_flushed_through_of_the_future_is_found() {
    let last = last();
    last.rewrite(&[], |header| header.flushed_through = header.next_seq);
    let seen = last.look();
    assert!(seen.has(Kind::Sequence, last.at), "{:#?}", seen.findings);
}
