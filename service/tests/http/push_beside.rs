//! Pushes beside what else happens to a bucket: removal, rollback, restore, other pushes.

use crate::harness::{self, Bench, noise, put};
use crate::push::{keys, pages, push, push_tar, saying, states, tar};
use store::Wake;

/// Steps the store as long as it says that there is something to do.
fn until_idle(bench: &mut Bench) {
    for _ in 0..100_000 {
        match bench.service.step_store(bench.now) {
            Wake::Now => {}
            Wake::At(Some(at_ns)) if at_ns < bench.now.monotonic_ns + harness::SECOND_NS => {
                bench.pass(at_ns.saturating_sub(bench.now.monotonic_ns));
            }
            Wake::At(_) => return,
        }
    }
    panic!("it is never idle");
}

fn many(count: usize, content: &[u8]) -> Vec<u8> {
    let names: Vec<String> = (0..count).map(|nth| format!("{nth:04}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, content)).collect();
    tar(&files)
}

#[test]
fn what_is_kept_no_more_goes_without_anybody_asking() {
    let mut bench = Bench::open();
    assert_eq!(push_tar(&mut bench, "", &many(700, b"1")).status, 201);
    assert_eq!(push(&mut bench, "?keep=0", &[("a", b"2")]).status, 201);
    until_idle(&mut bench);
    assert_eq!(states(&mut bench), [(2, "current".to_owned())]);
    assert_eq!(keys(&mut bench).matches("\"key\"").count(), 2);
}

/// What is being removed may be shown again, and then all of it is.
#[test]
fn a_rollback_while_its_push_is_being_removed_has_all_of_it() {
    for steps in 0..12 {
        let mut bench = Bench::open();
        assert_eq!(push_tar(&mut bench, "", &many(700, b"1")).status, 201);
        assert_eq!(
            bench.admin("PUT", "/-/admin/snapshots/s", "", "").status,
            201
        );
        assert_eq!(push(&mut bench, "?keep=0", &[("a", b"2")]).status, 201);
        for _ in 0..steps {
            bench.service.step_store(bench.now);
        }
        let back = "/-/admin/snapshots/s/rollback?bucket=www";
        assert_eq!(bench.admin("POST", back, "", "").status, 200);
        until_idle(&mut bench);
        assert_eq!(states(&mut bench), [(1, "current".to_owned())]);
        let shown = (0..700).filter(|nth| bench.get(&format!("/{nth:04}")).status == 200);
        assert_eq!(shown.count(), 700, "{steps}");
    }
}

#[test]
fn a_push_after_some_that_were_broken_off_at_once_is_whole() {
    let mut bench = Bench::open();
    for _ in 0..5 {
        // Nothing of it is durable when the next one comes.
        let mut client = saying(&mut bench, &put("/-/admin/site", "", &[7; 512]));
        client.step(&mut bench);
        client.step(&mut bench);
        drop(client);
    }
    let whole = push_tar(&mut bench, "", &many(300, b"1"));
    assert_eq!(whole.status, 201, "{whole:?}");
    until_idle(&mut bench);
    let shown = (0..300).filter(|nth| bench.get(&format!("/{nth:04}")).status == 200);
    assert_eq!(shown.count(), 300);
    assert_eq!(states(&mut bench).len(), 1);
}

/// Its pages would be left in a bucket that knows nothing of them.
#[test]
fn nothing_brings_back_another_bucket_under_a_push() {
    let mut bench = Bench::open();
    pages(&mut bench, "1", "a");
    assert_eq!(
        bench.admin("PUT", "/-/admin/snapshots/s", "", "").status,
        201
    );
    let backup = bench.admin("GET", "/-/admin/backup", "", "").body;
    let request = put("/-/admin/site", "", &tar(&[("index.html", b"2")]));
    let (first, rest_of_it) = request.split_at(request.len() - 10);
    let mut client = saying(&mut bench, first);
    bench.run(&mut client);
    for (method, target) in [
        ("POST", "/-/admin/snapshots/s/rollback"),
        ("POST", "/-/admin/snapshots/s/rollback?bucket=www"),
        ("DELETE", "/-/admin/buckets/www"),
    ] {
        let reply = bench.admin(method, target, "", "");
        assert_eq!(
            (reply.status, reply.problem()),
            (409, "site-busy"),
            "{target}"
        );
    }
    let mut restorer = saying(&mut bench, &put("/-/admin/restore", "", &backup));
    bench.run(&mut restorer);
    assert_eq!(restorer.replies().remove(0).problem(), "site-busy");
    let other = "/-/admin/snapshots/s/rollback?bucket=other";
    assert_eq!(bench.admin("POST", other, "", "").status, 200);
    client.say(rest_of_it);
    bench.run(&mut client);
    assert_eq!(client.replies().remove(0).status, 201);
    assert_eq!(bench.get("/").text(), "2");
}

#[test]
fn redirects_are_those_of_what_is_shown_whatever_brought_it_back() {
    let mut bench = Bench::open();
    let take = |bench: &mut Bench, name: &str| {
        let target = format!("/-/admin/snapshots/{name}");
        assert_eq!(bench.admin("PUT", &target, "", "").status, 201);
    };
    let back = |bench: &mut Bench, name: &str| {
        let target = format!("/-/admin/snapshots/{name}/rollback?bucket=www");
        assert_eq!(bench.admin("POST", &target, "", "").status, 200);
    };
    take(&mut bench, "none");
    push(
        &mut bench,
        "",
        &[("_redirects", b"/a /one"), ("index.html", b"1")],
    );
    take(&mut bench, "one");
    back(&mut bench, "none");
    // A boot later nobody knows which numbers there were.
    let mut bench = bench.restarted();
    push(
        &mut bench,
        "",
        &[("_redirects", b"/a /two"), ("index.html", b"2")],
    );
    take(&mut bench, "two");
    for (name, location) in [("two", "/two"), ("one", "/one"), ("two", "/two")] {
        back(&mut bench, name);
        assert_eq!(states(&mut bench), [(1, "current".to_owned())]);
        assert_eq!(bench.get("/a").the("Location"), location, "{name}");
    }
}

#[test]
fn more_large_pages_than_uploads_can_be_are_taken_all_the_same() {
    let mut bench = Bench::open();
    let large = noise(70_000);
    assert_eq!(push_tar(&mut bench, "", &many(40, &large)).status, 201);
    assert!((0..40).all(|nth| bench.get(&format!("/{nth:04}")).body == large));
}

#[test]
fn strangers_are_told_no_name_of_a_push_while_they_list() {
    let mut bench = Bench::new(harness::with_tokens());
    let token = format!("Authorization: Bearer {}\r\n", harness::TOKEN);
    let mut client = saying(&mut bench, &put("/-/admin/site", &token, &many(300, b"1")));
    bench.run(&mut client);
    assert_eq!(client.replies().remove(0).status, 201);
    for key in [".a", ".site", ".site1", ".site9/x", ".site;", "z"] {
        assert_eq!(
            bench.put(&format!("/kv/www/{key}"), &token, "1").status,
            201
        );
    }
    for reverse in ["", "&reverse=1"] {
        let mut target = format!("/-/keys/www?limit=1{reverse}");
        let mut seen = Vec::new();
        for _ in 0..20 {
            let page = bench.get(&target);
            assert!(!page.text().contains(".site/0"), "{page:?}");
            let said: serde_json::Value = serde_json::from_str(page.text()).expect("JSON");
            let keys = said["keys"].as_array().expect("a list").iter();
            seen.extend(keys.map(|key| key["key"].as_str().expect("text").to_owned()));
            match said["next"].as_str() {
                Some(next) => target = next.to_owned(),
                None => break,
            }
        }
        if !reverse.is_empty() {
            seen.reverse();
        }
        assert_eq!(seen, [".a", ".site", ".site1", ".site9/x", ".site;", "z"]);
    }
}

/// Who asks for it and does not wait has it done all the same.
#[test]
fn what_is_taken_down_goes_though_nobody_waits_for_the_answer() {
    let mut bench = Bench::open();
    assert_eq!(push_tar(&mut bench, "", &many(200, b"1")).status, 201);
    let mut client = saying(
        &mut bench,
        b"DELETE /-/admin/site HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    client.step(&mut bench);
    assert!(client.wire.output.is_empty(), "it is not durable yet");
    drop(client);
    until_idle(&mut bench);
    assert!(!keys(&mut bench).contains(".site"), "{}", keys(&mut bench));
}

/// What was left before a restore that comes to nothing is removed behind it.
#[test]
fn what_a_restore_holds_up_is_removed_when_that_has_ended() {
    let mut bench = Bench::open();
    pages(&mut bench, "1", "a");
    let backup = bench.admin("GET", "/-/admin/backup", "", "").body;
    let request = put(
        "/-/admin/site",
        "",
        &tar(&[("index.html", &noise(100_000))]),
    );
    let mut pusher = saying(&mut bench, &request[..request.len() - 10]);
    bench.run(&mut pusher);
    drop(pusher);
    let request = put("/-/admin/restore", "", &backup);
    let mut restorer = saying(&mut bench, &request[..request.len() - 10]);
    for _ in 0..3 {
        restorer.step(&mut bench);
    }
    until_idle(&mut bench);
    drop(restorer);
    until_idle(&mut bench);
    assert_eq!(states(&mut bench), [(1, "current".to_owned())]);
    assert_eq!(bench.get("/").text(), "1");
}
