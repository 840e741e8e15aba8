//! Failing writes and flushes, missing features, two openers, bad devices.

use super::bed::*;
use super::crash::{DISK, drive, open_on};
use super::sim_disk::*;
use crate::block::*;
use crate::*;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;
use core::task::Poll;

pub(super) fn why(store: &Store) -> String {
    match store.state() {
        State::ReadOnly(why) | State::Refused(why) => why.to_string(),
        other => panic!("expected a sentence, found {other:?}"),
    }
}

fn submit(store: &mut Store, disk: &SimDisk, k: &str, value: &[u8]) -> Result<Committed, Refusal> {
    let ticket = store.submit(one("b", k, Condition::None, put_change(value)))?;
    drive(store, disk);
    match store.outcome(&ticket) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("no outcome"),
    }
}

fn get_on(store: &mut Store, disk: &SimDisk, k: &str) -> Option<Vec<u8>> {
    let (_, mut reader) = store
        .open_value(At::NOW, &bucket("b"), &key(k))
        .expect("readable")?;
    let mut value = Vec::new();
    loop {
        match store.read(&mut reader) {
            Poll::Pending => drive(store, disk),
            Poll::Ready(piece) => match piece.expect("intact") {
                Some(piece) => value.extend_from_slice(&piece),
                None => return Some(value),
            },
        }
    }
}

#[test]
fn a_failed_flush_makes_every_dependent_answer_unknown() {
    let disk = SimDisk::new(Image::default(), DISK, 1);
    let mut store = open_on(&disk, 1);
    let flushes = disk.0.borrow().flushes;
    disk.0.borrow_mut().fail_flush_at = Some(flushes + 1);
    let put =
        |store: &mut Store, condition| store.submit(one("b", "k", condition, put_change(b"1")));
    let first = put(&mut store, Condition::None).expect("taken");
    let refused = put(&mut store, Condition::Absent).expect("taken");
    store.step(now(1));
    let second = put(&mut store, Condition::None).expect("taken");
    drive(&mut store, &disk);
    for ticket in [&first, &refused, &second] {
        assert_eq!(
            store.outcome(ticket),
            Poll::Ready(Err(Refusal::OutcomeUnknown))
        );
    }
    assert!(why(&store).contains("flush"), "{}", why(&store));
    assert_eq!(store.lookup(At::NOW, &bucket("b"), &key("k")), Ok(None));
}

#[test]
fn a_missing_flush_is_a_missing_feature() {
    for durability in [Durability::Backend, Durability::Flush] {
        let disk = SimDisk::new(Image::default(), DISK, 1);
        disk.0.borrow_mut().geometry.durability = durability;
        disk.0.borrow_mut().flush_result = Err(IoError::Unsupported);
        let mut store = open_on(&disk, 1);
        assert_eq!(*store.state(), State::Ready);
        assert_eq!(store.durability(), Some(Durability::Backend));
        submit(&mut store, &disk, "k", b"v").expect("committed");
        store.close();
        drive(&mut store, &disk);
        assert_eq!(*store.state(), State::Closed);
    }
}

#[test]
fn two_openers_are_noticed_before_a_segment_is_sealed() {
    let disk = MemoryDisk::new(DISK);
    let mut first = ready(disk.clone(), 1);
    put(&mut first, "k", b"v").expect("committed");
    let second = ready(disk.clone(), 2);
    drop(second);
    let mut stopped = None;
    for round in 0..40u64 {
        if put(&mut first, "k", &pattern(30_000, round)).is_err() {
            stopped = Some(round);
            break;
        }
    }
    assert!(stopped.is_some_and(|round| round < 10), "{stopped:?}");
    assert!(why(&first).contains("two VMs"), "{}", why(&first));
}

#[test]
fn closing_notices_another_opener_too() {
    let disk = MemoryDisk::new(DISK);
    let mut first = ready(disk.clone(), 1);
    let mut second = ready(disk.clone(), 2);
    first.close();
    settle(&mut first);
    assert_eq!(*first.state(), State::Closed);
    put(&mut second, "k", b"v").expect("committed");
    second.close();
    settle(&mut second);
    assert_eq!(get(&mut ready(disk, 3), "k"), Some(b"v".to_vec()));
}

