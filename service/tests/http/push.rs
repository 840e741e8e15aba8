//! `/-/admin/site`: a directory becomes a site as a whole, or not at all.

use crate::harness::{self, Bench, Client, Mood, noise, put};
use crate::replies::Reply;
use service::Plane;

/// Large enough that it comes in pieces.
const LARGE_BYTES: usize = 200_000;

/// A tar as people make it.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    builder
        .append_data(&mut header, "./", &b""[..])
        .expect("in memory");
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, *content)
            .expect("in memory");
    }
    builder.into_inner().expect("in memory")
}

pub(crate) fn saying(bench: &mut Bench, bytes: &[u8]) -> Client {
    bench.plane = Plane::Admin;
    let mut client = bench.client();
    bench.plane = Plane::Data;
    client.say(bytes);
    client
}

pub(crate) fn push_tar(bench: &mut Bench, query: &str, tar: &[u8]) -> Reply {
    let mut client = saying(bench, &put(&format!("/-/admin/site{query}"), "", tar));
    bench.run(&mut client);
    client.replies().remove(0)
}

pub(crate) fn push(bench: &mut Bench, query: &str, files: &[(&str, &[u8])]) -> Reply {
    push_tar(bench, query, &tar(files))
}

pub(crate) fn pages(bench: &mut Bench, home: &str, more: &str) {
    let files: [(&str, &[u8]); 2] = [("index.html", home.as_bytes()), (more, b"more")];
    assert_eq!(push(bench, "", &files).status, 201);
}

fn rest(bench: &mut Bench) {
    for _ in 0..400 {
        bench.service.step_store(bench.now);
        bench.pass(1_000_000);
    }
}

pub(crate) fn keys(bench: &mut Bench) -> String {
    bench.get("/-/keys/www?limit=1000").text().to_owned()
}

fn site(bench: &mut Bench) -> String {
    bench
        .admin("GET", "/-/admin/site", "", "")
        .text()
        .to_owned()
}

/// What `GET /-/admin/site` says, without its times.
pub(crate) fn states(bench: &mut Bench) -> Vec<(u64, String)> {
    let text = site(bench);
    let said: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let pushes = said["sites"][0]["pushes"]
        .as_array()
        .expect("a list")
        .iter();
    let state = |push: &serde_json::Value| {
        let state = push["state"].as_str().expect("a word");
        (push["push"].as_u64().expect("a number"), state.to_owned())
    };
    pushes.map(state).collect()
}

#[test]
fn a_directory_is_shown_as_a_whole_and_taken_back_as_a_whole() {
    let mut bench = Bench::open();
    bench.put("/kv/www/by-hand.html", "", "by hand");
    let reply = push(
        &mut bench,
        "",
        &[
            ("index.html", b"one"),
            ("./style.css", b"css"),
            ("docs/index.html", &noise(LARGE_BYTES)),
            ("empty.txt", b""),
        ],
    );
    let said = (reply.status, reply.text().trim_end());
    let bytes = LARGE_BYTES + 6;
    let expected = format!("{{\"bucket\":\"www\",\"shown\":1,\"files\":4,\"bytes\":{bytes}}}");
    assert_eq!(said, (201, &*expected));
    for (target, body, media) in [
        ("/", &b"one"[..], "text/html; charset=utf-8"),
        ("/style.css", b"css", "text/css; charset=utf-8"),
        ("/docs/", &noise(LARGE_BYTES), "text/html; charset=utf-8"),
        ("/empty.txt", b"", "text/plain; charset=utf-8"),
    ] {
        let reply = bench.get(target);
        assert_eq!((reply.status, &reply.body[..]), (200, body), "{target}");
        assert_eq!(reply.the("Content-Type"), media);
        assert_eq!(reply.the("Cache-Control"), "no-cache");
        assert_eq!(reply.field("Vary"), None);
        let tag = format!("If-None-Match: {}\r\n", reply.the("ETag"));
        assert_eq!(bench.with("GET", target, &tag).status, 304);
    }
    assert_eq!(bench.get("/docs").the("Location"), "/docs/");
    assert_eq!(bench.get("/by-hand.html").status, 404, "it was not pushed");
    assert_eq!(
        bench.get("/kv/www/by-hand.html").status,
        200,
        "and is where it was"
    );

    pages(&mut bench, "two", "new.html");
    assert_eq!(bench.get("/").text(), "two");
    assert_eq!(bench.get("/new.html").text(), "more");
    assert_eq!(bench.get("/style.css").status, 404);

    let back = bench.admin("POST", "/-/admin/site/rollback", "", "");
    let expected = "{\"bucket\":\"www\",\"shown\":1,\"before\":2}\n";
    assert_eq!((back.status, back.text()), (200, expected));
    assert_eq!(bench.get("/").text(), "one");
    assert_eq!(bench.get("/new.html").status, 404);
    let none = bench.admin("POST", "/-/admin/site/rollback", "", "");
    assert_eq!((none.status, none.problem()), (404, "no-such-generation"));
    let forth = bench.admin("POST", "/-/admin/site/rollback?to=2", "", "");
    assert_eq!(forth.status, 200, "{forth:?}");
    assert_eq!(bench.get("/").text(), "two");

    let mut bench = bench.restarted();
    assert_eq!(bench.get("/").text(), "two");
    assert_eq!(bench.admin("DELETE", "/-/admin/site", "", "").status, 204);
    assert_eq!(bench.get("/by-hand.html").text(), "by hand");
    rest(&mut bench);
    let keys = keys(&mut bench);
    assert!(
        keys.contains("by-hand.html") && !keys.contains(".site"),
        "{keys}"
    );
    let none = bench.admin("DELETE", "/-/admin/site", "", "");
    assert_eq!((none.status, none.problem()), (404, "no-such-generation"));
}

