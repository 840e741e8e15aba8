//! Connections in TLS: the same service behind it.

use crate::harness::{Bench, Client, SECOND_NS, TOKEN, WALL_NS, put, with_tokens};
use crate::replies::{self, Content, Reply};
use service::{Connection, Input, Progress, Stake};
use tls::{Identity, self_signed};
use tls_client::{TlsClient, TlsClients};

fn identity() -> Identity {
    tls::random::seed([9; 32]);
    let unix_s = WALL_NS / SECOND_NS;
    let pem = self_signed("lampion.test", None, unix_s).expect("made");
    let identity = Identity::of_pem(pem.certificate.as_bytes(), pem.key.as_bytes());
    let identity = identity.expect("what we make we take");
    identity.note_time(unix_s);
    identity
}

/// A client in TLS, and its connection here.
struct Secure {
    inner: Client,
    tls: TlsClient,
}

impl Secure {
    fn new(bench: &mut Bench) -> Secure {
        if !bench.service.has_certificate() {
            bench.service.put_certificate_in_force(identity());
        }
        let mut inner = bench.client();
        let peer = inner.connection.peer();
        inner.connection = Connection::new(peer, bench.plane, bench.now).secured();
        Secure {
            inner,
            tls: TlsClients::default().begin(),
        }
    }

    /// Moves records both ways until nothing moves.
    fn run(&mut self, bench: &mut Bench) {
        for _ in 0..100_000 {
            let records = self.tls.records();
            self.inner.say(&records);
            bench.run(&mut self.inner);
            let sent = std::mem::take(&mut self.inner.wire.output);
            self.tls.take(&sent).expect("good records");
            if records.is_empty() && sent.is_empty() {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.inner.progress);
    }

    fn replies(&mut self) -> Vec<Reply> {
        replies::parse(&self.tls.heard(), Content::Usual)
    }
}

#[test]
fn a_secure_connection_is_served_as_any_other() {
    for slice in [1, 100, usize::MAX] {
        let mut bench = Bench::open();
        let mut client = Secure::new(&mut bench);
        client.inner.wire.slice_max = slice;
        let value: Vec<u8> = (0..300_000_u32).map(|n| (n / 7) as u8).collect();
        client.tls.say(&put("/kv/b/k", "", &value));
        client.run(&mut bench);
        client.tls.say(
            b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        );
        client.run(&mut bench);
        let replies = client.replies();
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [201, 200, 200]);
        assert!(replies[1].body == value);
    }
}

