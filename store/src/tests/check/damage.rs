//! One damage at a known place, and the finding that names it.

use super::*;
use crate::format::superblock::{Found, Superblock};
use crate::tests::sim_disk::{Image, SimDisk};

/// A closed sample, what a look at it shows, and the disk.
fn good() -> (MemoryDisk, Seen) {
    let disk = MemoryDisk::new(8 << 20);
    sample(&disk, true);
    let seen = look(&disk);
    seen.assert_clean("before");
    (disk, seen)
}

fn flip(disk: &MemoryDisk, at: u64) {
    let mut byte = [0u8];
    disk.peek(at, &mut byte);
    disk.poke(at, &[byte[0] ^ 0x10]);
}

#[test]
fn either_superblock_is_missed() {
    for at in [0, 1 << 20] {
        for byte in [0, 12, 20, 90, 255] {
            let (disk, _) = good();
            flip(&disk, at + byte);
            let seen = look(&disk);
            assert!(
                seen.has(Kind::Superblock, at),
                "{byte}: {:?}",
                seen.findings
            );
        }
    }
}

#[test]
fn a_superblock_that_keeps_the_store_from_opening_is_said_to() {
    let (disk, _) = good();
    disk.poke(8, &[2]);
    let seen = look(&disk);
    assert!(seen.has(Kind::Superblock, 0), "{:#?}", seen.findings);
    assert!(seen.says("a store does not open here: the store on the disk has format version 2"));
}

/// One copy with a field changed, under a right checksum.
fn altered(disk: &MemoryDisk, offset: u64, alter: impl Fn(&mut Superblock)) {
    let mut bytes = [0u8; 4096];
    disk.peek(offset, &mut bytes);
    let Found::Intact(mut superblock) = Superblock::decode(&bytes) else {
        panic!("a good copy");
    };
    alter(&mut superblock);
    disk.poke(offset, &superblock.encode(4096));
}

#[test]
fn superblocks_that_contradict_each_other_are_findings() {
    type Alter = fn(&mut Superblock);
    // The sample is opened and closed by turns: copy A has the higher counter.
    let cases: [(u64, Alter, &str); 6] = [
        (
            1 << 20,
            |copy| copy.counter += 1,
            "lies where the other one belongs",
        ),
        (
            1 << 20,
            |copy| copy.store_id = [9; 16],
            "is of another store",
        ),
        (1 << 20, |copy| copy.counter -= 2, "a write of it was lost"),
        (
            1 << 20,
            |copy| copy.epoch += 9,
            "has a higher epoch or sequence",
        ),
        (0, |copy| copy.next_seq = 5, "sequence high-water is 5"),
        (
            0,
            |copy| copy.key_count += 1,
            "closed with 10 keys, and the log holds 9",
        ),
    ];
    for (offset, alter, words) in cases {
        let (disk, _) = good();
        altered(&disk, offset, alter);
        let seen = look(&disk);
        assert!(seen.says(words), "{words}: {:#?}", seen.findings);
    }
}

#[test]
fn the_header_of_a_segment_is_missed_with_the_keys_in_it() {
    let (_, before) = good();
    for (index, at) in before.headers.iter().enumerate() {
        let (disk, _) = good();
        flip(&disk, at + 30);
        let seen = look(&disk);
        let newest = index + 1 == before.headers.len();
        assert!(seen.has(Kind::Header, *at), "{index}: {:#?}", seen.findings);
        let lost = if newest { "b/last (seq" } else { "b/large-" };
        assert!(
            index == 1 || (seen.says(lost) && seen.says("is lost")),
            "{index}: {:#?}",
            seen.findings
        );
    }
}

#[test]
fn the_bitmap_of_an_older_segment_costs_nothing() {
    let (disk, before) = good();
    flip(&disk, before.headers[0] + 129);
    let seen = look(&disk);
    assert!(seen.has(Kind::Bitmap, before.headers[0]));
    assert_eq!(seen.findings.len(), 1, "{:?}", seen.findings);
}

#[test]
fn the_bitmap_of_the_newest_segment_takes_its_header_with_it() {
    let (disk, before) = good();
    let newest = *before.headers.last().expect("a segment");
    flip(&disk, newest + 129);
    assert!(look(&disk).has(Kind::Header, newest));
}

