//! What a store that opens the disk shows, held against what the log adds up to.

use super::device::{Lane, STORES};
use super::finding::Kind;
use super::ledger::{self, about};
use super::look::Look;
use super::verdict::Stop;
use crate::format::layout::SUPERBLOCK_OFFSETS;
use crate::{
    At, BucketName, FormatPermission, Key, KeyQuery, Metadata, Now, Options, State, Store, Wake,
};
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;

/// Keys asked for at once.
const PAGE_KEYS: usize = 1024;
/// RAM the store may plan with; what is really there is found out by using it.
const MEMORY_BYTES: u64 = 1 << 48;

impl Look {
    /// Opens the store on a device that cannot be written, and compares.
    pub(super) async fn compare(&mut self) -> Result<(), Stop> {
        let lane = Lane::new(Rc::clone(&self.watched), STORES);
        let options = Options {
            format: FormatPermission::BlankOnly,
            unit_bytes: None,
            memory_bytes: MEMORY_BYTES,
            seed: [0; 32],
            pages: Box::new(self.pages.clone()),
        };
        let mut store = Store::opening(Box::new(lane), options);
        let now = Now {
            monotonic_ns: 0,
            wall_ns: 0,
        };
        poll_fn(|_| {
            let wake = store.step(now);
            match (store.state(), wake) {
                (State::Opening, _) | (_, Wake::Now) => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
        let offset = SUPERBLOCK_OFFSETS[0];
        match store.state() {
            State::ReadOnly(_) => {}
            State::Refused(why) => {
                let meaning = format!("a store does not open here: {why}");
                self.find(offset, Kind::Shown, None, meaning);
                return Ok(());
            }
            other => {
                unreachable!("a device that cannot be written gives no store that is {other:?}")
            }
        }
        self.compare_snapshots(&store);
        self.compare_buckets(&store);
        let expected: u64 = self
            .report
            .buckets
            .values()
            .map(|one| one.key_bytes + one.value_bytes + one.metadata_bytes)
            .sum();
        let live = store.statistics().live_bytes;
        if live != expected {
            let meaning = format!(
                "a store that opens here counts {live} bytes in use, and the log holds {expected}"
            );
            self.find(offset, Kind::Shown, None, meaning);
        }
        Ok(())
    }

    /// The snapshots a store lists are those of the newest list in the log.
    fn compare_snapshots(&mut self, store: &Store) {
        let offset = self
            .ledger
            .list
            .as_ref()
            .map_or(0, |(_, place, ..)| place.1);
        let listed = self.ledger.list.as_ref().map(|(.., views)| views);
        let listed = listed.into_iter().flat_map(|views| &views.snapshots);
        let of_log: Vec<(String, u64)> = listed
            .map(|one| (String::from(one.name.as_str()), one.seq))
            .collect();
        let shown = store.snapshots().unwrap_or_default();
        let of_store: Vec<(String, u64)> = shown
            .iter()
            .map(|one| (String::from(one.name.as_str()), one.seq.0))
            .collect();
        if of_log != of_store {
            let meaning = format!(
                "the newest list in the log has {} snapshots, and {} others are shown",
                of_log.len(),
                of_store.len()
            );
            self.find(offset, Kind::Shown, None, meaning);
        }
        let counted = self.report.snapshots.clone();
        for (one, status) in counted.iter().zip(&shown) {
            if one.keys != status.keys {
                let meaning = format!(
                    "the snapshot {} has {} keys in the log, and {} are shown",
                    one.name, one.keys, status.keys
                );
                self.find(offset, Kind::Shown, None, meaning);
            }
        }
    }

    fn compare_buckets(&mut self, store: &Store) {
        let whole = store.buckets();
        let mut names = whole.expect("a look takes the memory it needs");
        names.push(BucketName::system());
        let known = self.ledger.buckets.keys();
        names.extend(known.filter_map(|name| BucketName::stored(name)));
        names.sort_unstable();
        names.dedup();
        let views = ledger::names(&self.ledger.views);
        for name in names {
            for (index, (at, view)) in views.iter().enumerate() {
                let view = view
                    .as_ref()
                    .map_or_else(String::new, |view| format!(" by the snapshot {view}"));
                self.compare_bucket(store, &name, (index, At(*at)), &view);
            }
        }
    }

    /// Both lists are in the order of keys: one walk through both finds every difference.
    fn compare_bucket(
        &mut self,
        store: &Store,
        name: &BucketName,
        (index, at): (usize, At),
        view: &str,
    ) {
        let bucket = self.ledger.buckets.get(name.as_str());
        let versions = bucket.into_iter().flat_map(|bucket| {
            let spans = bucket.spans.get(index);
            let seen = bucket.keys.iter();
            seen.filter_map(move |(key, history)| Some((key, history.seen(spans?)?)))
        });
        let mut differences: Vec<(u64, Box<[u8]>, u64, String)> = Vec::new();
        let mut pages = Pages::new(store, name, at);
        let mut shown = pages.next();
        for (key, version) in versions {
            let Some(value) = version.value() else {
                continue;
            };
            while let Some((other, metadata)) = shown
                .as_ref()
                .filter(|(other, _)| other.as_bytes() < &**key)
            {
                differences.push(only_shown(other, metadata));
                shown = pages.next();
            }
            let (seq, place) = (version.seq, version.place.1);
            let Some((_, metadata)) = shown
                .as_ref()
                .filter(|(other, _)| other.as_bytes() == &**key)
            else {
                let meaning = String::from("is in the log, and is not shown");
                differences.push((place, key.clone(), seq, meaning));
                continue;
            };
            if (metadata.seq.0, metadata.len_bytes, metadata.checksum)
                != (seq, value.len_bytes, value.crc)
            {
                let meaning = format!(
                    "is the newest in the log, and sequence {} of {} bytes is shown",
                    metadata.seq.0, metadata.len_bytes
                );
                differences.push((place, key.clone(), seq, meaning));
            }
            shown = pages.next();
        }
        while let Some((other, metadata)) = &shown {
            differences.push(only_shown(other, metadata));
            shown = pages.next();
        }
        for (offset, key, seq, meaning) in differences {
            let about = about(name.as_str(), &key, seq);
            let meaning =
                format!("{about} {meaning}{view}: report this, it is a flaw of this program");
            self.find(offset, Kind::Shown, Some(about), meaning);
        }
    }
}

fn only_shown(key: &Key, metadata: &Metadata) -> (u64, Box<[u8]>, u64, String) {
    let meaning = String::from("is shown, and is not the newest in the log");
    (0, key.as_bytes().into(), metadata.seq.0, meaning)
}

/// The keys of one bucket, page by page.
struct Pages<'a> {
    store: &'a Store,
    name: &'a BucketName,
    at: At,
    page: alloc::vec::IntoIter<(Key, Metadata)>,
    start: Option<Vec<u8>>,
    more: bool,
}

impl<'a> Pages<'a> {
    fn new(store: &'a Store, name: &'a BucketName, at: At) -> Self {
        Pages {
            store,
            name,
            at,
            page: Vec::new().into_iter(),
            start: None,
            more: true,
        }
    }
}

impl Iterator for Pages<'_> {
    type Item = (Key, Metadata);

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 && self.more {
            let query = KeyQuery {
                start: self.start.take(),
                limit: PAGE_KEYS,
                at: self.at,
                ..KeyQuery::default()
            };
            // Whatever the time: what is over counts until its tombstone says so.
            let (page, _) = self
                .store
                .index
                .page(self.name, &query, (self.at.0, 0), usize::MAX);
            self.more = page.more;
            if let Some((last, _)) = page.keys.last() {
                let mut start = last.as_bytes().to_vec();
                start.push(0);
                self.start = Some(start);
            }
            self.page = page.keys.into_iter();
        }
        self.page.next()
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::{Content, OwnerOf, Record};
    use super::super::device::{OWN, Watched, Watching};
    use super::super::item::{Item, Standing};
    use super::*;
    use crate::blob::HeapPages;
    use crate::disk::Disk;
    use crate::format::checksum::crc32c;
    use crate::{Batch, Change, Condition, Headers, MemoryDisk};
    use alloc::string::ToString;
    use alloc::vec;
    use core::cell::{Cell, RefCell};
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Waker};

