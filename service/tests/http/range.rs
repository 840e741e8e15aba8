//! Parts of a value: what `Range` and `If-Range` get, and what they cost (RFC 9110 section 14).

use crate::harness::{Bench, noise};
use crate::replies::Reply;
use service::Progress;

const CHUNK_BYTES: usize = 65_536;
/// What is read beside a value's chunks: its manifest, and the rest of each record's sectors.
const FRAMES_BYTES: usize = 4_096;

fn range(first: usize, last: usize) -> String {
    format!("Range: bytes={first}-{last}\r\n")
}

#[test]
fn one_range_is_answered_with_its_part_place_and_length() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "Content-Type: text/x-digits\r\n", "0123456789");
    let whole = bench.get("/kv/b/k");
    assert_eq!(whole.the("Accept-Ranges"), "bytes");
    for (asked, body, place) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=3-", "3456789", "bytes 3-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
        ("bytes=0-99", "0123456789", "bytes 0-9/10"),
        ("bytes=9-9", "9", "bytes 9-9/10"),
        ("BYTES=007-008", "78", "bytes 7-8/10"),
        ("bytes=8-99999999999999999999999", "89", "bytes 8-9/10"),
        ("bytes=8-18446744073709551615", "89", "bytes 8-9/10"),
        (
            "bytes=-99999999999999999999999",
            "0123456789",
            "bytes 0-9/10",
        ),
    ] {
        let part = bench.with("GET", "/kv/b/k", &format!("Range: {asked}\r\n"));
        assert_eq!((part.status, part.text()), (206, body), "{asked}");
        assert_eq!(part.the("Content-Range"), place, "{asked}");
        assert_eq!(part.the("Content-Length"), body.len().to_string());
        for same in ["ETag", "Last-Modified", "Content-Type", "Accept-Ranges"] {
            assert_eq!(part.the(same), whole.the(same), "{asked} {same}");
        }
    }
}

/// The parts of a `multipart/byteranges`: type, place and bytes of each.
fn parts(reply: &Reply) -> Vec<(String, String, Vec<u8>)> {
    let media = reply.the("Content-Type").to_owned();
    let boundary = media.strip_prefix("multipart/byteranges; boundary=");
    let delimiter = format!("\r\n--{}", boundary.expect("a boundary"));
    let mut rest = &reply.body[..];
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|at| at == what);
    let mut found = Vec::new();
    loop {
        rest = rest
            .strip_prefix(delimiter.as_bytes())
            .expect("a part begins");
        if rest == b"--\r\n" {
            return found;
        }
        let end = find(rest, b"\r\n\r\n").expect("a part has a head");
        let head = String::from_utf8(rest[..end].to_vec()).expect("a head is text");
        let field = |name: &str| {
            let of_name =
                |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
            head.lines().find_map(of_name).expect("the field is there")
        };
        rest = &rest[end + 4..];
        let end = find(rest, delimiter.as_bytes()).expect("a part ends");
        let body = rest[..end].to_vec();
        found.push((field("Content-Type"), field("Content-Range"), body));
        rest = &rest[end..];
    }
}

#[test]
fn several_ranges_come_as_parts_in_their_order() {
    let mut bench = Bench::open();
    // One record, and three chunks with a rest.
    for (key, len) in [("small", 20_000), ("large", 3 * CHUNK_BYTES + 100)] {
        let value = noise(len);
        let target = format!("/kv/b/{key}");
        bench.put(&target, "Content-Type: text/x-noise\r\n", &value);
        let edge = len / 2;
        let asked = [len - 10..len, 0..1, edge - 300..edge + 300, 1_000..9_000];
        let ranges = format!(
            "Range: bytes=-10,0-0,{}-{},1000-4999,4990-8999\r\n",
            edge - 300,
            edge + 299
        );
        let reply = bench.with("GET", &target, &ranges);
        assert_eq!(reply.status, 206);
        assert_eq!(reply.field("Content-Range"), None);
        assert_eq!(reply.the("Content-Length"), reply.body.len().to_string());
        let expected = asked.map(|bytes| {
            let place = format!("bytes {}-{}/{len}", bytes.start, bytes.end - 1);
            ("text/x-noise".to_owned(), place, value[bytes].to_vec())
        });
        assert_eq!(parts(&reply), expected);
        let head = bench.with("HEAD", &target, &ranges);
        assert_eq!(
            (head.status, head.the("Content-Length")),
            (200, &*len.to_string())
        );
        let other = bench.with("GET", &target, &format!("If-Range: \"x\"\r\n{ranges}"));
        assert_eq!((other.status, other.body.len()), (200, len));
    }
}