#[test]
fn closing_in_the_middle_of_compaction_leaves_a_clean_disk() {
    for rounds in (180..220u64).step_by(7) {
        let disk = MemoryDisk::new(DISK);
        let mut store = ready(disk.clone(), 1);
        for round in 0..rounds {
            let batch = one(
                "b",
                &format!("k{}", round % 50),
                Condition::None,
                put_change(&pattern(50_000, round)),
            );
            store.submit(batch).expect("taken");
            while store.statistics().waiting > 20 {
                store.step(now(round));
            }
        }
        store.close();
        settle(&mut store);
        assert_eq!(*store.state(), State::Closed);
        let mut store = ready(disk, 2);
        for n in 0..50 {
            let last = (0..rounds)
                .rev()
                .find(|round| round % 50 == n)
                .expect("written");
            assert!(get(&mut store, &format!("k{n}")) == Some(pattern(50_000, last)));
        }
    }
}

#[test]
fn devices_that_do_not_fit_are_refused_with_numbers() {
    for len in [0, 512, 1 << 20, (8 << 20) - 1] {
        let store = opened(MemoryDisk::new(len), options(1));
        assert!(why(&store).contains(&len.to_string()), "{}", why(&store));
    }
    let odd = MemoryDisk::new((8 << 20) + 512 * 3);
    let mut store = ready(odd.clone(), 1);
    put(&mut store, "k", b"v").expect("committed");
    assert_eq!(get(&mut ready(odd, 2), "k"), Some(b"v".to_vec()));
    let bytes = MemoryDisk::new((9 << 20) + 77);
    assert_eq!(*ready(bytes, 1).state(), State::Ready);
}

/// A disk whose end somebody moves.
#[derive(Clone)]
struct Cropped(MemoryDisk, Rc<Cell<u64>>);

impl BlockDevice for Cropped {
    fn geometry(&self) -> Option<Geometry> {
        let len_bytes = self.1.get();
        self.0
            .geometry()
            .map(|whole| Geometry { len_bytes, ..whole })
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        self.0.submit(id, request)
    }

    fn poll(&mut self) -> Option<Completion> {
        self.0.poll()
    }
}

#[test]
fn a_disk_that_shrinks_is_said_and_loses_nothing_that_is_left() {
    const WHOLE: u64 = 16 << 20;
    const LESS: u64 = 12 << 20;
    let len = Rc::new(Cell::new(WHOLE));
    let disk = Cropped(MemoryDisk::new(WHOLE), Rc::clone(&len));
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "k", b"v").expect("committed");
    len.set(LESS);
    settle(&mut store);
    for number in [WHOLE, LESS] {
        assert!(why(&store).contains(&number.to_string()), "{}", why(&store));
    }
    let refused = put(&mut store, "k", b"new").expect_err("nothing is written any more");
    assert!(matches!(
        refused,
        Refusal::Unavailable(Unavailable::ReadOnly(_))
    ));
    assert_eq!(
        get(&mut store, "k"),
        Some(b"v".to_vec()),
        "what is left is read"
    );
    drop(store);
    let store = opened(disk.clone(), options(2));
    assert!(
        matches!(store.state(), State::Refused(_)),
        "{:?}",
        store.state()
    );
    assert!(why(&store).contains(&LESS.to_string()), "{}", why(&store));
    drop(store);
    len.set(WHOLE);
    let mut store = ready(disk, 3);
    assert_eq!(get(&mut store, "k"), Some(b"v".to_vec()));
}

#[test]
fn a_foreign_disk_is_formatted_only_when_told() {
    for offset in [0, 5000, (1 << 20) - 1, (8 << 20) - 1, 7 << 20] {
        let disk = MemoryDisk::new(DISK);
        disk.poke(offset, &[1]);
        let store = opened(disk.clone(), options(1));
        assert!(
            why(&store).contains("disk.format=yes"),
            "{offset}: {}",
            why(&store)
        );
        let permission = FormatPermission::StoreId([0; 16]);
        let store = opened(
            disk.clone(),
            Options {
                format: permission,
                ..options(1)
            },
        );
        assert!(matches!(store.state(), State::Refused(_)));
        let foreign = || Options {
            format: FormatPermission::Foreign,
            ..options(1)
        };
        let mut store = opened(disk.clone(), foreign());
        put(&mut store, "k", b"v").expect("committed");
        // The word left on the command line must not erase what is there now.
        let mut store = opened(disk, foreign());
        assert_eq!(get(&mut store, "k"), Some(b"v".to_vec()));
    }
}

