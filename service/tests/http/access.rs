//! The access log: what it tells, and that it has its room and no more.

use crate::harness::{self, Bench, Mood, SECOND_NS, noise};
use service::Config;
use store::Wake;

const KEY_LIST: &str = "/-/keys/logs?limit=1000";

fn config(mut config: Config, value: &str) -> Config {
    config.set("log.access", value).expect("a value");
    config
}

fn logging() -> Bench {
    Bench::new(config(harness::open(), "bucket:logs"))
}

/// Lets time go by until lines are kept.
fn wait(bench: &mut Bench) {
    bench.pass(11 * SECOND_NS);
    for _ in 0..10_000 {
        match bench.service.step_store(bench.now) {
            Wake::Now => {}
            Wake::At(Some(at_ns)) if at_ns < bench.now.monotonic_ns + SECOND_NS => {
                bench.pass(at_ns.saturating_sub(bench.now.monotonic_ns));
            }
            Wake::At(_) => return,
        }
    }
    panic!("it is never idle");
}

/// The keys of all values with lines, in order.
fn kept(bench: &mut Bench) -> Vec<String> {
    let page = bench.get(KEY_LIST);
    let said: serde_json::Value = serde_json::from_str(page.text()).expect("JSON");
    let keys = said["keys"].as_array().expect("a list").iter();
    let names = keys.map(|key| key["key"].as_str().expect("text").to_owned());
    names.filter(|name| name.ends_with(".log")).collect()
}

/// All lines that are kept, without those of looking.
fn lines(bench: &mut Bench) -> Vec<String> {
    wait(bench);
    let mut all = Vec::new();
    for name in kept(bench) {
        let value = bench.get(&format!("/kv/logs/{name}"));
        assert_eq!(value.the("Content-Type"), "text/plain; charset=utf-8");
        all.extend(value.text().lines().map(str::to_owned));
    }
    all.retain(|line| !line.contains("/logs"));
    all
}

