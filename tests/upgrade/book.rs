//! What must be on the disk, whichever image shows it, and the hand that changes it.

use std::collections::{BTreeMap, BTreeSet};
use tests::data::value;
use tests::guest::Guest;
use tests::http::{Answer, Client};

/// What an answer says of a stored value beside its bytes; of other fields each image has its own.
const KEPT: [&str; 6] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "etag",
    "expires",
    "last-modified",
];

/// One value: its body is made of these numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    version: u64,
    len: usize,
    /// [`KEPT`] as first shown; nothing before that.
    fields: Option<Vec<Option<String>>>,
}

/// Bucket and key; the key's number is its name.
pub(crate) type Place = (&'static str, u64);
type Shown = BTreeMap<Place, Entry>;

/// All that was acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    version: u64,
    now: Shown,
    snapshots: BTreeMap<String, Shown>,
    /// Each place there ever was.
    known: BTreeSet<Place>,
    /// Buckets that take no further key.
    full: Vec<&'static str>,
}

fn target((bucket, key): Place) -> String {
    format!("/kv/{bucket}/{key}")
}

fn body((bucket, key): Place, version: u64, len: usize) -> Vec<u8> {
    let bucket = bucket.bytes().map(u64::from).sum::<u64>();
    value(bucket << 16 | key, version, len)
}

fn kept(answer: &Answer) -> Vec<Option<String>> {
    // What newer images say where nothing was kept, older ones do not.
    let said = |name: &str| match answer.field(name) {
        Some("no-cache") if name == "cache-control" => None,
        other => other,
    };
    let fields = KEPT.iter().map(|name| said(name));
    fields.map(|field| field.map(str::to_owned)).collect()
}

impl Book {
    /// Writes a value of that length, with these fields.
    pub(crate) fn put_with(
        &mut self,
        guest: &Guest,
        place: Place,
        len: usize,
        (query, fields): (&str, &[(&str, &str)]),
    ) {
        self.version += 1;
        let bytes = body(place, self.version, len);
        let path = format!("{}{query}", target(place));
        let put = guest.client().request_with("PUT", &path, fields, &bytes);
        let put = put.expect("an answer");
        assert!(
            matches!(put.status, 201 | 204),
            "{path}: {} {}",
            put.status,
            put.text()
        );
        self.wrote(place, self.version, len);
    }

    pub(crate) fn put(&mut self, guest: &Guest, place: Place, len: usize) {
        self.put_with(guest, place, len, ("", &[]));
    }

    fn wrote(&mut self, place: Place, version: u64, len: usize) {
        let fields = None;
        let entry = Entry {
            version,
            len,
            fields,
        };
        self.now.insert(place, entry);
        self.known.insert(place);
    }

    pub(crate) fn delete(&mut self, guest: &Guest, place: Place) {
        let deleted = guest.request("DELETE", &target(place), b"");
        assert_eq!(deleted.status, 204, "{place:?}: {}", deleted.text());
        self.now.remove(&place);
    }

    pub(crate) fn take_snapshot(&mut self, guest: &Guest, name: &str) {
        let path = format!("/-/admin/snapshots/{name}");
        let taken = guest.ask_admin("PUT", &path, b"");
        assert_eq!(taken.status, 201, "{name}: {}", taken.text());
        self.snapshots.insert(name.to_owned(), self.now.clone());
    }

    pub(crate) fn delete_snapshot(&mut self, guest: &Guest, name: &str) {
        let path = format!("/-/admin/snapshots/{name}");
        let deleted = guest.ask_admin("DELETE", &path, b"");
        assert_eq!(deleted.status, 204, "{name}: {}", deleted.text());
        self.snapshots.remove(name);
    }

    /// Rolls one bucket back.
    pub(crate) fn roll_back(&mut self, guest: &Guest, name: &str, bucket: &'static str) {
        let path = format!("/-/admin/snapshots/{name}/rollback?bucket={bucket}");
        let rolled = guest.ask_admin("POST", &path, b"");
        assert_eq!(rolled.status, 200, "{name}: {}", rolled.text());
        let then = &self.snapshots[name];
        let then = then.iter().filter(|(place, _)| place.0 == bucket);
        let mut now = self.now.clone();
        now.retain(|place, _| place.0 != bucket);
        now.extend(then.map(|(place, entry)| (*place, entry.clone())));
        self.went_back(&rolled, now);
    }

