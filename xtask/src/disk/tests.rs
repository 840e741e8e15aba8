//! The commands, run on image files: what they print, and that they leave the file alone.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;
use store::backup::Item;
use store::blob::HeapPages;
use store::flight::{HEADER_BYTES, RECORD_BYTES, Slot};
use store::{
    Batch, BucketName, Change, Condition, FormatPermission, Headers, Key, MemoryDisk, Now, Options,
    State, Store, Wake,
};

use super::{Verb, perform};

const DISK_BYTES: usize = 8 << 20;

fn settle(store: &mut Store) {
    let now = Now {
        monotonic_ns: 1,
        wall_ns: 1_700_000_000_000_000_000,
    };
    while store.step(now) == Wake::Now {}
}

fn put(store: &mut Store, bucket: &str, key: &[u8], value: &[u8]) {
    let change = Change::Put {
        value: value.to_vec(),
        headers: Headers::default(),
    };
    let bucket = BucketName::new(bucket).expect("a name");
    let key = Key::new(key).expect("a key");
    let changes = vec![(bucket, key, Condition::None, change)];
    let ticket = store.submit(Batch { changes }).expect("taken");
    settle(store);
    assert!(matches!(
        store.outcome(&ticket),
        std::task::Poll::Ready(Ok(_))
    ));
}

/// An image of a closed store, in a file of this test's own.
fn image(name: &str) -> PathBuf {
    image_and_slot(name).0
}

/// As [`image`], and where a guest that crashes would write its record.
fn image_and_slot(name: &str) -> (PathBuf, Slot) {
    let disk = MemoryDisk::new(DISK_BYTES as u64);
    let options = Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: 32 << 20,
        seed: [7; 32],
        pages: Box::new(HeapPages),
    };
    let mut store = Store::opening(Box::new(disk.clone()), options);
    settle(&mut store);
    put(&mut store, "www", b"index.html", b"<h1>the first page</h1>");
    put(&mut store, "www", b"with blank\x00", b"two");
    put(&mut store, "notes", b"one", b"three");
    let slot = store.flight_slot().expect("a place");
    store.close();
    settle(&mut store);
    assert_eq!(*store.state(), State::Closed);
    let mut bytes = vec![0u8; DISK_BYTES];
    disk.peek(0, &mut bytes);
    (file(name, &bytes), slot)
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let directory = crate::checkout().join("target/disk-tests");
    fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    fs::write(&path, bytes).expect("written");
    path
}

/// Whether all is well, and what is printed; or the error.
fn run(verb: &Verb) -> Result<(bool, String), String> {
    let out = Rc::new(RefCell::new(Vec::new()));
    let clean = perform(verb, &out).map_err(|error| format!("{error:#}"))?;
    let text = String::from_utf8(out.take()).expect("text");
    Ok((clean, text))
}

fn check(image: &Path) -> Result<(bool, String), String> {
    let image = image.to_owned();
    run(&Verb::Check { image })
}

fn dump(image: &Path, json: bool) -> String {
    let image = image.to_owned();
    run(&Verb::Dump { image, json }).expect("a store").1
}

/// Damages the first place where these bytes lie.
fn spoil(image: &Path, needle: &[u8]) {
    let mut bytes = fs::read(image).expect("there");
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle);
    bytes[at.expect("on the disk")] ^= 1;
    fs::write(image, bytes).expect("written");
}

#[test]
fn a_good_image_is_clean_and_not_touched() {
    let image = image("good.img");
    let before = (
        fs::read(&image).expect("there"),
        fs::metadata(&image)
            .expect("there")
            .modified()
            .expect("known"),
    );
    let (clean, text) = check(&image).expect("a store");
    assert!(clean, "{text}");
    assert_eq!(
        text,
        "no findings, 0 notes: 1 segments in use, 4 groups, 3 keys\n"
    );
    dump(&image, false);
    dump(&image, true);
    run(&Verb::Stats {
        image: image.clone(),
    })
    .expect("a store");
    let after = (
        fs::read(&image).expect("there"),
        fs::metadata(&image)
            .expect("there")
            .modified()
            .expect("known"),
    );
    assert!(before == after, "the image was changed");
}