fn metric(bench: &mut Bench, name: &str) -> u64 {
    let page = bench.admin("GET", "/metrics", "", "");
    let line = page.text().lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn each_request_has_its_line() {
    let mut bench = logging();
    bench.put("/kv/b/k", "User-Agent: tests/1\r\n", "value");
    bench.get("/kv/b/k");
    bench.with(
        "GET",
        "/kv/b/k",
        "Range: bytes=0-1\r\nReferer: http://h/\"\r\n",
    );
    bench.with("HEAD", "/kv/b/k", "");
    bench.get("/kv/b/none?\u{1}");
    bench.get("/kv/b/none?a=b");
    bench.with("DELETE", "/kv/b/k", "");
    bench.talk(b"GET /kv/b/one HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.admin("GET", "/-/admin/jobs", "", "");
    let refused = bench.get("/kv/b/none?a=b").body.len();
    let lines = lines(&mut bench);
    let at = "127.0.0.1 - - [19/Nov/2026:02:13:20 +0000]";
    for (nth, rest) in [
        "\"PUT /kv/b/k HTTP/1.1\" 201 - \"-\" \"tests/1\"",
        "\"GET /kv/b/k HTTP/1.1\" 200 5 \"-\" \"-\"",
        "\"GET /kv/b/k HTTP/1.1\" 206 2 \"http://h/\\\"\" \"-\"",
        "\"HEAD /kv/b/k HTTP/1.1\" 200 - \"-\" \"-\"",
        "\"GET /kv/b/none?\\x01 HTTP/1.1\" 400",
        &format!("\"GET /kv/b/none?a=b HTTP/1.1\" 400 {refused} \"-\" \"-\""),
        "\"DELETE /kv/b/k HTTP/1.1\" 204 - \"-\" \"-\"",
        "\"GET /kv/b/one HTTP/1.1\" 404 ",
        "\"GET /two HTTP/1.1\" 404 ",
        "\"GET /-/admin/jobs HTTP/1.1\" 200 ",
    ]
    .into_iter()
    .enumerate()
    {
        let expected = format!("{at} {rest}");
        assert!(
            lines[nth].starts_with(&expected),
            "{}\n{expected}",
            lines[nth]
        );
    }
    assert_eq!(lines.len(), 11);
}

#[test]
fn an_answer_that_is_broken_off_has_what_was_sent_of_it() {
    let mut bench = logging();
    bench.put("/kv/b/large", "", noise(200_000));
    let mut client = bench.client();
    client.wire.room = 50_000;
    client.say("GET /kv/b/large HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.run(&mut client);
    client.wire.end = Some(service::Input::Gone);
    bench.run(&mut client);
    let lines = lines(&mut bench);
    let sent = lines[1]
        .split("\" 200 ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let sent: usize = sent.and_then(|sent| sent.parse().ok()).expect("a number");
    assert!((49_000..50_000).contains(&sent), "{}", lines[1]);
}

/// Else a quiet site would have a value for each line in the end.
#[test]
fn lines_that_come_one_by_one_go_into_one_value() {
    let mut bench = logging();
    for nth in 0..100 {
        bench.get(&format!("/{nth}"));
        wait(&mut bench);
    }
    assert_eq!(kept(&mut bench).len(), 1);
    let all = lines(&mut bench);
    let is_there = |nth: usize| all[nth].contains(&format!("GET /{nth} "));
    assert!((0..100).all(is_there), "{all:?}");
}

#[test]
fn no_token_is_told() {
    let mut bench = Bench::new(config(harness::with_tokens(), "bucket:logs"));
    let token = format!("Authorization: Bearer {}\r\n", harness::TOKEN);
    let basic = "Authorization: Basic bGFtcGlvbjowMTIzNDU2Nzg5YWJjZGVm\r\n";
    for lines in [&*token, basic, ""] {
        bench.with("GET", "/kv/b/k", lines);
    }
    wait(&mut bench);
    let keys = bench.with("GET", KEY_LIST, &token);
    let name = keys.text().split("\"key\":\"").nth(1).expect("a key");
    let target = format!("/kv/logs/{}", name.split('"').next().expect("a key"));
    assert_eq!(
        bench.get(&target).status,
        401,
        "it is as private as any bucket"
    );
    let text = bench.with("GET", &target, &token).text().to_owned();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        !text.contains(harness::TOKEN) && !text.contains("bGFt"),
        "{text}"
    );
}

#[test]
fn the_oldest_lines_make_room_for_the_newest_within_the_quota() {
    for quota in ["{\"quota_bytes\":100000}", "{\"quota_keys\":3}"] {
        let mut bench = logging();
        bench.admin("PUT", "/-/admin/buckets/logs", "", quota);
        bench.put("/kv/logs/mine", "", "not a line");
        for round in 0..40 {
            for nth in 0..60 {
                let agent = format!("User-Agent: {}\r\n", "a".repeat(400));
                bench.with("GET", &format!("/round/{round}/{nth}"), &agent);
            }
            wait(&mut bench);
            let bucket = bench.admin("GET", "/-/admin/buckets/logs", "", "");
            let said: serde_json::Value = serde_json::from_str(bucket.text()).expect("JSON");
            let bytes = said["bytes"].as_u64().expect("a number");
            let keys = said["keys"].as_u64().expect("a number");
            assert!(bytes <= 100_000 || quota.contains("keys"), "{bytes}");
            assert!(keys <= 3 || quota.contains("bytes"), "{keys}");
        }
        let all = lines(&mut bench);
        assert!(
            all.last().expect("some").contains("/round/39/59"),
            "{:?}",
            all.last()
        );
        assert!(!all[0].contains("/round/0/"), "{}", all[0]);
        assert_eq!(bench.get("/kv/logs/mine").text(), "not a line");
        assert_eq!(metric(&mut bench, "lampion_access_log_lost_lines_total"), 0);
    }
}

/// However little room there is, what others have put is left alone and newer lines are not held
/// up by older ones.
#[test]
fn lines_that_the_quota_has_no_room_for_are_lost_and_nothing_else_is() {
    let mut bench = logging();
    bench.put("/kv/logs/access-policy.html", "", noise(50_000));
    bench.admin(
        "PUT",
        "/-/admin/buckets/logs",
        "",
        "{\"quota_bytes\":53000}",
    );
    for round in 0..3 {
        for nth in 0..300 {
            bench.get(&format!("/round/{round}/{nth}"));
        }
        wait(&mut bench);
    }
    assert!(metric(&mut bench, "lampion_access_log_lost_lines_total") >= 900);
    assert_eq!(bench.get("/kv/logs/access-policy.html").status, 200);
    wait(&mut bench);
    wait(&mut bench);
    bench.get("/few");
    let all = lines(&mut bench);
    assert!(all.iter().any(|line| line.contains("/few")), "{all:?}");
    assert_eq!(bench.get("/kv/logs/access-policy.html").status, 200);
}

#[test]
fn without_a_quota_they_have_a_part_of_the_disk() {
    let mut bench = Bench::sized(config(harness::open(), "bucket:logs"), 16 << 20);
    for nth in 0..4_000 {
        let agent = format!("User-Agent: {}\r\n", "a".repeat(500));
        bench.with("GET", &format!("/{nth}"), &agent);
    }
    wait(&mut bench);
    let bucket = bench.admin("GET", "/-/admin/buckets/logs", "", "");
    let said: serde_json::Value = serde_json::from_str(bucket.text()).expect("JSON");
    let bytes = said["bytes"].as_u64().expect("a number");
    assert!((150_000..=256 * 1_024).contains(&bytes), "{bytes}");
    assert_eq!(metric(&mut bench, "lampion_access_log_lost_lines_total"), 0);
    // What others have in the bucket is none of theirs.
    bench.put("/kv/logs/large", "", noise(1_000_000));
    let before = kept(&mut bench).len();
    bench.get("/more");
    wait(&mut bench);
    assert!(kept(&mut bench).len() + 1 >= before);
}

#[test]
fn where_nothing_can_be_written_lines_are_lost_and_counted() {
    let mut bench = logging();
    bench.be(Mood::WritesFail);
    for nth in 0..6_000 {
        bench.get(&format!("/{nth}"));
    }
    wait(&mut bench);
    let all = metric(&mut bench, "lampion_access_log_lines_total");
    let lost = metric(&mut bench, "lampion_access_log_lost_lines_total");
    let waiting = metric(&mut bench, "lampion_access_log_waiting_bytes");
    assert!(
        all >= 6_000 && lost > 1_000 && waiting <= 256 * 1_024,
        "{all} {lost} {waiting}"
    );
}

#[test]
fn what_waits_is_kept_before_the_end() {
    let mut bench = logging();
    bench.get("/last");
    bench.service.begin_shutdown();
    let mut steps = 0;
    while !bench.service.is_drained() {
        bench.service.step_store(bench.now);
        steps += 1;
        assert!(steps < 1_000, "it is never drained");
    }
    bench.service.store_mut().close();
    for _ in 0..100 {
        bench.service.step_store(bench.now);
    }
    let mut bench = bench.restarted();
    let lines = lines(&mut bench);
    assert!(lines[0].contains("GET /last "), "{lines:?}");
}

#[test]
fn off_tells_nothing() {
    let mut bench = Bench::open();
    bench.get("/kv/b/k");
    wait(&mut bench);
    assert_eq!(kept(&mut bench), [""; 0]);
    let page = bench.admin("GET", "/metrics", "", "");
    assert!(!page.text().contains("access_log"));
}