#[test]
fn a_store_is_erased_only_by_its_own_id() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "k", b"v").expect("committed");
    let id = store.id().expect("an id");
    let by = |id, seed| Options {
        format: FormatPermission::StoreId(id),
        ..options(seed)
    };
    let mut store = opened(disk.clone(), by([9; 16], 2));
    assert_eq!(get(&mut store, "k"), Some(b"v".to_vec()));
    let mut store = opened(disk.clone(), by(id, 3));
    assert_eq!(*store.state(), State::Ready);
    assert_eq!(get(&mut store, "k"), None);
    assert_ne!(store.id(), Some(id));
    put(&mut store, "n", b"w").expect("committed");
    let mut store = opened(disk, by(id, 4));
    assert_eq!(get(&mut store, "n"), Some(b"w".to_vec()));
}

#[test]
fn damaged_superblocks_name_the_word_to_write() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "k", b"v").expect("committed");
    let id = store.id().expect("an id");
    disk.poke(100, &[0xFF]);
    let mut store = ready(disk.clone(), 2);
    assert_eq!(get(&mut store, "k"), Some(b"v".to_vec()));
    drop(store);
    disk.poke(100, &[0xFE]);
    disk.poke((1 << 20) + 100, &[0xFF]);
    for format in [FormatPermission::BlankOnly, FormatPermission::Foreign] {
        let store = opened(
            disk.clone(),
            Options {
                format,
                ..options(2)
            },
        );
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            why(&store).contains(&format!("disk.format={hex}")),
            "{}",
            why(&store)
        );
    }
    let format = FormatPermission::StoreId(id);
    assert_eq!(
        *opened(
            disk,
            Options {
                format,
                ..options(4)
            }
        )
        .state(),
        State::Ready
    );
}

#[test]
fn superblocks_that_cannot_be_read_are_not_taken_for_a_blank_disk() {
    let store_with = |unreadable: &[u64], format| {
        let mut image = {
            let disk = SimDisk::new(Image::default(), DISK, 1);
            let mut store = open_on(&disk, 1);
            submit(&mut store, &disk, "k", b"v").expect("committed");
            disk.0.borrow().durable.clone()
        };
        image.unreadable.extend(unreadable);
        let disk = SimDisk::new(image, DISK, 2);
        let mut store = Store::opening(
            Box::new(disk.clone()),
            Options {
                format,
                ..options(2)
            },
        );
        drive(&mut store, &disk);
        let found = matches!(store.state(), State::Ready).then(|| get_on(&mut store, &disk, "k"));
        (store.state().clone(), found.flatten())
    };
    let permissions = || [FormatPermission::BlankOnly, FormatPermission::Foreign];
    for format in permissions() {
        let (state, _) = store_with(&[0, 2048], format.clone());
        assert!(matches!(state, State::Refused(_)), "{state:?}");
        for lost in [0, 2048] {
            let (_, found) = store_with(&[lost], format.clone());
            assert_eq!(found, Some(b"v".to_vec()));
        }
        // Only the first sector of a copy matters.
        let (_, found) = store_with(&[1, 2049], format);
        assert_eq!(found, Some(b"v".to_vec()));
    }
}

#[test]
fn a_read_only_disk_is_read_and_not_written() {
    let image = {
        let disk = SimDisk::new(Image::default(), DISK, 1);
        let mut store = open_on(&disk, 1);
        submit(&mut store, &disk, "k", b"v").expect("committed");
        disk.0.borrow().durable.clone()
    };
    for (image, blank) in [(image, false), (Image::default(), true)] {
        // The simulated disk asserts that nothing is written.
        let disk = SimDisk::new(image, DISK, 2);
        disk.0.borrow_mut().geometry.read_only = true;
        let mut store = open_on(&disk, 2);
        assert!(why(&store).contains("read-only"), "{}", why(&store));
        assert_eq!(matches!(store.state(), State::Refused(_)), blank);
        if !blank {
            assert_eq!(get_on(&mut store, &disk, "k"), Some(b"v".to_vec()));
            assert!(submit(&mut store, &disk, "k", b"w").is_err());
        }
    }
}