    /// Replaces all there is by a backup of what was shown at `then`.
    pub(crate) fn restore(&mut self, guest: &Guest, backup: &[u8], then: &Book) {
        let restored = guest.ask_admin("PUT", "/-/admin/restore", backup);
        assert_eq!(restored.status, 202, "{}", restored.text());
        let mut now = then.now.clone();
        // Every value has a new tag.
        now.values_mut().for_each(|entry| entry.fields = None);
        self.went_back(&restored, now);
    }

    /// Another state is shown now, and the answer names the snapshot of the one before.
    fn went_back(&mut self, answer: &Answer, now: Shown) {
        let text = answer.text();
        let (_, undo) = text.split_once("\"undo\":\"").expect("a name");
        let undo = undo.split('"').next().expect("a name").to_owned();
        let before = std::mem::replace(&mut self.now, now);
        self.snapshots.insert(undo, before);
    }

    /// Lets a bucket have as many keys as it has, and no more.
    pub(crate) fn limit(&mut self, guest: &Guest, bucket: &'static str) {
        let keys = self.now.keys().filter(|place| place.0 == bucket).count();
        let path = format!("/-/admin/buckets/{bucket}");
        let limits = format!("{{\"quota_keys\":{keys}}}");
        let limited = guest.ask_admin("PUT", &path, limits.as_bytes());
        assert_eq!(limited.status, 200, "{bucket}: {}", limited.text());
        self.full.push(bucket);
    }

    /// Everything is shown as it was written, now and in each snapshot, and quotas hold.
    pub(crate) fn check(&mut self, guest: &Guest) {
        let mut client = guest.client();
        check_view(&mut client, &mut self.now, &self.known, "");
        for (name, shown) in &mut self.snapshots {
            check_view(&mut client, shown, &self.known, &format!("?at={name}"));
        }
        for bucket in &self.full {
            let refused = guest.request("PUT", &format!("/kv/{bucket}/one-more"), b"x");
            let text = refused.text();
            assert!(
                refused.status == 507 && text.contains("limit_keys"),
                "{bucket}: {} {text}",
                refused.status
            );
        }
    }

    /// Finds out whether the version that was sent last, and never acknowledged, has come to be;
    /// if not, the one before it must be there.
    pub(crate) fn settle(&mut self, guest: &Guest, place: Place, sent: u64, len: usize) {
        let shown = guest.request("GET", &target(place), b"");
        let found = [sent, sent - 1].into_iter().find(|version| {
            let expected = body(place, *version, len);
            shown.status == 200 && shown.body == expected
        });
        let found = found.unwrap_or_else(|| {
            let status = shown.status;
            panic!("{place:?} is neither version {sent} nor the one before: status {status}")
        });
        self.wrote(place, found, len);
    }
}

fn check_view(client: &mut Client, shown: &mut Shown, known: &BTreeSet<Place>, query: &str) {
    for place in known {
        let path = format!("{}{query}", target(*place));
        let got = client.request("GET", &path, b"").expect("an answer");
        let Some(entry) = shown.get_mut(place) else {
            assert_eq!(got.status, 404, "{path} is shown again");
            continue;
        };
        let expected = body(*place, entry.version, entry.len);
        assert!(
            got.status == 200 && got.body == expected,
            "{path} is not version {}: status {}, {} bytes of {}",
            entry.version,
            got.status,
            got.body.len(),
            entry.len
        );
        let fields = kept(&got);
        let first = entry.fields.get_or_insert_with(|| fields.clone());
        assert_eq!(*first, fields, "{path}: {KEPT:?}");
    }
}

/// Writes one place again and again until nobody takes it any more; the version sent last.
pub(crate) fn write(mut client: Client, place: Place, first: u64, len: usize) -> u64 {
    for version in first.. {
        let put = client.request("PUT", &target(place), &body(place, version, len));
        if !put.is_ok_and(|put| matches!(put.status, 201 | 204)) {
            return version;
        }
    }
    unreachable!("there is no last version")
}