/// What the bytes of the value are is said of each part, and not of the answer; a reader who takes
/// little at a time gets the same.
#[test]
fn parts_have_the_coding_and_come_to_slow_readers() {
    let mut bench = Bench::open();
    let value = noise(3 * CHUNK_BYTES);
    bench.put("/kv/b/k", "Content-Encoding: gzip\r\n", &value);
    let ranges = "Range: bytes=0-999,100000-170000,-9\r\n";
    let reply = bench.with("GET", "/kv/b/k", ranges);
    assert_eq!((reply.status, reply.field("Content-Encoding")), (206, None));
    let coding = b"\r\nContent-Encoding: gzip\r\n";
    let parts = reply.body.windows(coding.len()).filter(|at| at == coding);
    assert_eq!(parts.count(), 3);

    let mut client = bench.client();
    client.say(format!("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n{ranges}\r\n"));
    client.wire.room = 0;
    for _ in 0..100_000 {
        client.wire.room = 1_000;
        bench.run(&mut client);
        if client.wire.output.ends_with(b"--\r\n") {
            break;
        }
    }
    let slow = client.replies().remove(0);
    assert_eq!(slow.body.len(), reply.body.len());
    assert_eq!(slow.the("Content-Length"), reply.the("Content-Length"));
}

#[test]
fn what_is_no_range_of_bytes_is_ignored() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "0123456789");
    for asked in [
        "bytes=0-1,3",
        "bytes=0-1,2-1",
        "bytes=2-1",
        "bytes=99-98",
        "bytes=99999999999999999999999-1",
        "bytes=-",
        "bytes=--1",
        "bytes=1--",
        "bytes=0x1-2",
        "bytes=1",
        "bytes=",
        "bytes",
        "bytes 1-2",
        "rows=1-2",
        "",
    ] {
        let reply = bench.with("GET", "/kv/b/k", &format!("Range: {asked}\r\n"));
        assert_eq!((reply.status, reply.text()), (200, "0123456789"), "{asked}");
        assert_eq!(reply.field("Content-Range"), None, "{asked}");
    }
}

#[test]
fn a_range_with_no_byte_in_it_is_416_and_told_the_length() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "0123456789");
    bench.put("/kv/b/empty", "", "");
    for (target, asked, place) in [
        ("/kv/b/k", "bytes=10-", "bytes */10"),
        ("/kv/b/k", "bytes=10-10", "bytes */10"),
        ("/kv/b/k", "bytes=99999999999999999999999-", "bytes */10"),
        ("/kv/b/k", "bytes=-0", "bytes */10"),
        ("/kv/b/empty", "bytes=0-", "bytes */0"),
        ("/kv/b/empty", "bytes=0-0", "bytes */0"),
        ("/kv/b/empty", "bytes=-0", "bytes */0"),
    ] {
        let reply = bench.with("GET", target, &format!("Range: {asked}\r\n"));
        assert_eq!(reply.status, 416, "{target} {asked}");
        assert_eq!(reply.the("Content-Range"), place, "{target} {asked}");
        assert_eq!(reply.problem(), "range-not-satisfiable");
    }
    // Satisfiable (section 14.1.2), but there is no `Content-Range` for it.
    let suffix = bench.with("GET", "/kv/b/empty", "Range: bytes=-5\r\n");
    assert_eq!((suffix.status, suffix.the("Content-Length")), (200, "0"));
}

#[test]
fn if_range_takes_the_etag_alone() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "0123456789");
    let whole = bench.get("/kv/b/k");
    let (etag, date) = (whole.the("ETag"), whole.the("Last-Modified"));
    for (validator, status) in [
        (etag.to_owned(), 206),
        (format!("W/{etag}"), 200),
        (format!("{etag}, {etag}"), 200),
        ("\"other\"".to_owned(), 200),
        ("*".to_owned(), 200),
        ("nonsense".to_owned(), 200),
        // Nobody knows whether it was the only change of its second (section 8.8.2.2).
        (date.to_owned(), 200),
    ] {
        let lines = format!("If-Range: {validator}\r\nRange: bytes=0-1\r\n");
        assert_eq!(
            bench.with("GET", "/kv/b/k", &lines).status,
            status,
            "{lines}"
        );
        let alone = format!("If-Range: {validator}\r\n");
        assert_eq!(bench.with("GET", "/kv/b/k", &alone).status, 200);
    }
    for (validator, status) in [(etag, 416), ("\"other\"", 200)] {
        let lines = format!("If-Range: {validator}\r\nRange: bytes=10-\r\n");
        assert_eq!(bench.with("GET", "/kv/b/k", &lines).status, status);
    }
}

#[test]
fn other_conditions_are_judged_before_the_range() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "0123456789");
    let whole = bench.get("/kv/b/k");
    let (etag, date) = (whole.the("ETag"), whole.the("Last-Modified"));
    for asked in ["bytes=0-1", "bytes=10-"] {
        for (condition, status) in [
            (format!("If-None-Match: {etag}"), 304),
            (format!("If-Modified-Since: {date}"), 304),
            ("If-Match: \"other\"".to_owned(), 412),
        ] {
            let lines = format!("{condition}\r\nIf-Range: {etag}\r\nRange: {asked}\r\n");
            assert_eq!(
                bench.with("GET", "/kv/b/k", &lines).status,
                status,
                "{lines}"
            );
        }
    }
}

/// A snapshot `s` of a value of both doors, which has another value now.
fn two_doors(then: &[u8]) -> Bench {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", then);
    bench.put("/kv/www/page.html", "", then);
    let taken = bench.admin("PUT", "/-/admin/snapshots/s", "", "");
    assert_eq!(taken.status, 201);
    bench.put("/kv/b/k", "", "other");
    bench
}

