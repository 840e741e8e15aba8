//! A disk whose index does not fit the memory there is.

use super::bed::{Random, bucket, finish, get_at, key, now, opened, options, ready, settle};
use super::faults::why;
use crate::{
    At, Batch, Change, Condition, Headers, KeyQuery, MemoryDisk, Options, Refusal, SnapshotName,
    State, Store, Unavailable,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

type Contents = BTreeMap<(String, String), Vec<u8>>;

const BUCKETS: [&str; 3] = ["a", "b", "c"];

/// Keys of three buckets, some written twice, some removed.
fn fill(store: &mut Store, seed: u64, mut contents: Contents) -> Contents {
    let mut random = Random(seed);
    for _ in 0..60 {
        let (mut changes, mut named) = (Vec::new(), BTreeSet::new());
        for _ in 0..400 {
            let name = BUCKETS[random.below(3) as usize];
            let k = format!("key {:06}", random.below(30_000));
            let value = random.below(1 << 40).to_le_bytes().to_vec();
            let place = (String::from(name), k.clone());
            if !named.insert(place.clone()) {
                continue;
            }
            let is_gone = random.below(10) == 0 && contents.contains_key(&place);
            let change = match is_gone {
                true => Change::Delete,
                false => Change::Put {
                    value: value.clone(),
                    headers: Headers::default(),
                },
            };
            match is_gone {
                true => drop(contents.remove(&place)),
                false => drop(contents.insert(place, value)),
            }
            changes.push((bucket(name), key(&k), Condition::None, change));
        }
        let ticket = store.submit(Batch { changes }).expect("taken");
        finish(store, &ticket).expect("committed");
    }
    contents
}

/// All keys of a bucket from the first on, page by page; whether the end was reached.
fn listed(store: &mut Store, name: &str) -> (Vec<String>, bool) {
    let mut query = KeyQuery {
        limit: 100,
        ..KeyQuery::default()
    };
    let mut keys = Vec::new();
    loop {
        let page = match store.keys(&bucket(name), &query) {
            Ok(page) => page,
            Err(Unavailable::InPart(_)) => return (keys, false),
            Err(other) => panic!("{other:?}"),
        };
        let text = |key: &crate::Key| String::from_utf8(key.as_bytes().to_vec()).expect("text");
        keys.extend(page.keys.iter().map(|(key, _)| text(key)));
        let Some((last, _)) = page.keys.last().filter(|_| page.more) else {
            return (keys, true);
        };
        let mut start = last.as_bytes().to_vec();
        start.push(0);
        query.start = Some(start);
    }
}

/// Each key is as it was, or nothing is said of it; how many are as they were.
fn check(store: &mut Store, at: At, contents: &Contents) -> usize {
    let mut known = 0;
    for name in BUCKETS {
        for number in 0..30_000 {
            let k = format!("key {number:06}");
            let expected = contents.get(&(String::from(name), k.clone()));
            match store.lookup(at, &bucket(name), &key(&k)) {
                Err(Unavailable::InPart(_)) => {
                    let opened = store.open_value(at, &bucket(name), &key(&k));
                    assert!(matches!(opened, Err(Unavailable::InPart(_))));
                }
                Err(other) => panic!("{other:?}"),
                Ok(found) => {
                    known += 1;
                    assert_eq!(found.is_some(), expected.is_some(), "{name} {k}");
                    if number % 50 == 0 {
                        let value = get_at(store, at, &bucket(name), &key(&k));
                        assert_eq!(value.as_ref(), expected, "{name} {k}");
                    }
                }
            }
        }
    }
    known
}

fn in_memory(bytes: u64) -> Options {
    Options {
        memory_bytes: bytes,
        ..options(2)
    }
}

/// Closed or killed, with snapshots or without: what is shown is right, and the rest is refused.
#[test]
fn an_index_that_does_not_fit_is_shown_in_part_and_never_wrong() {
    for (seed, closes, snapshot) in [(1, true, false), (2, false, false), (3, true, true)] {
        let disk = MemoryDisk::new(64 << 20);
        let mut store = ready(disk.clone(), 1);
        let before = fill(&mut store, seed, Contents::new());
        let mut contents = before.clone();
        if snapshot {
            let name = SnapshotName::new("before").expect("a name");
            let ticket = store.take_snapshot(name).expect("taken");
            finish(&mut store, &ticket).expect("durable");
            contents = fill(&mut store, seed + 10, contents);
        }
        let used = store.statistics().index_bytes;
        if closes {
            store.close();
            settle(&mut store);
        }
        drop(store);
        let mut last = 0;
        for memory in [used / 8, used / 2, used * 7 / 8] {
            let mut store = opened(disk.clone(), in_memory(memory));
            assert!(
                matches!(store.state(), State::ReadOnly(_)),
                "{:?}",
                store.state()
            );
            assert!(why(&store).contains("write memory="), "{}", why(&store));
            let known = check(&mut store, At::NOW, &contents);
            assert!(known > last && known < 90_000, "{known} after {last}");
            last = known;
            judge_lists(&mut store, &contents);
            if snapshot {
                let name = SnapshotName::new("before").expect("a name");
                let at = store.at(&name).expect("open").expect("it is there");
                check(&mut store, at, &before);
            }
        }
        let mut store = opened(disk, in_memory(used * 2));
        assert_eq!(*store.state(), State::Ready);
        assert!(!store.statistics().in_part);
        assert_eq!(check(&mut store, At::NOW, &contents), 90_000);
    }
}

/// Lists end where knowledge does, and what would tell of everything is refused.
fn judge_lists(store: &mut Store, contents: &Contents) {
    let mut is_known = true;
    for name in BUCKETS {
        let of_bucket = contents.keys().filter(|(of, _)| of == name);
        let of_bucket: Vec<String> = of_bucket.map(|(_, key)| key.clone()).collect();
        let (keys, is_all) = listed(store, name);
        assert_eq!(keys, of_bucket[..keys.len()]);
        assert_eq!(is_all, keys.len() == of_bucket.len());
        assert!(is_known || !is_all, "what is known comes first");
        is_known = is_all;
        let backward = KeyQuery {
            reverse: true,
            limit: 1,
            ..KeyQuery::default()
        };
        assert_eq!(store.keys(&bucket(name), &backward).is_ok(), is_all);
    }
    assert!(!is_known);
    assert!(store.statistics().in_part);
    assert!(matches!(store.snapshots(), Err(Unavailable::InPart(_))));
    assert!(matches!(store.buckets(), Err(Unavailable::InPart(_))));
    assert!(matches!(store.known_buckets(), Err(Unavailable::InPart(_))));
    let in_part = |refusal| matches!(refusal, Refusal::Unavailable(Unavailable::InPart(_)));
    assert!(store.begin_backup(None).is_err_and(in_part));
    assert!(store.begin_scrub().is_err_and(in_part));
    let _ = store.step(now(1));
}

/// As much memory as it says is enough, and not much more than that.
#[test]
fn what_is_said_to_be_needed_is_enough() {
    for closes in [true, false] {
        let disk = MemoryDisk::new(64 << 20);
        let mut store = ready(disk.clone(), 1);
        fill(&mut store, 5, Contents::new());
        let used = store.statistics().index_bytes;
        if closes {
            store.close();
            settle(&mut store);
        }
        drop(store);
        let store = opened(disk.clone(), in_memory(used / 3));
        let said = why(&store);
        let mib = said
            .split("memory=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let mib: u64 = mib.expect("a number").parse().expect("a number");
        assert!(mib << 20 < used * 2 + (1 << 20), "{said}, used {used}");
        let store = opened(disk, in_memory(mib << 20));
        assert_eq!(*store.state(), State::Ready, "{said}");
    }
}