#[test]
fn so_many_are_kept_as_is_said_and_the_last_one_shown_in_any_case() {
    let mut bench = Bench::open();
    for home in ["1", "2", "3", "4", "5"] {
        pages(&mut bench, home, "a");
    }
    rest(&mut bench);
    let owned = |states: &[(u64, &str)]| -> Vec<(u64, String)> {
        states
            .iter()
            .map(|(push, state)| (*push, (*state).to_owned()))
            .collect()
    };
    let expected = owned(&[(3, "kept"), (4, "kept"), (5, "current")]);
    assert_eq!(states(&mut bench), expected);
    assert_eq!(
        bench
            .admin("POST", "/-/admin/site/rollback?to=3", "", "")
            .status,
        200
    );
    let one: [(&str, &[u8]); 1] = [("index.html", b"6")];
    assert_eq!(push(&mut bench, "?keep=1", &one).status, 201);
    rest(&mut bench);
    assert_eq!(states(&mut bench), owned(&[(3, "kept"), (6, "current")]));
    let said = site(&mut bench);
    assert!(
        said.starts_with("{\"sites\":[{\"bucket\":\"www\",\"shown\":6,"),
        "{said}"
    );
    assert!(said.contains("\"files\":1,\"bytes\":1}]}]}"), "{said}");
    for query in ["?keep=9", "?keep=-1", "?keep=", "?bucket=A", "?push=1"] {
        assert_eq!(push(&mut bench, query, &one).status, 400, "{query}");
    }
    assert_eq!(push(&mut bench, "?keep=0", &one).status, 201);
    rest(&mut bench);
    assert_eq!(states(&mut bench), owned(&[(7, "current")]));
}