#[test]
fn the_footer_of_a_sealed_segment_is_missed() {
    let (disk, before) = good();
    flip(&disk, before.footers[0] + 20);
    let seen = look(&disk);
    assert!(seen.has(Kind::Footer, before.footers[0]));
    assert_eq!(seen.findings.len(), 1, "{:?}", seen.findings);
}

#[test]
fn a_damaged_value_is_named() {
    let (disk, before) = good();
    let (at, len) = before.record("put b/large-2");
    flip(&disk, at + len / 2);
    let seen = look(&disk);
    assert!(seen.has(Kind::Value, at), "{:#?}", seen.findings);
    assert!(seen.says("the value of b/large-2 (seq 1048579) is damaged"));
    let lost = seen.findings.iter().find(|one| one.kind == Kind::Lost);
    let about = lost.and_then(|one| one.about.clone()).expect("a key");
    assert_eq!(
        (&*about.bucket, &*about.key, about.seq),
        ("b", &b"large-2"[..], 1048579)
    );
}

#[test]
fn a_group_in_the_middle_is_missed_at_its_offset() {
    let (disk, before) = good();
    let (group, _) = before.groups[3];
    flip(&disk, group + 60);
    let seen = look(&disk);
    assert!(seen.has(Kind::Group, group), "{:#?}", seen.findings);
    // Its header is gone, its record is still known.
    assert!(
        seen.says("is lost: the key is not shown"),
        "{:#?}",
        seen.findings
    );
}

#[test]
fn the_last_group_of_a_closed_store_is_missed() {
    let (disk, before) = good();
    let (group, _) = *before.groups.last().expect("a group");
    flip(&disk, group + 100);
    let seen = look(&disk);
    assert!(seen.has(Kind::Group, group), "{:#?}", seen.findings);
    assert!(
        seen.says("b/last") && seen.says("is lost"),
        "{:#?}",
        seen.findings
    );
}

#[test]
fn the_last_group_of_a_store_that_was_not_closed_looks_torn() {
    let disk = MemoryDisk::new(8 << 20);
    sample(&disk, false);
    let before = look(&disk);
    let (group, _) = *before.groups.last().expect("a group");
    flip(&disk, group + 100);
    let seen = look(&disk);
    seen.assert_clean("the stated limit");
    assert!(
        seen.notes
            .iter()
            .any(|note| note.offset_bytes == group
                && note.meaning.contains("torn group of 1 records"))
    );
}

#[test]
fn a_damaged_chunk_names_the_value_it_belongs_to() {
    let (disk, before) = good();
    let chunk = before.records.iter().find(|(_, _, name)| name == "chunk");
    let (at, len, _) = chunk.expect("a chunk").clone();
    flip(&disk, at + len / 2);
    let seen = look(&disk);
    assert!(seen.has(Kind::Chunk, at), "{:#?}", seen.findings);
    let (manifest, _) = before.record("manifest b/film");
    assert!(seen.has(Kind::Chunk, manifest), "{:#?}", seen.findings);
    assert!(
        seen.says("the value of b/film (seq 2097162) lacks chunk"),
        "{:#?}",
        seen.findings
    );
}

#[test]
fn a_damaged_tombstone_shows_the_old_value_again() {
    let (disk, before) = good();
    let (at, _) = before.record("tombstone b/doomed");
    // The time of the change: the record still says whose it is.
    let (_, len) = before.record("tombstone b/doomed");
    flip(&disk, at + len - 6);
    let seen = look(&disk);
    assert!(seen.has(Kind::Record, at), "{:#?}", seen.findings);
    assert!(
        seen.says("the deletion of b/doomed"),
        "{:#?}",
        seen.findings
    );
    assert!(
        seen.says("sequence 1048583 is shown again"),
        "{:#?}",
        seen.findings
    );
}

