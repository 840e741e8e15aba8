//! What runs tell together is what their entries tell one by one.

mod lists;

use super::merge::{Came, Merge};
use super::run::{Bounds, Next, Run};
use crate::format::layout::Layout;
use crate::format::record::{Owner, Record};
use crate::index::views::{Snapshot, Views};
use crate::index::{Totals, Version};
use crate::name::SnapshotName;
use crate::replay::Replay;
use crate::summary::Summary;
use crate::tests::bed::Random;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const SEGMENTS: u32 = 5;
const MEMORY_BYTES: u64 = 8 << 20;

fn layout() -> Layout {
    Layout::plan(64 << 20, 512).expect("a layout")
}

fn bounds(number: u32) -> Bounds {
    let layout = layout();
    Bounds {
        start: layout.start(number),
        data: layout.data_start(number),
        end: layout.data_end(number),
    }
}

/// What is on the disk.
#[derive(Clone, Copy)]
struct Kinds {
    tombstones: bool,
    /// The same record at two places, as a crash leaves it while it is copied.
    copies: bool,
    snapshots: bool,
}

fn key(number: u64) -> String {
    match number % 3 {
        0 => format!("{number:02}"),
        1 => format!("a long beginning {number:04}"),
        _ => format!("a long beginning {number:04} and more"),
    }
}

fn record<'a>(
    seq: u64,
    bucket: &'a str,
    key: &'a str,
    random: &mut Random,
    kinds: Kinds,
) -> Record<'a> {
    let owner = Owner {
        seq,
        bucket,
        key: key.as_bytes(),
        modified_wall_ns: seq * 1_000_000,
    };
    match kinds.tombstones && random.below(4) == 0 {
        true => Record::Tombstone { owner },
        false => Record::Put {
            owner,
            metadata: &[],
            value_crc: seq as u32,
            value: &[7; 100][..random.below(100) as usize],
        },
    }
}

/// Some segments, each with its summary.
fn segments(random: &mut Random, kinds: Kinds) -> Vec<Summary> {
    let each = |number: u32| Summary::new(bounds(number).start, MEMORY_BYTES);
    let mut all: Vec<Summary> = (0..SEGMENTS).map(each).collect();
    let mut used = [0; SEGMENTS as usize];
    for seq in 1..400 {
        let bucket = ["b", "bb", "c"][random.below(3) as usize];
        let key = key(random.below(60));
        let record = record(seq, bucket, &key, random, kinds);
        let copies = if kinds.copies && random.below(8) == 0 {
            2
        } else {
            1
        };
        let first = random.below(u64::from(SEGMENTS)) as usize;
        for copy in 0..copies {
            let number = (first + copy) % SEGMENTS as usize;
            let pos = bounds(number as u32).data + 1024 * used[number];
            used[number] += 1;
            let noted = all[number].note(&record, &[], pos);
            noted.expect("there is room for it");
        }
    }
    all
}

fn replay(kinds: Kinds) -> Replay {
    let mut replay = Replay::new(layout(), MEMORY_BYTES);
    for number in 0..SEGMENTS {
        replay.segments.begin(number, 10 + u64::from(number));
    }
    let snapshot = |seq: u64| Snapshot {
        name: SnapshotName::new(&format!("s{seq}")).expect("a name"),
        seq,
        wall_ms: 0,
    };
    if kinds.snapshots {
        replay.index.recover_views(Views {
            seq: 401,
            snapshots: Vec::from([snapshot(100), snapshot(300)]),
            ..Views::default()
        });
    }
    replay
}

type Shown = (
    Vec<(String, Box<[u8]>, Version)>,
    Vec<(u64, Totals)>,
    Vec<u64>,
    u64,
);

/// All there is to be known once it is finished.
fn shown(mut replay: Replay) -> Shown {
    replay.finish();
    let mut versions = Vec::new();
    for (name, bucket) in &replay.index.buckets {
        let of_bucket = bucket.versions();
        versions.extend(
            of_bucket.map(|(key, version)| (String::from(name.as_str()), key.into(), version)),
        );
    }
    let totals = [100, 300, u64::MAX].map(|at| (at, replay.index.totals_at(at)));
    let live = replay.segments.iter().map(|(_, segment)| segment.live);
    (versions, totals.into(), live.collect(), replay.last_seq)
}

