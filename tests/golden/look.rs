//! Looking at a golden disk: all that a store shows, as tables that can be compared.

use super::life::{BEGUN_NS, Hand, SECOND_NS, bucket, key};
use std::task::Poll;
use store::check::{Check, Report, Verdict};
use store::{At, Headers, KeyQuery, MemoryDisk, Reader};

/// One value, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) bucket: &'static str,
    pub(crate) key: &'static [u8],
    pub(crate) value: Vec<u8>,
    pub(crate) seq: u64,
    /// Seconds since the life began.
    pub(crate) modified_seconds: u64,
    pub(crate) headers: Headers,
}

fn read(hand: &mut Hand, reader: &mut Reader) -> Vec<u8> {
    let mut value = Vec::new();
    loop {
        match hand.store.read(reader) {
            Poll::Pending => hand.settle(),
            Poll::Ready(Ok(Some(piece))) => value.extend_from_slice(&piece),
            Poll::Ready(Ok(None)) => return value,
            Poll::Ready(Err(error)) => panic!("a value cannot be read: {error:?}"),
        }
    }
}

/// Asserts that these values, in order, and no others are in these buckets.
pub(crate) fn assert_shown(hand: &mut Hand, at: At, buckets: &[&str], wanted: &[Shown]) {
    let mut listed = Vec::new();
    for name in buckets {
        let query = KeyQuery {
            limit: usize::MAX,
            at,
            ..KeyQuery::default()
        };
        let page = hand.store.keys(&bucket(name), &query).expect("readable");
        assert!(!page.more);
        let named = |(k, metadata): (store::Key, _)| ((*name, k.as_bytes().to_vec()), metadata);
        listed.extend(page.keys.into_iter().map(named));
    }
    let names: Vec<_> = listed.iter().map(|(name, _)| name.clone()).collect();
    let expected = wanted.iter().map(|one| (one.bucket, one.key.to_vec()));
    assert_eq!(names, expected.collect::<Vec<_>>());
    for (one, (_, listed)) in wanted.iter().zip(listed) {
        let what = format!("{}/{}", one.bucket, one.key.escape_ascii());
        let place = (bucket(one.bucket), key(one.key));
        let opened = hand.store.open_value(at, &place.0, &place.1);
        let (metadata, mut reader) = opened.expect("readable").expect("it is listed");
        assert_eq!(metadata, listed, "{what}");
        assert!(read(hand, &mut reader) == one.value, "{what}: other bytes");
        let Poll::Ready(headers) = hand.store.headers(&mut reader) else {
            panic!("{what}: no headers although all of it was read");
        };
        assert_eq!(headers.as_ref(), Ok(&one.headers), "{what}");
        assert_eq!(metadata.len_bytes, one.value.len() as u64, "{what}");
        assert_eq!(
            metadata.expires_wall_ms, one.headers.expires_wall_ms,
            "{what}"
        );
        let modified = metadata.modified_wall_ns;
        assert_eq!(
            modified,
            BEGUN_NS + one.modified_seconds * SECOND_NS,
            "{what}"
        );
        assert_eq!(metadata.seq.0, one.seq, "{what}");
    }
}

/// The offline look, which must have no findings.
pub(crate) fn checked(disk: &MemoryDisk) -> Report {
    let pages = Box::new(store::blob::HeapPages);
    let mut check = Check::new(Box::new(disk.clone()), pages, Box::new(|_| {}));
    for _ in 0..1_000_000 {
        match check.step() {
            Poll::Pending => {}
            Poll::Ready(Verdict::Looked(report)) => {
                assert_eq!(report.findings, 0, "findings on a good disk");
                return *report;
            }
            Poll::Ready(Verdict::Unlooked(why)) => panic!("not looked at: {why}"),
        }
    }
    panic!("the look never ends");
}