    fn settle(store: &mut Store) {
        let now = Now {
            monotonic_ns: 1,
            wall_ns: 1,
        };
        while store.step(now) == Wake::Now {}
    }

    /// A disk with `a`, `b` and `d` in the bucket `www`, in this order.
    fn disk() -> MemoryDisk {
        let disk = MemoryDisk::new(8 << 20);
        let options = Options {
            format: FormatPermission::BlankOnly,
            unit_bytes: None,
            memory_bytes: 32 << 20,
            seed: [3; 32],
            pages: Box::new(HeapPages),
        };
        let mut store = Store::opening(Box::new(disk.clone()), options);
        settle(&mut store);
        for key in [b"a", b"b", b"d"] {
            let bucket = BucketName::new("www").expect("a name");
            let change = Change::Put {
                value: key.to_vec(),
                headers: Headers::default(),
            };
            let key = Key::new(key).expect("a key");
            let changes = vec![(bucket, key, Condition::None, change)];
            store.submit(Batch { changes }).expect("taken");
            settle(&mut store);
        }
        disk
    }

    /// What is told when the log is taken to hold these keys, by sequence.
    fn told(disk: &MemoryDisk, ledger: &[(&[u8], u64)]) -> Vec<String> {
        let told = Rc::new(RefCell::new(Vec::new()));
        let into = Rc::clone(&told);
        let see = move |item: &Item<'_>| {
            if let Item::Finding(finding) = item {
                into.borrow_mut().push(finding.to_string());
            }
        };
        let watched = Watched::new(Box::new(disk.clone()));
        let pages = Watching::new(Box::new(HeapPages), Rc::new(Cell::new(false)));
        let own = Lane::new(Rc::clone(&watched), OWN);
        let own = Disk::new(Box::new(own), Box::new(pages.clone()));
        let mut look = Look::new(Rc::new(RefCell::new(own)), watched, pages, Box::new(see));
        for (key, seq) in ledger {
            let owner = OwnerOf {
                seq: *seq,
                bucket: "www",
                key,
                modified_wall_ns: 1,
            };
            let content = Content::Put {
                owner,
                metadata: &[],
                value_crc: crc32c(0, key),
                value: key,
            };
            let record = Record {
                offset_bytes: 0x1000 * seq,
                len_bytes: 1,
                content,
                standing: Standing::Proven,
            };
            assert!(look.ledger.add(&record, 1));
        }
        look.add_up();
        let mut looking = pin!(look.compare());
        let mut context = Context::from_waker(Waker::noop());
        while looking.as_mut().poll(&mut context).is_pending() {}
        told.take()
    }

    #[test]
    fn what_is_shown_and_what_the_log_holds_are_compared_key_by_key() {
        let (a, b, c, d) = (&b"a"[..], &b"b"[..], &b"c"[..], &b"d"[..]);
        let first = 1048577;
        let same = [(a, first), (b, first + 1), (d, first + 2)];
        assert_eq!(told(&disk(), &same), Vec::<String>::new());
        let other = [(a, first), (b, first + 5), (c, first + 1), (d, first + 2)];
        let lines = told(&disk(), &other);
        let has = |words: &str| lines.iter().any(|line| line.contains(words));
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(has(
            "www/b (seq 1048582) is the newest in the log, and sequence 1048578"
        ));
        assert!(has("www/c (seq 1048578) is in the log, and is not shown"));
        assert!(has("counts 6 bytes in use, and the log holds 8"));
        let lines = told(&disk(), &[(a, first)]);
        let has = |words: &str| lines.iter().any(|line| line.contains(words));
        assert!(has(
            "www/b (seq 1048578) is shown, and is not the newest in the log"
        ));
        assert!(has(
            "www/d (seq 1048579) is shown, and is not the newest in the log"
        ));
    }
}