fn runs(summaries: &[Summary]) -> Vec<Run> {
    let run = |(number, summary): (usize, &Summary)| {
        let number = number as u32;
        let run = summary.run((number, bounds(number)), MEMORY_BYTES);
        let mut run = run.expect("there is memory for it");
        assert_eq!(run.skip(0), Next::OtherBucket);
        run
    };
    summaries.iter().enumerate().map(run).collect()
}

const KINDS: [Kinds; 4] = [
    Kinds {
        tombstones: false,
        copies: false,
        snapshots: false,
    },
    Kinds {
        tombstones: true,
        copies: false,
        snapshots: false,
    },
    Kinds {
        tombstones: true,
        copies: true,
        snapshots: false,
    },
    Kinds {
        tombstones: true,
        copies: true,
        snapshots: true,
    },
];

#[test]
fn what_runs_tell_together_is_what_they_tell_one_by_one() {
    let mut random = Random(17);
    for kinds in KINDS.into_iter().cycle().take(80) {
        let summaries = segments(&mut random, kinds);
        let mut alone = replay(kinds);
        summaries.iter().for_each(|summary| alone.gathered(summary));
        let mut together = replay(kinds);
        let mut merge = Merge::new(runs(&summaries));
        let entries = 1 + random.below(100) as u32;
        while merge.step(&mut together, entries) == Came::Somewhere {}
        assert_eq!(merge.unsound, []);
        let mut anew = replay(kinds);
        anew.index.count_anew();
        summaries.iter().for_each(|summary| anew.gathered(summary));
        let expected = shown(anew);
        assert_eq!(shown(together), expected);
        assert_eq!(shown(alone), expected);
    }
}

/// What a merge that came to its limit has not given out, others give out.
#[test]
fn a_run_goes_on_behind_what_it_has_given_out() {
    let mut random = Random(18);
    for kinds in KINDS {
        let summaries = segments(&mut random, kinds);
        let mut alone = replay(kinds);
        summaries.iter().for_each(|summary| alone.gathered(summary));
        let mut together = replay(kinds);
        let mut merge = Merge::new(runs(&summaries));
        assert_eq!(merge.step(&mut together, 150), Came::Somewhere);
        let given = merge.into_runs();
        let given = given.iter().map(|run| (run.number, run.given));
        let given: Vec<(u32, u32)> = given.collect();
        // Those that are over are not among them.
        let sum: u32 = given.iter().map(|(_, given)| given).sum();
        assert!((1..=150).contains(&sum) && given.len() > 1);
        for (number, given) in given {
            let of = (number, bounds(number));
            let run = summaries[number as usize].run(of, MEMORY_BYTES);
            let mut run = run.expect("there is memory for it");
            if run.skip(given) == Next::End {
                continue;
            }
            let mut rest = Merge::new(Vec::from([run]));
            while rest.step(&mut together, 100) == Came::Somewhere {}
        }
        assert_eq!(shown(together), shown(alone));
    }
}

/// Each of few bytes on a disk can be a table of many in memory.
#[test]
fn chunks_that_lie_do_not_take_all_memory() {
    let mut replay = replay(KINDS[0]);
    let pos = bounds(0).data;
    for upload in 0..100_000 {
        replay.chunk((upload, 1023), pos, 0);
    }
    assert!(replay.large.bytes() <= MEMORY_BYTES && !replay.fits_memory());
}

#[test]
fn an_epoch_that_nothing_can_follow_is_none() {
    let mut replay = replay(KINDS[0]);
    replay.see_numbers(7, 3);
    replay.see_numbers(8, u64::MAX);
    assert_eq!((replay.next_seq(), replay.max_epoch()), (8, 3));
}

/// Where there is memory for what is known, but not for all runs beside it, the rest has to wait.
#[test]
fn runs_that_do_not_fit_beside_the_index_wait() {
    let mut random = Random(19);
    let summaries = segments(&mut random, KINDS[0]);
    let runs = runs(&summaries);
    let runs_bytes: u64 = runs.iter().map(Run::ram_bytes).sum();
    let mut little = Replay::new(layout(), runs_bytes / 2 + little_index_bytes());
    for number in 0..SEGMENTS {
        little.segments.begin(number, 10 + u64::from(number));
    }
    let mut merge = Merge::new(runs);
    assert_eq!(merge.step(&mut little, u32::MAX), Came::ToTheLimit);
    assert!(little.index.is_whole(), "nothing is given up for it");
}

fn little_index_bytes() -> u64 {
    Replay::new(layout(), 0).index.bytes() + 16 * 1024
}