#[test]
fn a_damaged_joint_is_a_damaged_group() {
    let (disk, _) = good();
    let joint = |disk: &MemoryDisk| {
        let found = Rc::new(RefCell::new(Vec::new()));
        let into = Rc::clone(&found);
        let see = Box::new(move |item: &Item<'_>| {
            if let Item::Group(group) = item
                && group.joint.is_some()
            {
                into.borrow_mut().push(group.offset_bytes);
            }
        });
        let mut check = Check::new(Box::new(disk.clone()), Box::new(HeapPages), see);
        while check.step().is_pending() {}
        found.take()
    };
    let joints = joint(&disk);
    assert_eq!(joints.len(), 3, "one for each opening");
    for at in joints {
        let (disk, _) = good();
        flip(&disk, at + 110);
        let seen = look(&disk);
        assert!(seen.has(Kind::Group, at), "{:#?}", seen.findings);
    }
}

#[test]
fn many_places_are_all_told() {
    let (disk, before) = good();
    let groups: Vec<u64> = before.groups.iter().map(|(at, _)| *at).collect();
    // Every second group, but not the last.
    let bad: Vec<u64> = groups[..groups.len() - 1]
        .iter()
        .step_by(2)
        .copied()
        .collect();
    for at in &bad {
        flip(&disk, at + 30);
    }
    let seen = look(&disk);
    for at in &bad {
        assert!(seen.has(Kind::Group, *at), "{at:#x} {:#?}", seen.findings);
    }
}

/// The sample on a disk whose sectors can be made unreadable.
fn simulated(unreadable: &[u64]) -> Seen {
    let (disk, _) = good();
    let mut image = Image::default();
    let mut bytes = [0u8; 512];
    for sector in 0..(8 << 20) / 512 {
        disk.peek(sector * 512, &mut bytes);
        if bytes != [0; 512] {
            image.set_sector(sector, &bytes);
        }
    }
    image.unreadable.extend(unreadable);
    let disk = SimDisk::new(image, 8 << 20, 3);
    let tick = disk.clone();
    look_with(disk, move || _ = tick.tick()).expect("a store")
}

#[test]
fn what_cannot_be_read_is_a_finding_and_the_rest_is_looked_at() {
    let (_, before) = good();
    let (at, len) = before.record("put b/large-2");
    let sector = (at + len / 2) / 512;
    let seen = simulated(&[sector, sector + 1]);
    assert!(
        seen.has(Kind::Unreadable, sector * 512),
        "{:#?}",
        seen.findings
    );
    assert!(
        seen.says("the value of b/large-2 (seq 1048579) is damaged"),
        "{:#?}",
        seen.findings
    );
    assert!(seen.report.buckets["b"].keys > 3);
    let seen = simulated(&[0]);
    assert!(seen.has(Kind::Superblock, 0) && seen.has(Kind::Unreadable, 0));
    // Behind the log's end nothing counts.
    let newest = before.report.segments.last().expect("a segment");
    let end = before.headers.last().expect("a segment") + newest.used_bytes;
    let seen = simulated(&[end / 512 + 3]);
    seen.assert_clean("behind the end");
    assert!(
        seen.notes
            .iter()
            .any(|note| note.meaning.contains("512 bytes cannot be read"))
    );
}
#[test]
fn a_disk_that_moves_to_larger_sectors_loses_nothing() {
    let disk = MemoryDisk::new(8 << 20);
    let mut store = ready(disk.clone(), 1);
    let mut at = 0u64;
    // Groups of one sector, until the first segment is nearly full.
    loop {
        let used = look(&disk).report.segments[0].used_bytes;
        if used > 256 * 1024 - 2 * 4096 {
            break;
        }
        let len = if used < 256 * 1024 - 70_000 {
            60_000
        } else {
            300
        };
        put(&mut store, &format!("k-{at}"), &pattern(len, at)).expect("committed");
        at += 1;
    }
    let before = contents(&mut store);
    drop(store);
    let geometry = Geometry {
        physical_sector_bytes: 4096,
        ..disk.geometry().expect("there")
    };
    let moved = disk.under(geometry);
    let mut store = ready(moved.clone(), 2);
    assert_eq!(contents(&mut store), before, "just opened");
    look(&moved).assert_clean("after");
    drop(store);
    let geometry = Geometry {
        physical_sector_bytes: 8192,
        ..geometry
    };
    let store = opened(disk.under(geometry), options(3));
    let refused = matches!(store.state(), State::Refused(why) if why.contains("8192"));
    assert!(refused, "{:?}", store.state());
}
