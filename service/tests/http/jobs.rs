//! `/-/admin/jobs`: what takes long is seen, and can be stopped.

use crate::harness::{self, Bench, Client, READ_TOKEN, SECOND_NS, TOKEN, noise, put};
use crate::replies::Reply;
use service::{Plane, Progress};

fn jobs(bench: &mut Bench) -> String {
    let reply = bench.admin("GET", "/-/admin/jobs", "", "");
    assert_eq!(reply.status, 200);
    reply.text().to_owned()
}

/// The number behind a name.
fn number(text: &str, name: &str) -> u64 {
    let (_, rest) = text.split_once(&format!("\"{name}\":")).expect("a name");
    let end = rest.find([',', '}']).expect("an end");
    rest[..end].parse().expect("a number")
}

fn filled() -> Bench {
    let mut bench = Bench::open();
    for key in 0..20 {
        bench.put(&format!("/kv/b/{key}"), "", noise(60_000));
    }
    bench
}

fn saying(bench: &mut Bench, bytes: impl AsRef<[u8]>, room: usize) -> Client {
    bench.plane = Plane::Admin;
    let mut client = bench.client();
    bench.plane = Plane::Data;
    client.wire.room = room;
    client.say(bytes);
    bench.run(&mut client);
    client
}

fn stop(bench: &mut Bench, id: u64) -> Reply {
    bench.admin("DELETE", &format!("/-/admin/jobs/{id}"), "", "")
}

fn snapshots(bench: &mut Bench) -> String {
    (0..10).for_each(|_| {
        bench.service.step_store(bench.now);
    });
    bench
        .admin("GET", "/-/admin/snapshots", "", "")
        .text()
        .to_owned()
}

#[test]
fn a_backup_that_nobody_takes_is_seen_and_stopped() {
    let mut bench = filled();
    assert_eq!(jobs(&mut bench), "{\"jobs\":[]}\n");
    let get = "GET /-/admin/backup HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut client = saying(&mut bench, get, 100_000);
    bench.pass(10 * SECOND_NS);
    bench.service.step_store(bench.now);
    let said = jobs(&mut bench);
    assert!(
        said.contains("\"kind\":\"backup\",\"state\":\"running\",\"peer\":"),
        "{said}"
    );
    let done = number(&said, "done_bytes");
    assert!((1..1_200_000).contains(&done), "{said}");
    assert!(snapshots(&mut bench).contains("!backup-"));

    let stopped = stop(&mut bench, 1);
    assert_eq!(stopped.status, 202, "{stopped:?}");
    assert!(
        stopped.text().contains("\"state\":\"stopping\""),
        "{stopped:?}"
    );
    assert_eq!(
        snapshots(&mut bench),
        "{\"snapshots\":[]}\n",
        "nothing is held any more"
    );
    client.wire.room = usize::MAX;
    bench.run(&mut client);
    assert_eq!(
        client.progress,
        Progress::Abort,
        "nobody takes it for a whole one"
    );
    drop(client);
    let said = jobs(&mut bench);
    assert!(said.contains("\"state\":\"stopped\""), "{said}");
    let ended = stop(&mut bench, 1);
    assert_eq!((ended.status, ended.problem()), (409, "job-ended"));
}

#[test]
fn a_restore_that_hangs_is_seen_and_stopped() {
    let mut bench = filled();
    let stream = bench.admin("GET", "/-/admin/backup", "", "").body;
    assert!(jobs(&mut bench).contains("\"state\":\"done\""));
    let request = put("/-/admin/restore", "", &stream);
    let mut client = saying(&mut bench, &request[..request.len() / 2], usize::MAX);
    let said = jobs(&mut bench);
    let said = said.split_once("\"id\":2").expect("a second job").1;
    assert!(
        said.contains("\"kind\":\"restore\",\"state\":\"running\""),
        "{said}"
    );
    assert_eq!(number(said, "all_bytes"), stream.len() as u64);
    let done = number(said, "done_bytes");
    assert!(done > 0 && done < stream.len() as u64, "{said}");
    assert_eq!(bench.put("/kv/b/x", "", "1").status, 503);

    assert_eq!(stop(&mut bench, 2).status, 202);
    assert_eq!(snapshots(&mut bench), "{\"snapshots\":[]}\n");
    assert_eq!(
        bench.put("/kv/b/x", "", "1").status,
        201,
        "others go on at once"
    );
    client.say(&request[request.len() / 2..]);
    bench.run(&mut client);
    let told = client.replies().remove(0);
    assert_eq!((told.status, told.problem()), (409, "job-stopped"));
    let one = bench.admin("GET", "/-/admin/jobs/2", "", "");
    assert!(one.text().contains("\"state\":\"stopped\""), "{one:?}");
    assert_eq!(bench.get("/kv/b/x").text(), "1");
}

