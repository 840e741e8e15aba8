//! Resolution by sequence in any order, counting of put records, pages of keys.

use super::views::NOW;
use super::*;
use crate::request::KeyQuery;
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn put(seq: u64, pos: u64) -> Version {
    Version {
        pos,
        seq,
        modified_ms: 0,
        expires_ms: 0,
        value_len: 3,
        checksum: 0,
        metadata_len: 2,
        form: Form::Whole,
        upload_len: 0,
        dead: 0,
    }
}

fn tomb(seq: u64, pos: u64) -> Version {
    Version {
        form: Form::Tomb,
        ..put(seq, pos)
    }
}

#[test]
fn recovery_gives_the_same_in_any_order() {
    let records = [
        (1, 10, true),
        (2, 20, false),
        (3, 30, true),
        (3, 40, true),
        (1, 50, true),
    ];
    let mut orders = vec![vec![]];
    for _ in 0..records.len() {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..records.len())
                    .filter(|i| !order.contains(i))
                    .map(|i| {
                        let mut longer = order.clone();
                        longer.push(i);
                        longer
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    assert_eq!(orders.len(), 120);
    for order in orders {
        let mut index = Index::default();
        for i in &order {
            let (seq, pos, is_put) = records[*i];
            let version = if is_put {
                put(seq, pos)
            } else {
                tomb(seq, pos)
            };
            index.recover("b", b"k", version, |pos| (0, pos));
        }
        index.finish(|_, _, _| ());
        let found = index.get("b", b"k").expect("live");
        assert_eq!((found.seq, found.pos, found.dead), (3, 40, 3), "{order:?}");
        assert_eq!(
            (
                index.totals_at(NOW).keys,
                index.totals_at(NOW).charged_bytes
            ),
            (1, 6)
        );
    }
}

#[test]
fn a_tombstone_goes_with_the_last_put_record() {
    let mut index = Index::default();
    index.write("b", b"k", put(1, 1));
    index.write("b", b"k", put(2, 2));
    let retired = index.write("b", b"k", tomb(3, 3));
    assert_eq!(seqs(&retired), [2]);
    assert_eq!(seqs(&index.forget_put("b", b"k")), [0; 0]);
    assert_eq!(seqs(&index.forget_put("b", b"k")), [3]);
    assert_eq!(
        (
            index.totals_at(NOW).keys,
            index.bytes(),
            index.totals_at(NOW).charged_bytes
        ),
        (0, hints::Hints::BYTES, 0)
    );
    assert!(index.buckets.is_empty());
}

fn seqs(retired: &[Retired]) -> Vec<u64> {
    retired.iter().map(|record| record.seq).collect()
}

#[test]
fn memory_is_given_back() {
    let mut index = Index::default();
    for n in 0..100u64 {
        index.write("b", &n.to_be_bytes(), put(n + 1, n));
    }
    let full = index.bytes();
    for n in 0..100u64 {
        index.write("b", &n.to_be_bytes(), tomb(101 + n, n));
    }
    assert!(full > 100 * 50 && index.bytes() > hints::Hints::BYTES);
    for n in 0..100u64 {
        index.forget_put("b", &n.to_be_bytes());
    }
    assert_eq!(index.bytes(), hints::Hints::BYTES);
}

#[test]
fn pages_of_keys() {
    let mut index = Index::default();
    for key in ["a", "b/1", "b/2", "b/3", "c"] {
        index.write("b", key.as_bytes(), put(1, 1));
    }
    index.write("b", &[0xFF, 0xFF, 1], put(1, 1));
    let bucket = BucketName::new("b").expect("a name");
    let check = |query: KeyQuery, expected: &[&[u8]], more: bool| {
        let (page, _) = index.page(&bucket, &query, (NOW, 0), 1);
        let keys: Vec<&[u8]> = page.keys.iter().map(|(key, _)| key.as_bytes()).collect();
        assert_eq!((keys.as_slice(), page.more), (expected, more), "{query:?}");
    };
    let prefix = |prefix: &[u8], limit| KeyQuery {
        prefix: prefix.to_vec(),
        limit,
        ..KeyQuery::default()
    };
    check(prefix(b"b/", 9), &[b"b/1", b"b/2", b"b/3"], false);
    check(prefix(b"b/", 2), &[b"b/1", b"b/2"], true);
    check(prefix(b"b/", 3), &[b"b/1", b"b/2", b"b/3"], false);
    check(
        KeyQuery {
            reverse: true,
            ..prefix(b"b/", 2)
        },
        &[b"b/3", b"b/2"],
        true,
    );
    check(
        KeyQuery {
            start: Some(b"b/2".to_vec()),
            ..prefix(b"b/", 9)
        },
        &[b"b/2", b"b/3"],
        false,
    );
    check(
        KeyQuery {
            end: Some(b"b/2".to_vec()),
            ..prefix(b"", 9)
        },
        &[b"a", b"b/1"],
        false,
    );
    check(
        KeyQuery {
            start: Some(b"c".to_vec()),
            ..prefix(b"b/", 9)
        },
        &[],
        false,
    );
    check(
        KeyQuery {
            start: Some(b"c".to_vec()),
            end: Some(b"b".to_vec()),
            ..prefix(b"", 9)
        },
        &[],
        false,
    );
    check(prefix(&[0xFF, 0xFF], 9), &[&[0xFF, 0xFF, 1]], false);
    check(prefix(b"zz", 9), &[], false);
}