/// Who reads while it is switched and removed gets what they began with.
#[test]
fn an_answer_in_progress_is_finished_as_it_was_begun() {
    let mut bench = Bench::open();
    let old = noise(LARGE_BYTES);
    assert_eq!(push(&mut bench, "", &[("large", &old)]).status, 201);
    let mut reader = bench.client();
    reader.wire.room = 10_000;
    reader.say("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.run(&mut reader);
    assert_eq!(
        push(&mut bench, "?keep=0", &[("large", b"new")]).status,
        201
    );
    rest(&mut bench);
    assert_eq!(states(&mut bench), [(2, "current".to_owned())]);
    reader.wire.room = usize::MAX;
    bench.run(&mut reader);
    assert!(reader.replies().remove(0).body == old);
    assert_eq!(bench.get("/large").text(), "new");
}

#[test]
fn nothing_is_seen_of_a_push_before_all_of_it_is_there() {
    let mut bench = Bench::open();
    pages(&mut bench, "old", "a");
    let new = tar(&[
        ("index.html", b"new"),
        ("b", &noise(LARGE_BYTES)),
        ("c", b"c"),
    ]);
    let request = put("/-/admin/site", "", &new);
    let mut client = saying(&mut bench, &[]);
    for piece in request.chunks(700) {
        client.say(piece);
        bench.run(&mut client);
        if client.wire.output.is_empty() {
            assert_eq!(bench.get("/").text(), "old");
            assert_eq!(bench.get("/b").status, 404);
        }
    }
    assert_eq!(client.replies().remove(0).status, 201);
    assert_eq!(bench.get("/").text(), "new");
    assert_eq!(bench.get("/a").status, 404);
    assert!(bench.get("/b").body == noise(LARGE_BYTES));
}

#[test]
fn who_breaks_off_leaves_the_site_as_it_was_and_nothing_behind() {
    let new = tar(&[("a", &noise(LARGE_BYTES)), ("index.html", b"new")]);
    let request = put("/-/admin/site", "", &new);
    for end in [request.len() / 2, request.len() - 1] {
        for restarts in [false, true] {
            let mut bench = Bench::open();
            pages(&mut bench, "old", "a.html");
            let before = keys(&mut bench);
            let mut client = saying(&mut bench, &request[..end]);
            bench.run(&mut client);
            assert_ne!(keys(&mut bench), before, "it has begun");
            let mut bench = match restarts {
                true => bench.restarted(),
                false => bench,
            };
            if !restarts {
                drop(client);
            }
            rest(&mut bench);
            let (after, marks) = (keys(&mut bench), states(&mut bench));
            let names = |text: &str| text.matches("\"key\"").count();
            assert_eq!(names(&after), names(&before), "{after}");
            assert_eq!(marks, [(1, "current".to_owned())]);
            assert_eq!(bench.get("/").text(), "old");
            pages(&mut bench, "newer", "b.html");
            assert_eq!(bench.get("/").text(), "newer");
        }
    }
}

#[test]
fn one_pushes_at_a_time_and_can_be_stopped() {
    let mut bench = Bench::open();
    pages(&mut bench, "1", "a");
    pages(&mut bench, "2", "a");
    let request = put("/-/admin/site", "", &tar(&[("index.html", b"3")]));
    let (first, rest_of_it) = request.split_at(request.len() - 10);
    let mut client = saying(&mut bench, first);
    bench.run(&mut client);
    let second = push(&mut bench, "", &[("index.html", b"4")]);
    assert_eq!((second.status, second.problem()), (409, "site-busy"));
    for (method, target) in [
        ("POST", "/-/admin/site/rollback"),
        ("DELETE", "/-/admin/site"),
    ] {
        let reply = bench.admin(method, target, "", "");
        assert_eq!(
            (reply.status, reply.problem()),
            (409, "site-busy"),
            "{target}"
        );
    }
    let other = push(&mut bench, "?bucket=blog", &[("index.html", b"blog")]);
    assert_eq!(other.status, 201);
    let jobs = bench.admin("GET", "/-/admin/jobs", "", "");
    assert!(
        jobs.text()
            .contains("\"kind\":\"site\",\"state\":\"running\""),
        "{jobs:?}"
    );
    let running = jobs
        .text()
        .split("{\"id\":")
        .find(|job| job.contains("running"));
    let id = running
        .and_then(|job| job.split(',').next())
        .expect("a number");
    let stopped = bench.admin("DELETE", &format!("/-/admin/jobs/{id}"), "", "");
    assert_eq!(stopped.status, 202, "{stopped:?}");
    client.say(rest_of_it);
    bench.run(&mut client);
    let reply = client.replies().remove(0);
    assert_eq!((reply.status, reply.problem()), (409, "job-stopped"));
    drop(client);
    assert_eq!(bench.get("/").text(), "2");
    pages(&mut bench, "5", "a");
    assert_eq!(bench.get("/").text(), "5");
}

#[test]
fn redirects_lead_where_the_directory_says() {
    let mut bench = Bench::open();
    let redirects = b"/old/* /new/:splat 302\n/is-there /elsewhere\n/far https://shop.example/\n\
                      /app/* /app.html 200\n/shown /none.html 200\n";
    let files: [(&str, &[u8]); 5] = [
        ("_redirects", redirects),
        ("index.html", b"home"),
        ("is-there", b"itself"),
        ("app.html", b"app"),
        ("404.html", b"sorry"),
    ];
    assert_eq!(push(&mut bench, "", &files).status, 201);
    for restarts in [false, true] {
        if restarts {
            bench = bench.restarted();
        }
        for (target, status, location) in [
            ("/old/a/b%20c?x=1", 302, "/new/a/b%20c?x=1"),
            ("/far", 301, "https://shop.example/"),
        ] {
            let reply = bench.get(target);
            assert_eq!((reply.status, reply.the("Location")), (status, location));
            assert_eq!(reply.the("Cache-Control"), "no-cache");
        }
        assert_eq!(bench.get("/is-there").text(), "itself");
        let app = bench.get("/app/users/7");
        assert_eq!((app.status, app.text()), (200, "app"));
        assert_eq!(app.the("Content-Type"), "text/html; charset=utf-8");
        for target in ["/shown", "/none", "/_redirects", "/_headers"] {
            let reply = bench.get(target);
            assert_eq!((reply.status, reply.text()), (404, "sorry"), "{target}");
        }
    }
}

#[test]
fn pages_are_sent_in_the_coding_that_is_wanted() {
    let mut bench = Bench::open();
    let headers = b"/app.js\n  Cache-Control: max-age=60\n/*.gz-is-no-pattern\n";
    let bad = push(&mut bench, "", &[("_headers", headers), ("a", b"a")]);
    assert_eq!((bad.status, bad.problem()), (400, "bad-site"));
    let why = "Nothing was published: Line 3 of `_headers`";
    assert!(bad.text().contains(why), "{bad:?}");
    let headers = b"/app.js\n  Cache-Control: max-age=60\n";
    let files: [(&str, &[u8]); 5] = [
        ("_headers", headers),
        ("app.js", b"plain script"),
        ("app.js.br", b"brotli"),
        ("app.js.gz", b"gzip"),
        ("_headers", headers),
    ];
    assert_eq!(push(&mut bench, "", &files).status, 201);
    let mut tags = std::collections::BTreeSet::new();
    for (accepted, body, coding) in [
        ("", "plain script", None),
        ("Accept-Encoding: gzip, br\r\n", "brotli", Some("br")),
        ("Accept-Encoding: gzip\r\n", "gzip", Some("gzip")),
        ("Accept-Encoding: gzip;q=0\r\n", "plain script", None),
    ] {
        let reply = bench.with("GET", "/app.js", accepted);
        assert_eq!((reply.status, reply.text()), (200, body));
        assert_eq!(reply.field("Content-Encoding"), coding);
        assert_eq!(reply.the("Vary"), "Accept-Encoding");
        assert_eq!(reply.the("Content-Type"), "text/javascript; charset=utf-8");
        assert_eq!(reply.the("Cache-Control"), "max-age=60");
        let same = format!("{accepted}If-None-Match: {}\r\n", reply.the("ETag"));
        let same = bench.with("GET", "/app.js", &same);
        assert_eq!((same.status, same.the("Vary")), (304, "Accept-Encoding"));
        tags.insert(reply.the("ETag").to_owned());
    }
    assert_eq!(tags.len(), 3, "each has its own");
    let itself = bench.get("/app.js.gz");
    assert_eq!(
        (itself.text(), itself.field("Content-Encoding")),
        ("gzip", None)
    );
    assert_eq!(itself.the("Content-Type"), "application/gzip");
}

#[test]
fn what_is_no_site_is_refused_and_changes_nothing() {
    let mut bench = Bench::open();
    pages(&mut bench, "old", "a");
    let before = keys(&mut bench);
    let mut compressed = vec![0x1f, 0x8b, 8];
    compressed.resize(2_000, 7);
    let whole = tar(&[("a", b"a"), ("index.html", b"new")]);
    let long = "n".repeat(1_024);
    let many = b"/a /b\n".repeat(6_000);
    for (body, why) in [
        (compressed, "it is compressed"),
        (
            b"<html>".repeat(100),
            "what should be an entry's header is none",
        ),
        (whole[..whole.len() - 1_024].to_vec(), "it was cut off"),
        (whole[..700].to_vec(), "it was cut off"),
        (tar(&[]), "there is no file in it"),
        (tar(&[("_redirects", b"/a /b")]), "there is no file in it"),
        (tar(&[("a", b"a"), ("_headers", b"")]), "so it comes first"),
        (
            tar(&[("_redirects", b"/a")]),
            "Line 1 of `_redirects`: a redirect is `FROM TO",
        ),
        (
            tar(&[("_redirects", &many)]),
            "`_redirects` is longer than 32768 bytes",
        ),
        (
            tar(&[("a\\b", b"a")]),
            "has a NUL or a backslash in its name",
        ),
        (tar(&[(&long, b"a")]), "is longer than 1009 bytes"),
    ] {
        let reply = push_tar(&mut bench, "", &body);
        assert_eq!((reply.status, reply.problem()), (400, "bad-site"), "{why}");
        assert!(
            reply.text().contains("Nothing was published: "),
            "{}",
            reply.text()
        );
        assert!(reply.text().contains(why), "{}", reply.text());
        rest(&mut bench);
        assert_eq!(
            keys(&mut bench).matches("\"key\"").count(),
            before.matches("\"key\"").count()
        );
        assert_eq!(bench.get("/").text(), "old");
    }
    let link = {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, "l", "/etc/passwd")
            .expect("in memory");
        builder.into_inner().expect("in memory")
    };
    let reply = push_tar(&mut bench, "", &link);
    assert!(
        reply.text().contains("`l` is a symbolic link"),
        "{}",
        reply.text()
    );
    let none = bench.admin("PUT", "/-/admin/site", "", "");
    assert_eq!((none.status, none.problem()), (400, "bad-site"));
    let coded = put("/-/admin/site", "Content-Encoding: gzip\r\n", &whole);
    let mut client = saying(&mut bench, &coded);
    bench.run(&mut client);
    assert_eq!(client.replies().remove(0).problem(), "bad-site");
}

