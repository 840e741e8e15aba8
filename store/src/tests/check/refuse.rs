//! Devices that cannot be looked at, each told why.

use super::*;
use crate::format::superblock::{Found, Superblock};
use crate::tests::sim_disk::{Image, SimDisk};

fn refusal(disk: &MemoryDisk) -> String {
    look_with(disk.clone(), || {}).err().expect("a refusal")
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let blank = MemoryDisk::new(8 << 20);
    assert!(refusal(&blank).contains("there is no store on it"));
    blank.poke(0, b"\xEB\x3C\x90MSDOS5.0");
    assert!(refusal(&blank).contains("there is no store on it"));
    let small = MemoryDisk::new(1 << 20);
    assert!(refusal(&small).contains("1048576 bytes; a store has at least 8388608"));
}

#[test]
fn a_copy_of_a_part_of_the_disk_is_said_to_be_one() {
    let disk = MemoryDisk::new(16 << 20);
    sample(&disk, true);
    let geometry = disk.geometry().expect("there");
    let short = disk.under(Geometry {
        len_bytes: 9 << 20,
        ..geometry
    });
    assert!(refusal(&short).contains("copy the whole disk"));
}

/// Both copies with a field changed, under a right checksum.
fn altered(disk: &MemoryDisk, alter: impl Fn(&mut Superblock)) {
    for offset in [0, 1 << 20] {
        let mut bytes = [0u8; 4096];
        disk.peek(offset, &mut bytes);
        let Found::Intact(mut superblock) = Superblock::decode(&bytes) else {
            panic!("a good copy");
        };
        alter(&mut superblock);
        disk.poke(offset, &superblock.encode(4096));
    }
}

#[test]
fn a_store_of_a_newer_release_is_left_to_it() {
    let disk = MemoryDisk::new(8 << 20);
    sample(&disk, true);
    altered(&disk, |superblock| superblock.read_only_compatible = 2);
    let seen = look(&disk);
    seen.assert_clean("a compatible flag");
    assert!(
        seen.notes
            .iter()
            .any(|note| note.meaning.contains("flags 0x2"))
    );
    altered(&disk, |superblock| superblock.required = 4);
    assert!(refusal(&disk).contains("features this release does not know (flags 0x4)"));
    for offset in [8, (1 << 20) + 8] {
        disk.poke(offset, &[9]);
    }
    assert!(refusal(&disk).contains("format version 9"));
}

#[test]
fn two_damaged_superblocks_are_findings() {
    let disk = MemoryDisk::new(8 << 20);
    sample(&disk, true);
    disk.poke(200, &[0xFF]);
    disk.poke((1 << 20) + 200, &[0xFF]);
    let seen = look(&disk);
    assert!(seen.has(Kind::Superblock, 0) && seen.has(Kind::Superblock, 1 << 20));
    assert_eq!(seen.report.identity, None);
}

#[test]
fn a_store_that_was_formatted_and_never_opened_is_good() {
    let disk = SimDisk::new(Image::default(), 8 << 20, 1);
    let mut store = Store::opening(Box::new(disk.clone()), options(1));
    // The first flush is segment 0's, the second the first superblock's.
    while disk.0.borrow().flushes < 2 {
        store.step(now(0));
        disk.tick();
    }
    let image = disk.0.borrow().durable.clone();
    let disk = SimDisk::new(image, 8 << 20, 2);
    let tick = disk.clone();
    let seen = look_with(disk, move || _ = tick.tick()).expect("a store");
    seen.assert_clean("formatted");
    assert!(
        seen.notes
            .iter()
            .any(|note| note.meaning.contains("never opened"))
    );
}

#[test]
fn without_memory_a_look_ends() {
    struct None;
    impl crate::blob::Pages for None {
        fn take(&self, _: usize) -> Option<Box<dyn crate::blob::PageRun>> {
            Option::None
        }
    }
    let disk = MemoryDisk::new(8 << 20);
    sample(&disk, true);
    let mut check = Check::new(Box::new(disk), Box::new(None), Box::new(|_| {}));
    let Poll::Ready(Verdict::Unlooked(sentence)) = check.step() else {
        panic!("no verdict");
    };
    assert!(sentence.contains("not enough memory"), "{sentence}");
}

#[test]
fn a_store_whose_sequences_are_used_up_is_only_read() {
    let disk = MemoryDisk::new(8 << 20);
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "k", b"value").expect("committed");
    drop(store);
    altered(&disk, |superblock| superblock.next_seq = 1 << 48);
    let mut store = opened(disk, options(2));
    assert_eq!(get(&mut store, "k"), Some(b"value".to_vec()));
    let said = matches!(store.state(), State::ReadOnly(why) if why.contains("used up"));
    assert!(said, "{:?}", store.state());
    let refused = put(&mut store, "k", b"other");
    assert!(matches!(
        refused,
        Err(Refusal::Unavailable(Unavailable::ReadOnly(_)))
    ));
}