#[test]
fn head_knows_no_ranges() {
    let mut bench = two_doors(b"0123456789");
    for target in ["/kv/b/k", "/kv/b/k?at=s", "/-/key64/b/aw", "/page.html"] {
        let whole = bench.get(target);
        assert_eq!(whole.the("Accept-Ranges"), "bytes", "{target}");
        for asked in ["bytes=0-1", "bytes=99-", "bytes=-0"] {
            let lines = format!("Range: {asked}\r\n");
            let head = bench.with("HEAD", target, &lines);
            assert_eq!(head.status, 200, "{target}");
            assert_eq!(head.fields, whole.fields, "{target}");
        }
    }
}

#[test]
fn a_range_of_a_large_value_reads_only_the_chunks_that_hold_it() {
    let value = noise(10 * CHUNK_BYTES + 100);
    let mut bench = two_doors(&value);
    let last = value.len() - 1;
    for (first, last, chunks) in [
        (0, 0, 1),
        (5 * CHUNK_BYTES, 5 * CHUNK_BYTES, 1),
        (5 * CHUNK_BYTES, 6 * CHUNK_BYTES - 1, 1),
        (5 * CHUNK_BYTES - 1, 5 * CHUNK_BYTES, 2),
        (5 * CHUNK_BYTES - 1, 7 * CHUNK_BYTES, 4),
        (9 * CHUNK_BYTES, last, 2),
        (0, last, 11),
    ] {
        for target in ["/kv/b/k?at=s", "/-/key64/b/aw?at=s", "/page.html"] {
            let before = bench.read_bytes.get();
            let part = bench.with("GET", target, &range(first, last));
            let read_bytes = (bench.read_bytes.get() - before) as usize;
            assert_eq!(part.status, 206, "{target}");
            assert!(
                part.body == value[first..=last],
                "{target} {first} to {last}"
            );
            assert!(
                read_bytes <= chunks * CHUNK_BYTES + FRAMES_BYTES * (chunks + 1),
                "{target} {first} to {last}: {read_bytes} bytes were read for {chunks} chunks"
            );
        }
    }
    let before = bench.read_bytes.get();
    let outside = bench.with("GET", "/page.html", &range(last + 1, last + 1));
    assert_eq!((outside.status, bench.read_bytes.get()), (416, before));
}

#[test]
fn parts_are_exact_around_every_edge_of_a_chunk() {
    let mut bench = Bench::open();
    let value = noise(3 * CHUNK_BYTES);
    bench.put("/kv/b/k", "", &value);
    let edges = (0..=3).map(|number| number * CHUNK_BYTES);
    let places: Vec<usize> = edges
        .flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1])
        .filter(|place| *place < value.len())
        .collect();
    for first in &places {
        for last in places.iter().filter(|last| *last >= first) {
            let part = bench.with("GET", "/kv/b/k", &range(*first, *last));
            assert_eq!(part.status, 206);
            assert!(part.body == value[*first..=*last], "{first} to {last}");
        }
    }
}

#[test]
fn a_damaged_chunk_costs_only_the_ranges_that_need_it() {
    let mut bench = Bench::open();
    let value = noise(4 * CHUNK_BYTES);
    bench.put("/kv/b/k", "", &value);
    let damaged = &value[2 * CHUNK_BYTES + 10..][..16];
    assert_eq!(bench.damage(damaged, 64 << 20), 1);
    for (first, last) in [(0, 2 * CHUNK_BYTES - 1), (3 * CHUNK_BYTES, value.len() - 1)] {
        let part = bench.with("GET", "/kv/b/k", &range(first, last));
        assert!(part.body == value[first..=last], "{first} to {last}");
    }
    let lines = range(2 * CHUNK_BYTES, 2 * CHUNK_BYTES);
    let (answer, progress) =
        bench.raw(format!("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n{lines}\r\n").as_bytes());
    assert_eq!(progress, Progress::Abort);
    assert!(answer.is_empty() || answer.ends_with(b"\r\n\r\n"));
}

#[test]
fn a_connection_goes_on_after_a_part_and_takes_it_as_it_has_room() {
    let mut bench = Bench::open();
    let value = noise(3 * CHUNK_BYTES);
    bench.put("/kv/b/k", "", &value);
    let get = |lines: &str| format!("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let (first, last) = (CHUNK_BYTES - 3, 2 * CHUNK_BYTES + 3);
    let mut client = bench.client();
    client.say(get(&range(first, last)) + &get("Range: bytes=-2\r\n"));
    while client.wire.output.len() < last - first {
        client.wire.room = 10_000;
        bench.run(&mut client);
        assert!(matches!(client.progress, Progress::Peer { .. }));
    }
    client.wire.room = usize::MAX;
    bench.run(&mut client);
    let replies = client.replies();
    assert_eq!(replies.len(), 2);
    assert!(replies[0].body == value[first..=last]);
    assert!(replies[1].body == value[value.len() - 2..]);
}