#[test]
fn a_quota_counts_all_that_is_kept_and_refuses_by_name() {
    let mut bench = Bench::open();
    bench.admin(
        "PUT",
        "/-/admin/buckets/www",
        "",
        "{\"quota_bytes\":250000}",
    );
    let files: [(&str, &[u8]); 2] = [("index.html", b"1"), ("large", &noise(LARGE_BYTES))];
    assert_eq!(push(&mut bench, "", &files).status, 201);
    let full = push(&mut bench, "", &files);
    assert_eq!((full.status, full.problem()), (507, "no-space-quota"));
    assert!(
        full.text().contains("Nothing was published, for `large`:"),
        "{full:?}"
    );
    rest(&mut bench);
    assert_eq!(states(&mut bench), [(1, "current".to_owned())]);
    assert!(bench.get("/large").body == noise(LARGE_BYTES));
}

#[test]
fn only_its_owner_reads_what_is_not_shown() {
    let mut bench = Bench::new(harness::with_tokens());
    let token = format!("Authorization: Bearer {}\r\n", harness::TOKEN);
    let body = tar(&[("index.html", b"1"), ("page.rhai", b"script")]);
    let mut client = saying(&mut bench, &put("/-/admin/site", &token, &body));
    bench.run(&mut client);
    assert_eq!(client.replies().remove(0).status, 201);
    bench.put("/kv/www/by-hand", &token, "1");
    assert_eq!(bench.get("/").text(), "1");
    assert_eq!(bench.get("/page.rhai").status, 404);
    let page = "/kv/www/.site/00000001/index.html";
    assert_eq!(bench.get(page).status, 401);
    assert_eq!(bench.with("GET", page, &token).text(), "1");
    assert!(!bench.get("/-/keys/www").text().contains(".site"));
    assert!(
        bench
            .with("GET", "/-/keys/www", &token)
            .text()
            .contains(".site/00000001/")
    );
    let mut without = saying(&mut bench, &put("/-/admin/site", "", &body));
    bench.run(&mut without);
    assert_eq!(without.replies().remove(0).status, 401);
}

