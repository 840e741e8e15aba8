//! The list of snapshots and rollbacks, as it stands in a record.
//!
//! It is always the whole list: the newest one counts, and each segment begins with it, so that
//! opening knows what is seen before it meets what decides about it.

use super::codec::{Cursor, put_varint, varint_len};
use crate::index::views::{Rollback, Snapshot, Views};
use crate::name::{BucketName, SnapshotName};
use alloc::vec::Vec;

/// Appends the list.
pub(crate) fn encode(views: &Views) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, views.snapshots.len() as u64);
    for snapshot in &views.snapshots {
        put_varint(&mut out, snapshot.seq);
        put_varint(&mut out, snapshot.wall_ms);
        put_name(&mut out, snapshot.name.as_str());
    }
    put_varint(&mut out, views.rollbacks.len() as u64);
    for rollback in &views.rollbacks {
        put_varint(&mut out, rollback.at);
        put_varint(&mut out, rollback.to);
        put_name(
            &mut out,
            rollback.bucket.as_ref().map_or("", BucketName::as_str),
        );
    }
    out
}

/// Length of the list.
pub(crate) fn encoded_len(views: &Views) -> usize {
    let snapshots = views.snapshots.iter().map(|snapshot| {
        let name = 1 + snapshot.name.as_str().len();
        varint_len(snapshot.seq) + varint_len(snapshot.wall_ms) + name
    });
    let rollbacks = views.rollbacks.iter().map(|rollback| {
        let name = 1 + rollback
            .bucket
            .as_ref()
            .map_or(0, |name| name.as_str().len());
        let numbers = [rollback.at, rollback.to];
        numbers.into_iter().map(varint_len).sum::<usize>() + name
    });
    let counts = [views.snapshots.len() as u64, views.rollbacks.len() as u64];
    counts.into_iter().map(varint_len).sum::<usize>()
        + snapshots.sum::<usize>()
        + rollbacks.sum::<usize>()
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
}

/// The list of the record with sequence `seq`, if it is one.
pub(crate) fn decode(seq: u64, list: &[u8]) -> Option<Views> {
    let mut c = Cursor::new(list);
    let mut views = Views {
        seq,
        ..Views::default()
    };
    for _ in 0..c.varint()? {
        let (seq, wall_ms) = (c.varint()?, c.varint()?);
        let name = SnapshotName::stored(take_name(&mut c)?)?;
        views.snapshots.push(Snapshot { name, seq, wall_ms });
    }
    for _ in 0..c.varint()? {
        let (at, to) = (c.varint()?, c.varint()?);
        let bucket = match take_name(&mut c)? {
            "" => None,
            name => Some(BucketName::stored(name)?),
        };
        views.rollbacks.push(Rollback { at, to, bucket });
    }
    let snapshots = views.snapshots.windows(2);
    let rollbacks = views.rollbacks.windows(2);
    let in_order = snapshots.into_iter().all(|two| two[0].seq <= two[1].seq)
        && rollbacks.into_iter().all(|two| two[0].at < two[1].at)
        && views
            .rollbacks
            .iter()
            .all(|rollback| rollback.to < rollback.at);
    (in_order && c.position() == list.len()).then_some(views)
}

fn take_name<'a>(c: &mut Cursor<'a>) -> Option<&'a str> {
    let len = usize::from(c.u8()?);
    core::str::from_utf8(c.take(len)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn it_goes_both_ways_and_no_part_of_it_is_one() {
        let snapshot = |name: &str, seq| Snapshot {
            name: SnapshotName::new(name).expect("a name"),
            seq,
            wall_ms: 1_800_000_000_000,
        };
        let views = Views {
            seq: 400,
            snapshots: vec![snapshot("a", 5), snapshot("b.2", 300)],
            rollbacks: vec![
                Rollback {
                    at: 310,
                    to: 5,
                    bucket: None,
                },
                Rollback {
                    at: 320,
                    to: 0,
                    bucket: Some(BucketName::new("www").expect("a name")),
                },
            ],
        };
        let list = encode(&views);
        assert_eq!(list.len(), encoded_len(&views));
        assert_eq!(decode(400, &list), Some(views));
        for len in 0..list.len() {
            assert_eq!(decode(400, &list[..len]), None, "{len}");
        }
        let none = Views {
            seq: 1,
            ..Views::default()
        };
        assert_eq!(decode(1, &encode(&none)), Some(none));
    }
}