#[test]
fn a_file_that_may_only_be_read_is_enough() {
    let image = image("read-only.img");
    let mut permissions = fs::metadata(&image).expect("there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&image, permissions).expect("set");
    let (clean, _) = check(&image).expect("a store");
    assert!(clean);
    fs::remove_file(&image).expect("removed");
}

#[test]
fn a_crash_is_shown_without_a_guest_that_opens_the_store() {
    let (path, slot) = image_and_slot("crashed.img");
    let crashes = |image: &Path| {
        let image = image.to_owned();
        run(&Verb::Crashes { image })
    };
    let (clean, text) = crashes(&path).expect("a store");
    assert!(clean && text.starts_with("no crashes"), "{text}");

    let words = b"PANIC at src/a.rs:1:1: why; backtrace 0x1000\nthe log before it:\n";
    let mut record = [0; RECORD_BYTES];
    record[HEADER_BYTES..HEADER_BYTES + words.len()].copy_from_slice(words);
    slot.seal(
        &mut record,
        words.len(),
        (1_700_000_000_000_000_000, 61_000_000_000),
    );
    let mut bytes = fs::read(&path).expect("there");
    let place = slot.sector as usize * 512;
    bytes[place..place + RECORD_BYTES].copy_from_slice(&record);
    // One superblock is enough.
    bytes[..4096].fill(0);
    let (clean, text) = crashes(&file("crashed.img", &bytes)).expect("a store");
    assert!(!clean);
    assert_eq!(
        text,
        "crash 1: 1700000000000 ms since 1970, 61000 ms after the guest began\n\
         PANIC at src/a.rs:1:1: why; backtrace 0x1000\nthe log before it:\n"
    );
    for (bytes, why) in [
        (vec![0; DISK_BYTES], "there is no store on it"),
        (bytes[..100_000].to_vec(), "there is no store on it"),
        (bytes[..(1 << 20) - 1].to_vec(), "there is no store on it"),
    ] {
        let error = crashes(&file("crashed.img", &bytes)).expect_err("no store");
        assert!(error.contains(why), "{error}");
    }
    assert!(crashes(Path::new("/nowhere.img")).is_err());
    fs::remove_file(path).expect("removed");
}

#[test]
fn damage_is_told_with_its_place_and_its_key() {
    let image = image("damaged.img");
    spoil(&image, b"the first page");
    let (clean, text) = check(&image).expect("a store");
    assert!(!clean);
    let wanted = "value: the value of www/index.html (seq 1048577) is damaged\n";
    assert!(text.contains(wanted), "{text}");
    let wanted = "lost: www/index.html (seq 1048577) is lost: the key is not shown\n";
    assert!(text.contains(wanted), "{text}");
    let text = dump(&image, false);
    let mut lines = text.lines();
    let marked = lines.any(|line| line.contains(" !! value: the value of www/index.html"));
    assert!(marked, "{text}");
}

#[test]
fn what_cannot_be_looked_at_is_an_error_that_says_why() {
    let cases: [(&str, &[u8], &str); 3] = [
        (
            "empty.img",
            &[],
            "it has 0 bytes; a store has at least 8388608",
        ),
        ("blank.img", &[0; DISK_BYTES], "there is no store on it"),
        ("container.img", b"QFI\xfb", "qemu-img convert -O raw"),
    ];
    for (name, bytes, wanted) in cases {
        let mut bytes = bytes.to_vec();
        if name == "container.img" {
            bytes.resize(DISK_BYTES, 0);
        }
        let error = check(&file(name, &bytes)).expect_err("no store");
        assert!(error.contains(wanted) && error.contains(name), "{error}");
    }
    let error = check(Path::new("no/such.img")).expect_err("no file");
    assert!(error.contains("no/such.img cannot be opened"), "{error}");
    let error = check(&crate::checkout()).expect_err("a directory");
    assert!(
        error.contains("neither a file nor a block device"),
        "{error}"
    );
}

#[test]
fn a_dump_is_one_line_for_each_thing_in_the_order_of_the_log() {
    let text = dump(&image("dump.img"), false);
    let lines: Vec<&str> = text.lines().collect();
    let begin = |at: usize, wanted: &str| assert!(lines[at].starts_with(wanted), "{text}");
    begin(0, "0x000000000000 superblock store=0707");
    begin(1, "0x000000100000 superblock store=0707");
    begin(
        2,
        "0x000000200000 segment 0 generation=1 epoch=1 previous=0 successor=1 free=23 ",
    );
    begin(
        3,
        "0x000000200200 group proven len=124 span=512 records=0 epoch=2 ",
    );
    begin(4, "0x000000200400 group proven len=");
    begin(
        5,
        "0x000000200460   put proven len=60 seq=1048577 bucket=www key=index.html ",
    );
    begin(7, "0x000000200660   put proven len=");
    assert!(lines[7].contains(" key=with\\x20blank\\x00 "), "{text}");
    begin(10, "0x000000200a00 gap unused len=");
    begin(11, "0x00000023fe00 footer none not-needed");
    assert_eq!(lines.len(), 12, "{text}");
    assert!(
        lines[5].ends_with(" value=23 crc=0xa8ee7344 headers=0"),
        "{}",
        lines[5]
    );
}

#[test]
fn a_dump_in_json_has_an_object_for_each_line() {
    let image = image("json.img");
    spoil(&image, b"the first page");
    let (text, json) = (dump(&image, false), dump(&image, true));
    assert_eq!(text.lines().count(), json.lines().count());
    let objects: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    let finding = objects.iter().find(|object| object["kind"] == "lost");
    let finding = finding.expect("a finding");
    assert_eq!(finding["key"], "index.html");
    assert_eq!(finding["seq"], 1_048_577);
    assert!(objects.iter().any(|object| object["item"] == "record"
        && object["key"] == "with\\x20blank\\x00"
        && object["value"] == 3));
}

#[test]
fn figures_add_up() {
    let image = image("figures.img");
    let (clean, text) = run(&Verb::Stats { image }).expect("a store");
    assert!(clean);
    let has = |wanted: &str| assert!(text.contains(wanted), "{wanted}\n{text}");
    has("device           8388608 bytes\n");
    has("segments         24 of 262144 bytes\n");
    has("segments in use  1\n");
    has("closed cleanly   yes\n");
    has("records, dead    0 bytes\n");
    has("put                3          138\n");
    has("        2           21           26       0       0        none/none www\n");
}

/// A name in the tests' directory with nothing there yet.
fn absent(name: &str) -> PathBuf {
    let path = file(name, b"");
    fs::remove_file(&path).expect("just made");
    path
}

fn back_up(image: &Path, to: &Path, snapshot: Option<&str>) -> Result<(bool, String), String> {
    run(&Verb::Backup {
        image: image.to_owned(),
        file: to.to_owned(),
        snapshot: snapshot.map(str::to_owned),
    })
}

fn restore(from: &Path, image: &Path, size_mib: Option<u64>) -> Result<(bool, String), String> {
    run(&Verb::Restore {
        file: from.to_owned(),
        image: image.to_owned(),
        size_mib,
        lossy: false,
    })
}

fn verify(file: &Path) -> Result<(bool, String), String> {
    let file = file.to_owned();
    run(&Verb::Verify { file })
}

/// What a backup says that does not depend on the disk it was on.
fn said(file: &Path) -> Vec<String> {
    let mut said = Vec::new();
    super::backup::read(file, |item| {
        said.push(match item {
            Item::Entry(head) => {
                let (modified, len) = (head.modified_wall_ns, head.len_bytes);
                format!("{:?} {modified} {len} {:?}", head.key, head.headers)
            }
            Item::Header(header) => format!("{} keys", header.keys),
            other => format!("{other:?}")
                .split("hash")
                .next()
                .expect("text")
                .to_owned(),
        });
        Ok(())
    })
    .expect("a whole backup");
    said
}

#[test]
fn a_backup_goes_into_a_new_image_and_says_the_same_there() {
    let image = image("backed-up.img");
    let before = fs::read(&image).expect("there");
    let (first, second) = (absent("first.backup"), absent("second.backup"));
    let restored = absent("restored.img");
    let (clean, text) = back_up(&image, &first, None).expect("a backup");
    assert!(
        clean && text.contains("keys             3 in 2 buckets\n"),
        "{text}"
    );
    assert!(
        text.ends_with("complete: every checksum is right\n"),
        "{text}"
    );
    assert!(before == fs::read(&image).expect("there"), "only read");
    assert_eq!(verify(&first), Ok((true, text.clone())));
    assert_eq!(restore(&first, &restored, None), Ok((true, text)));
    assert_eq!(
        fs::metadata(&restored).expect("there").len(),
        before.len() as u64
    );
    let (clean, text) = check(&restored).expect("a store");
    assert!(clean, "{text}");
    back_up(&restored, &second, None).expect("a backup of that");
    assert_eq!(said(&first), said(&second));
    // Nothing is written over.
    let again = back_up(&image, &first, None).expect_err("it is there");
    assert!(again.contains("is there already"), "{again}");
    let again = restore(&first, &restored, None).expect_err("it is there");
    assert!(again.contains("is there already"), "{again}");
    let none = back_up(&image, &absent("none.backup"), Some("none")).expect_err("no snapshot");
    assert!(none.contains("has no snapshot of this name"), "{none}");
}

#[test]
fn a_backup_that_is_not_whole_restores_nothing() {
    let image = image("cut.img");
    let backup = absent("cut.backup");
    back_up(&image, &backup, None).expect("a backup");
    let whole = fs::read(&backup).expect("there");
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    let more = [whole.as_slice(), b"x"].concat();
    for (name, bytes) in [
        ("cut-1.backup", &whole[..whole.len() - 1]),
        ("cut-2.backup", &whole[..100]),
        ("cut-3.backup", &[]),
        ("changed.backup", &changed),
        ("more.backup", &more),
        ("image.backup", &fs::read(&image).expect("there")),
    ] {
        let backup = file(name, bytes);
        let restored = absent("never.img");
        let refused = restore(&backup, &restored, None).expect_err(name);
        assert!(
            refused.contains(name) && refused.contains("at byte "),
            "{refused}"
        );
        assert_eq!(verify(&backup), Err(refused));
        assert!(!restored.exists() && !restored.with_extension("img.partial").exists());
    }
}

#[test]
fn an_image_that_is_too_small_says_so_and_is_not_left() {
    let image = image("small.img");
    let backup = absent("small.backup");
    back_up(&image, &backup, None).expect("a backup");
    let restored = absent("small-restored.img");
    let refused = restore(&backup, &restored, Some(1)).expect_err("too small");
    assert!(refused.contains("8 MiB"), "{refused}");
    assert!(!restored.exists());
}