#[test]
fn a_rollback_of_the_bucket_brings_back_its_site() {
    let mut bench = Bench::open();
    pages(&mut bench, "1", "a");
    assert_eq!(
        bench.admin("PUT", "/-/admin/snapshots/s", "", "").status,
        201
    );
    let one: [(&str, &[u8]); 1] = [("index.html", b"2")];
    assert_eq!(push(&mut bench, "?keep=0", &one).status, 201);
    rest(&mut bench);
    assert_eq!(states(&mut bench), [(2, "current".to_owned())]);
    let back = "/-/admin/snapshots/s/rollback?bucket=www";
    assert_eq!(bench.admin("POST", back, "", "").status, 200);
    assert_eq!(bench.get("/").text(), "1");
    assert_eq!(bench.get("/a").text(), "more");
    assert_eq!(states(&mut bench), [(1, "current".to_owned())]);
}

#[test]
fn a_disk_that_fails_or_gives_no_answer_publishes_nothing() {
    for (mood, status) in [(Mood::Stuck, 503), (Mood::WritesFail, 500)] {
        let mut bench = Bench::open();
        pages(&mut bench, "old", "a");
        let request = put("/-/admin/site", "", &tar(&[("index.html", b"new")]));
        bench.be(mood);
        let mut client = saying(&mut bench, &request);
        bench.run(&mut client);
        bench.pass(3_600 * harness::SECOND_NS);
        bench.run(&mut client);
        let reply = client.replies().remove(0);
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(bench.get("/").text(), "old");
    }
}

/// However the bytes come, the same comes of them.
#[test]
fn a_tar_is_taken_in_pieces_of_any_size() {
    let tar = tar(&[("a", &noise(3_000)), ("index.html", b"1")]);
    for slice in [1, 13, 511, 512, 1_460] {
        let mut bench = Bench::open();
        let mut client = saying(&mut bench, &put("/-/admin/site", "", &tar));
        client.wire.slice_max = slice;
        bench.run(&mut client);
        assert_eq!(client.replies().remove(0).status, 201, "{slice}");
        assert!(bench.get("/a").body == noise(3_000));
    }
}
