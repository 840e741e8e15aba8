//! How much is written, and how often flushed, for what was asked for: counts, not times.

use super::bed::{Random, bucket, key, opened, options, put_change, settle};
use crate::segments::Use;
use crate::{Batch, Condition, MemoryDisk, Options, Refusal, Store, Ticket};
use alloc::format;

/// A key of 16 bytes and a value of 64.
const PAYLOAD_BYTES: u64 = 80;

fn submit(store: &mut Store, number: u64, salt: u64) -> Result<Ticket, Refusal> {
    let k = key(&format!("{number:016}"));
    let put = put_change(&(salt ^ number).to_le_bytes().repeat(8));
    store.submit(Batch {
        changes: alloc::vec![(bucket("b"), k, Condition::None, put)],
    })
}

fn roomy(disk: &MemoryDisk) -> Store {
    let memory_bytes = 256 << 20;
    opened(
        disk.clone(),
        Options {
            memory_bytes,
            ..options(1)
        },
    )
}

/// Bytes of groups in all segments.
fn group_bytes(store: &Store) -> u64 {
    let used = store.segments.iter();
    let used = used.filter(|(_, segment)| segment.usage == Use::Log);
    used.map(|(_, segment)| segment.written()).sum()
}

/// Thousandths of a byte for each of payload.
fn thousandths(bytes: u64, puts: u64) -> u64 {
    bytes * 1000 / (puts * PAYLOAD_BYTES)
}

/// In groups, and beside them: headers, footers, summaries.
#[test]
fn durable_puts_of_80_bytes_write_little_more() {
    const PUTS: u64 = 100_000;
    for (clients, most) in [(1, 6_600), (16, 1_700), (50, 1_410)] {
        let mut store = roomy(&MemoryDisk::new(1 << 30));
        let before = (group_bytes(&store), store.statistics().written_bytes);
        let puts = PUTS / clients * clients;
        for number in 0..puts {
            drop(submit(&mut store, number, 0).expect("taken"));
            if (number + 1) % clients == 0 {
                settle(&mut store);
            }
        }
        let groups = group_bytes(&store) - before.0;
        let all = store.statistics().written_bytes - before.1;
        let (groups, beside) = (thousandths(groups, puts), thousandths(all - groups, puts));
        std::println!("{clients} clients: {groups}/1000 in groups, {beside}/1000 beside them");
        assert!(groups <= most, "{clients} clients: {groups}/1000");
        assert!(
            beside <= 350,
            "{clients} clients: {beside}/1000 beside the groups"
        );
    }
}

/// Half of the disk is live, and all of that is written ten times more in random order.
#[test]
fn compaction_at_half_full_writes_less_than_as_much_again() {
    let mut store = roomy(&MemoryDisk::new(32 << 20));
    let record_bytes = 106;
    let keys = store.statistics().limit_bytes / 2 / record_bytes;
    let write = |store: &mut Store, number: u64, nth: u64| {
        drop(submit(store, number, nth).expect("taken"));
        if (nth + 1).is_multiple_of(50) {
            settle(store);
        }
    };
    for number in 0..keys {
        write(&mut store, number, number);
    }
    settle(&mut store);
    let before = store.statistics().written_bytes;
    let (mut random, puts) = (Random(3), 10 * keys);
    for nth in 0..puts {
        write(&mut store, random.below(keys), nth);
    }
    settle(&mut store);
    let ratio = thousandths(store.statistics().written_bytes - before, puts);
    std::println!("{keys} keys, half full: {ratio}/1000");
    assert!(ratio <= 2_800, "{ratio}/1000");
}