#[test]
fn unknown_feature_flags_are_clear_refusals() {
    use crate::format::superblock::{Found, Superblock};
    let flags: [(u64, u64, u64, &str); 3] = [(2, 0, 0, "newer"), (0, 2, 0, "newer"), (0, 0, 2, "")];
    for (required, read_only_compatible, ignorable, word) in flags {
        let disk = MemoryDisk::new(DISK);
        let mut store = ready(disk.clone(), 1);
        put(&mut store, "k", b"v").expect("committed");
        drop(store);
        for offset in crate::format::layout::SUPERBLOCK_OFFSETS {
            let mut bytes = alloc::vec![0u8; 4096];
            disk.peek(offset, &mut bytes);
            let Found::Intact(found) = Superblock::decode(&bytes) else {
                continue;
            };
            let changed = Superblock {
                required,
                read_only_compatible,
                ignorable,
                ..found
            };
            disk.poke(offset, &changed.encode(4096));
        }
        let mut store = opened(disk, options(2));
        match word {
            "" => assert_eq!(*store.state(), State::Ready),
            word => assert!(why(&store).contains(word), "{}", why(&store)),
        }
        assert_eq!(matches!(store.state(), State::Refused(_)), required != 0);
        if required == 0 {
            assert_eq!(get(&mut store, "k"), Some(b"v".to_vec()));
        }
    }
}

#[test]
fn a_disk_moved_under_larger_sectors_goes_on() {
    let small = MemoryDisk::new(DISK);
    let mut store = ready(small.clone(), 1);
    for round in 0..30u64 {
        put(&mut store, &format!("a{round}"), &pattern(700, round)).expect("committed");
    }
    drop(store);
    let geometry = Geometry {
        sector_bytes: 4096,
        physical_sector_bytes: 4096,
        ..MemoryDisk::new(DISK).geometry().expect("a geometry")
    };
    let disks = [small.under(geometry), small.clone(), small.under(geometry)];
    for (seed, disk) in (2..).zip(disks) {
        let mut store = ready(disk, seed);
        for round in 0..400u64 {
            put(
                &mut store,
                &format!("b{}", round % 20),
                &pattern(9000, round),
            )
            .expect("committed");
        }
        for round in 0..30u64 {
            assert!(get(&mut store, &format!("a{round}")) == Some(pattern(700, round)));
        }
    }
}

#[test]
fn too_little_memory_for_the_index_says_how_much_is_needed() {
    let disk = MemoryDisk::new(64 << 20);
    let mut store = ready(disk.clone(), 1);
    for round in 0..40 {
        let keys = (0..500).map(|n| {
            let k = format!("key-{round}-{n}");
            (bucket("b"), key(&k), Condition::None, put_change(b"v"))
        });
        let ticket = store
            .submit(Batch {
                changes: keys.collect(),
            })
            .expect("taken");
        finish(&mut store, &ticket).expect("committed");
    }
    let used = store.statistics().index_bytes;
    drop(store);
    let store = opened(
        disk.clone(),
        Options {
            memory_bytes: used / 2,
            ..options(2)
        },
    );
    assert!(why(&store).contains("write memory="), "{}", why(&store));
    let enough = Options {
        memory_bytes: used * 4 / 3 + 4096,
        ..options(2)
    };
    let mut store = opened(disk, enough);
    assert_eq!(*store.state(), State::Ready);
    // In order the keys lie closer in memory than they did before.
    let refused = (0..20_000).find_map(|n| put(&mut store, &format!("new-{n}"), b"v").err());
    assert!(
        matches!(refused, Some(Refusal::NoSpace(NoSpace::Memory { .. }))),
        "{refused:?}"
    );
    put(&mut store, "key-0-0", b"other").expect("an overwrite needs no memory");
    delete(&mut store, "key-0-1").expect("a delete needs no memory");
}

#[test]
fn a_disk_that_is_not_there_yet_is_waited_for() {
    struct Late(MemoryDisk, u32);
    impl BlockDevice for Late {
        fn geometry(&self) -> Option<Geometry> {
            (self.1 > 3).then(|| self.0.geometry().expect("a geometry"))
        }
        fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
            self.0.submit(id, request)
        }
        fn poll(&mut self) -> Option<Completion> {
            self.1 += 1;
            self.0.poll()
        }
    }
    let mut store = Store::opening(Box::new(Late(MemoryDisk::new(DISK), 0)), options(1));
    assert_eq!(store.step(now(0)), Wake::At(None));
    assert_eq!(*store.state(), State::Opening);
    let busy = store.submit(one("b", "k", Condition::None, put_change(b"v")));
    assert_eq!(busy, Err(Refusal::Unavailable(Unavailable::Opening)));
    for _ in 0..8 {
        store.step(now(0));
    }
    settle(&mut store);
    assert_eq!(*store.state(), State::Ready);
}