#[test]
fn a_little_room_is_enough_and_all_of_it_is_used() {
    let mut bench = Bench::open();
    let mut client = Secure::new(&mut bench);
    let value = vec![b'v'; 40_000];
    client.tls.say(&put("/kv/b/k", "", &value));
    client.run(&mut bench);
    client.replies();
    client.tls.say(b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    for _ in 0..600 {
        client.inner.wire.room = 100;
        client.run(&mut bench);
    }
    let replies = client.replies();
    assert_eq!(replies.len(), 1);
    assert!(replies[0].body == value);
}

#[test]
fn the_end_of_an_answer_is_told_before_the_connection_ends() {
    let mut bench = Bench::open();
    let mut client = Secure::new(&mut bench);
    client
        .tls
        .say(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    client.run(&mut bench);
    assert_eq!(client.replies()[0].status, 200);
    client.inner.wire.end = Some(Input::Finished);
    client.run(&mut bench);
    assert_eq!(client.inner.progress, Progress::Finish);
    assert!(client.tls.is_closed(), "close_notify came");
}

#[test]
fn what_is_no_tls_gets_an_alert_and_the_end() {
    let mut bench = Bench::open();
    let mut client = Secure::new(&mut bench);
    client.inner.say(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.run(&mut client.inner);
    assert_eq!(client.inner.progress, Progress::Finish);
    let output = &client.inner.wire.output;
    assert_eq!((output[0], output.len()), (0x15, 7), "{output:?}");
    let metrics = bench.get("/metrics").text().to_owned();
    assert!(
        metrics.contains("lampion_tls_failures_total 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("lampion_tls_sessions_total 0"),
        "{metrics}"
    );
}

#[test]
fn a_body_that_ends_in_the_middle_of_tls_is_incomplete() {
    let mut bench = Bench::open();
    let mut client = Secure::new(&mut bench);
    client
        .tls
        .say(b"PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    client.run(&mut bench);
    client.tls.close();
    client.run(&mut bench);
    assert_eq!(client.replies()[0].status, 400);
    assert_eq!(bench.get("/kv/b/k").status, 404);
}

#[test]
fn the_scheme_and_the_token_know_how_they_came() {
    let mut config = with_tokens();
    config.set("auth.plaintext", "refuse").expect("a mode");
    let mut bench = Bench::new(config);
    let line = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut client = Secure::new(&mut bench);
    client.tls.say(&put("https://h/kv/b/k", &line, b"secret"));
    client.run(&mut bench);
    assert_eq!(client.replies()[0].status, 201);
    client.tls.say(&put("http://h/kv/b/k", &line, b"other"));
    client.run(&mut bench);
    assert_eq!(client.replies()[0].status, 421);
    assert_eq!(bench.with("GET", "/kv/b/k", &line).status, 403);
    let asked = format!("GET https://h/kv/b/k HTTP/1.1\r\nHost: h\r\n{line}\r\n");
    assert_eq!(bench.ask(asked).status, 421);
}

#[test]
fn a_session_that_fails_ends_what_is_under_way() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", vec![b'v'; 1_000_000]);
    let mut client = Secure::new(&mut bench);
    client.run(&mut bench);
    client.inner.wire.room = 1_000;
    client.tls.say(b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    client.run(&mut bench);
    let read_bytes = bench.read_bytes.get();
    client.inner.wire.output.clear();
    client.inner.say(
        [0x17, 3, 3, 0, 20]
            .iter()
            .chain(&[9; 20])
            .copied()
            .collect::<Vec<u8>>(),
    );
    client.inner.wire.room = usize::MAX;
    bench.run(&mut client.inner);
    assert_eq!(client.inner.progress, Progress::Finish);
    assert!(
        client.inner.wire.output.len() < 100_000,
        "the rest is not sent"
    );
    assert!(bench.read_bytes.get() < read_bytes + 300_000, "nor read");
}

#[test]
fn who_never_ends_the_handshake_is_ended() {
    let mut bench = Bench::open();
    let mut client = Secure::new(&mut bench);
    client.inner.say([0x16, 3, 1, 2, 0, 1]);
    bench.run(&mut client.inner);
    let Progress::Peer { deadline_ns } = client.inner.progress else {
        panic!("{:?}", client.inner.progress);
    };
    let waits_ns = deadline_ns - bench.now.monotonic_ns;
    assert!(waits_ns <= 10 * SECOND_NS, "{waits_ns}");
    bench.pass(waits_ns);
    bench.run(&mut client.inner);
    assert!(matches!(
        client.inner.progress,
        Progress::Finish | Progress::Abort
    ));
}

/// As many as there is room for, served, and two more.
fn crowd(bench: &mut Bench) -> (Vec<Secure>, [Secure; 2]) {
    let most = bench.service.sessions().1 as usize;
    let mut clients: Vec<Secure> = (0..most).map(|_| Secure::new(bench)).collect();
    let mut more = [Secure::new(bench), Secure::new(bench)];
    for client in clients.iter_mut().chain(&mut more) {
        client.tls.say(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
        client.run(bench);
    }
    for client in &mut clients {
        assert_eq!(client.replies().len(), 1);
    }
    (clients, more)
}

#[test]
fn who_finds_no_room_for_a_session_waits_for_one_to_end() {
    let mut bench = Bench::open();
    let (mut clients, [mut first, mut second]) = crowd(&mut bench);
    let (sessions, most) = bench.service.sessions();
    assert_eq!((sessions, bench.service.sessions_wanted()), (most, 2));
    assert!(first.replies().is_empty() && second.replies().is_empty());
    bench.pass(9 * SECOND_NS);
    drop(clients.pop());
    // Who comes now waits behind them, and who has said nothing needs no room.
    let mut third = Secure::new(&mut bench);
    third.inner.step(&mut bench);
    assert!(matches!(third.inner.progress, Progress::Peer { .. }));
    let hello = third.tls.records();
    third.inner.say(&hello);
    third.inner.step(&mut bench);
    let progress = third.inner.progress;
    assert!(matches!(progress, Progress::Session { .. }), "{progress:?}");
    // The handshake has its whole time, and its peer is not late yet.
    first.inner.step(&mut bench);
    let now_ns = bench.now.monotonic_ns;
    assert_eq!(first.inner.deadline_ns(), now_ns + 10 * SECOND_NS);
    let stake = first.inner.connection.stake(&bench.service);
    assert_eq!(stake, (Stake::Handshake, Some(now_ns)));
    first.run(&mut bench);
    assert_eq!(first.replies().len(), 1);
    assert_eq!(bench.service.sessions_wanted(), 2, "the other two");
}

#[test]
fn each_turn_of_a_handshake_has_its_whole_time() {
    let mut bench = Bench::open();
    let mut client = Secure::new(&mut bench);
    let hello = client.tls.records();
    let (part, rest) = hello.split_at(100);
    client.inner.say(part);
    bench.run(&mut client.inner);
    let begun_ns = bench.now.monotonic_ns;
    bench.pass(9 * SECOND_NS);
    client.inner.step(&mut bench);
    assert_eq!(client.inner.deadline_ns(), begun_ns + 10 * SECOND_NS);
    client.inner.say(rest);
    bench.run(&mut client.inner);
    // Our part is said: it is the peer's turn, and it is not late.
    let now_ns = bench.now.monotonic_ns;
    assert_eq!(client.inner.deadline_ns(), now_ns + 10 * SECOND_NS);
    let stake = client.inner.connection.stake(&bench.service);
    assert_eq!(stake, (Stake::Handshake, Some(now_ns)));
}

#[test]
fn an_end_that_is_on_its_way_stands_still_from_then_on() {
    let mut bench = Bench::open();
    let mut client = Secure::new(&mut bench);
    client.run(&mut bench);
    client.inner.wire.room = 0;
    client.inner.say([0x17, 3, 3, 0, 20]);
    client.inner.say([9; 20]);
    let now_ns = bench.now.monotonic_ns;
    client.inner.step(&mut bench);
    let stake = client.inner.connection.stake(&bench.service);
    assert_eq!(stake, (Stake::Ending, Some(now_ns)));
}

#[test]
fn who_waits_for_a_session_does_so_for_ten_seconds() {
    let mut bench = Bench::open();
    let (clients, [mut late, mut gone]) = crowd(&mut bench);
    let deadline_ns = late.inner.deadline_ns();
    let waits = Progress::Session { deadline_ns };
    assert_eq!(deadline_ns, bench.now.monotonic_ns + 10 * SECOND_NS);
    bench.pass(10 * SECOND_NS - 1);
    late.inner.step(&mut bench);
    assert_eq!(late.inner.progress, waits);
    bench.pass(1);
    late.inner.step(&mut bench);
    assert_eq!(late.inner.progress, Progress::Abort);
    gone.inner.wire.end = Some(Input::Gone);
    gone.inner.step(&mut bench);
    assert_eq!(gone.inner.progress, Progress::Abort);
    drop((clients, late, gone));
    assert_eq!(bench.service.sessions().0, 0);
    assert_eq!(bench.service.sessions_wanted(), 0);
}

#[test]
fn a_request_that_comes_with_the_end_of_the_handshake_has_its_own_time() {
    let wrong = b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer wrong\r\n\r\n";
    let body = b"PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf";
    for (says, with_token, waits_s) in [
        (&b""[..], false, 75),
        (b"GET /", false, 10),
        (body, false, 30),
        (wrong, true, 1),
    ] {
        let mut bench = match with_token {
            true => Bench::new(with_tokens()),
            false => Bench::open(),
        };
        let mut client = Secure::new(&mut bench);
        client.tls.say(says);
        client.run(&mut bench);
        let waits_ns = client.inner.deadline_ns() - bench.now.monotonic_ns;
        let waits_s_before = waits_s - 1;
        let expected = waits_s_before * SECOND_NS..=waits_s * SECOND_NS;
        assert!(expected.contains(&waits_ns), "{waits_ns}: {waits_s} s");
        if with_token {
            bench.pass(waits_ns);
            client.run(&mut bench);
            assert_eq!(client.replies()[0].problem(), "token-wrong");
        }
    }
}

#[test]
fn what_is_cut_off_without_a_word_is_not_taken_for_the_whole() {
    for says in [
        &b"PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf"[..],
        b"PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"DELETE /kv/b/other HTTP/1.1\r\nHost: h\r\n",
    ] {
        let mut bench = Bench::open();
        bench.put("/kv/b/other", "", "kept");
        let mut client = Secure::new(&mut bench);
        client.tls.say(says);
        client.run(&mut bench);
        client.inner.wire.end = Some(Input::Finished);
        client.run(&mut bench);
        assert_eq!(bench.get("/kv/b/k").status, 404);
        assert_eq!(bench.get("/kv/b/other").text(), "kept");
    }
}

#[test]
fn keys_are_changed_while_an_answer_is_under_way() {
    let mut bench = Bench::open();
    let value = vec![b'v'; 100_000];
    bench.put("/kv/b/k", "", &value);
    let mut client = Secure::new(&mut bench);
    client.tls.say(b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    client.inner.wire.room = 30_000;
    client.run(&mut bench);
    client.tls.renew_keys();
    client.tls.say(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    client.inner.wire.room = usize::MAX;
    client.run(&mut bench);
    let replies = client.replies();
    assert_eq!(replies.len(), 2);
    assert!(replies[0].body == value);
}

#[test]
fn an_answer_whose_last_word_finds_no_room_is_not_broken_off() {
    let mut bench = Bench::open();
    let mut client = Secure::new(&mut bench);
    client.run(&mut bench);
    let ask = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let mut alone = Secure::new(&mut bench);
    alone.run(&mut bench);
    alone.tls.say(ask);
    let records = alone.tls.records();
    alone.inner.say(&records);
    bench.run(&mut alone.inner);
    // The same answer, and its word of the end, which takes 24 bytes.
    client.inner.wire.room = alone.inner.wire.output.len() - 24;
    client.tls.say(ask);
    let records = client.tls.records();
    client.inner.say(&records);
    bench.run(&mut client.inner);
    client.inner.wire.end = Some(Input::Finished);
    for _ in 0..3 {
        bench.pass(2 * SECOND_NS);
        client.inner.step(&mut bench);
    }
    assert_eq!(client.inner.progress, Progress::Finish);
    let sent = std::mem::take(&mut client.inner.wire.output);
    client.tls.take(&sent).expect("good records");
    assert_eq!(client.replies()[0].status, 200);
    assert!(!client.tls.is_closed(), "there was no room for it");
}