#[test]
fn a_restore_that_ended_is_done_and_one_cut_off_has_failed() {
    let mut bench = filled();
    let stream = bench.admin("GET", "/-/admin/backup", "", "").body;
    for (end, state) in [(stream.len(), "done"), (stream.len() - 9, "failed")] {
        let request = put("/-/admin/restore", "", &stream);
        let mut client = saying(
            &mut bench,
            &request[..request.len() - stream.len() + end],
            1 << 20,
        );
        client.wire.end = Some(service::Input::Finished);
        bench.run(&mut client);
        drop(client);
        let said = jobs(&mut bench);
        let last = said.rsplit("{\"id\":").next().expect("a job");
        assert!(last.contains(&format!("\"state\":\"{state}\"")), "{last}");
        snapshots(&mut bench);
    }
}

#[test]
fn a_scrub_is_a_job() {
    let mut bench = filled();
    assert_eq!(bench.admin("POST", "/-/admin/scrub", "", "").status, 202);
    let said = jobs(&mut bench);
    assert!(
        said.contains("\"kind\":\"scrub\",\"state\":\"running\""),
        "{said}"
    );
    assert_eq!(stop(&mut bench, 1).status, 202);
    bench.service.step_store(bench.now);
    assert!(jobs(&mut bench).contains("\"state\":\"stopped\""));
    let status = bench.admin("GET", "/-/admin/scrub", "", "");
    assert!(status.text().contains("\"running\":false"), "{status:?}");
    assert_eq!(bench.admin("POST", "/-/admin/scrub", "", "").status, 202);
    for _ in 0..1_000 {
        bench.pass(SECOND_NS);
        bench.service.step_store(bench.now);
    }
    let one = bench.admin("GET", "/-/admin/jobs/2", "", "");
    assert!(one.text().contains("\"state\":\"done\""), "{one:?}");
    assert_eq!(
        number(one.text(), "done_bytes"),
        number(one.text(), "all_bytes")
    );
}

#[test]
fn the_list_is_bounded_and_a_running_one_stays_in_it() {
    let mut bench = filled();
    let get = "GET /-/admin/backup HTTP/1.1\r\nHost: h\r\n\r\n";
    let client = saying(&mut bench, get, 100_000);
    for _ in 0..40 {
        bench.admin("GET", "/-/admin/backup", "", "");
    }
    let said = jobs(&mut bench);
    assert_eq!(said.matches("\"state\":\"done\"").count(), 16);
    assert!(said.starts_with("{\"jobs\":[{\"id\":1,\"kind\":\"backup\",\"state\":\"running\""));
    assert_eq!(
        bench.admin("GET", "/-/admin/jobs/2", "", "").problem(),
        "no-such-job"
    );
    drop(client);
    // The one that ended last is told of, however long ago it began.
    let first = bench.admin("GET", "/-/admin/jobs/1", "", "");
    assert!(first.text().contains("\"state\":\"failed\""), "{first:?}");
}

#[test]
fn who_may_and_what_is_none() {
    let mut bench = Bench::new(harness::with_tokens());
    for (token, target, status) in [
        (None, "", 401),
        (Some(READ_TOKEN), "", 403),
        (Some(TOKEN), "", 200),
        (Some(TOKEN), "/1", 404),
        (Some(TOKEN), "/x", 404),
        (Some(TOKEN), "?x=1", 400),
    ] {
        let line = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let target = format!("/-/admin/jobs{target}");
        let reply = bench.admin("GET", &target, &line.unwrap_or_default(), "");
        assert_eq!(reply.status, status, "{target}");
    }
    let put = bench.admin("PUT", "/-/admin/jobs/1", "", "");
    assert_eq!(
        (put.status, put.the("Allow")),
        (405, "GET, HEAD, DELETE, OPTIONS")
    );
}
