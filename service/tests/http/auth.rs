//! Who may do what.

use crate::harness::{self, Bench, READ_TOKEN, SECOND_NS, TOKEN};
use crate::replies::{self, Content, Reply};
use service::Progress;

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// The bench with a page, a script and a private value.
fn bench() -> Bench {
    let mut bench = Bench::new(harness::with_tokens());
    for target in ["/kv/www/page", "/kv/www/page.rhai", "/kv/b/k"] {
        assert_eq!(bench.put(target, &bearer(TOKEN), "x").status, 201);
    }
    bench
}

/// The one answer to a request, however long it is kept waiting.
fn patiently(bench: &mut Bench, method: &str, target: &str, lines: &str) -> Reply {
    let mut client = bench.client();
    client.say(format!(
        "{method} {target} HTTP/1.1\r\nHost: h.example:80\r\n{lines}\r\n"
    ));
    bench.run(&mut client);
    bench.pass(2 * SECOND_NS);
    bench.run(&mut client);
    let content = if method == "HEAD" {
        Content::Never
    } else {
        Content::Usual
    };
    replies::parse(&client.wire.output, content).remove(0)
}

/// Method, target, header lines or their name, status.
const CASES: &[(&str, &str, &str, u16)] = &[
    // Anyone.
    ("GET", "/kv/www/page", "", 200),
    ("HEAD", "/kv/www/page", "", 200),
    ("GET", "/page", "", 200),
    ("GET", "/kv/www/page", "WRONG", 200),
    ("GET", "/healthz", "", 200),
    ("GET", "/readyz", "", 200),
    ("OPTIONS", "/kv/b/k", "", 204),
    ("GET", "/kv/www/page.rhai", "", 401),
    ("GET", "/page.rhai", "", 404),
    ("GET", "/page.rhai", "FULL", 404),
    ("GET", "/kv/b/k", "", 401),
    ("GET", "/kv/b/none", "", 401),
    ("GET", "/-/keys/b", "", 401),
    ("GET", "/-/keys/www", "", 200),
    ("GET", "/-/buckets", "", 200),
    ("GET", "/metrics", "", 401),
    ("PUT", "/kv/www/page", "", 401),
    ("PUT", "/kv/b/k", "", 401),
    ("DELETE", "/kv/www/page", "", 401),
    ("DELETE", "/kv/b/none", "", 401),
    // The read token.
    ("GET", "/kv/b/k", "READ", 200),
    ("GET", "/kv/b/k", "BASIC READ", 200),
    ("GET", "/kv/www/page.rhai", "READ", 200),
    ("GET", "/-/keys/b", "READ", 200),
    ("GET", "/metrics", "READ", 200),
    ("PUT", "/kv/b/k", "READ", 403),
    ("DELETE", "/kv/b/k", "BASIC READ", 403),
    // The token.
    ("GET", "/kv/b/k", "FULL", 200),
    (
        "GET",
        "/kv/b/k",
        "authorization: BEARER 0123456789abcdef\r\n",
        200,
    ),
    ("GET", "/kv/b/k", "BASIC", 200),
    ("PUT", "/kv/b/k", "FULL", 204),
    ("PUT", "/kv/b/k", "BASIC", 204),
    // Neither.
    ("GET", "/kv/b/k", "WRONG", 401),
    ("GET", "/kv/b/k", "BASIC WRONG", 401),
    ("GET", "/kv/b/k", "Authorization: Bearer\r\n", 401),
    ("GET", "/kv/b/k", "Authorization: Bearer \r\n", 401),
    ("GET", "/kv/b/k", "Authorization: 0123456789abcdef\r\n", 401),
    (
        "GET",
        "/kv/b/k",
        "Authorization: Basic 0123456789abcdef\r\n",
        401,
    ),
    ("GET", "/kv/b/k", "Authorization: Basic dTo\r\n", 401),
    ("GET", "/kv/b/k", "Authorization: Digest x\r\n", 401),
    (
        "GET",
        "/kv/b/k",
        "Authorization: Bearer 0123456789abcdef0\r\n",
        401,
    ),
    ("GET", "/-/buckets", "WRONG", 401),
    ("PUT", "/kv/b/k", "WRONG", 401),
];

/// The header lines a case names. In base64: `u:` and the token, the read token, `wrong`.
fn lines_of(name: &str) -> String {
    match name {
        "FULL" => bearer(TOKEN),
        "READ" => bearer(READ_TOKEN),
        "WRONG" => bearer("0123456789abcdee"),
        "BASIC" => "Authorization: Basic dTowMTIzNDU2Nzg5YWJjZGVm\r\n".into(),
        "BASIC READ" => "Authorization: basic dTpmZWRjYmE5ODc2NTQzMjEw\r\n".into(),
        "BASIC WRONG" => "Authorization: Basic dTp3cm9uZw==\r\n".into(),
        lines => lines.into(),
    }
}

#[test]
fn who_may_do_what() {
    let mut bench = bench();
    for (method, target, lines, status) in CASES {
        let reply = patiently(&mut bench, method, target, &lines_of(lines));
        assert_eq!(reply.status, *status, "{method} {target} {lines}");
        if *status == 401 {
            let challenges: Vec<_> = reply
                .fields
                .iter()
                .filter(|(name, _)| name == "WWW-Authenticate")
                .collect();
            assert_eq!(challenges.len(), 2);
        }
    }
    let huge = format!("Authorization: Basic {}\r\n", "QUFB".repeat(500));
    assert_eq!(patiently(&mut bench, "GET", "/kv/b/k", &huge).status, 401);
    assert!(bench.service.login_count() > 0);
}

#[test]
fn pages_of_other_sites_cannot_use_a_browsers_password() {
    let mut bench = bench();
    let basic = "Authorization: Basic dTowMTIzNDU2Nzg5YWJjZGVm\r\n";
    let full = bearer(TOKEN);
    for (lines, by_basic, by_bearer) in [
        ("", 204, 204),
        ("Origin: http://h.example:80\r\n", 204, 204),
        ("Origin: https://H.EXAMPLE:80\r\n", 204, 204),
        ("Sec-Fetch-Site: same-origin\r\n", 204, 204),
        ("Sec-Fetch-Site: none\r\n", 204, 204),
        ("Origin: http://evil.example\r\n", 403, 204),
        ("Origin: http://h.example\r\n", 403, 204),
        ("Origin: http://h.example:8080\r\n", 403, 204),
        ("Origin: null\r\n", 403, 204),
        ("Origin:\r\n", 403, 204),
        ("Sec-Fetch-Site: cross-site\r\n", 403, 204),
        ("Sec-Fetch-Site: same-site\r\n", 403, 204),
        (
            "Sec-Fetch-Site: cross-site\r\nOrigin: http://h.example:80\r\n",
            403,
            204,
        ),
    ] {
        let put = patiently(&mut bench, "PUT", "/kv/b/k", &format!("{basic}{lines}"));
        assert_eq!(put.status, by_basic, "{lines}");
        let put = patiently(&mut bench, "PUT", "/kv/b/k", &format!("{full}{lines}"));
        assert_eq!(put.status, by_bearer, "{lines}");
        let get = patiently(&mut bench, "GET", "/kv/b/k", &format!("{basic}{lines}"));
        assert_eq!(
            get.status, 200,
            "reading is the browser's to judge: {lines}"
        );
        let mut open = Bench::open();
        let put = patiently(&mut open, "PUT", "/kv/b/k", lines);
        assert_eq!(
            put.status == 403,
            by_basic == 403,
            "without a token: {lines}"
        );
    }
}

#[test]
fn guesses_wait_longer_and_longer() {
    let mut bench = bench();
    let mut client = bench.client();
    let mut waits_ms = Vec::new();
    for _ in 0..6 {
        client.say(format!(
            "GET /kv/b/k HTTP/1.1\r\nHost: h\r\n{}\r\n",
            bearer("wrong")
        ));
        bench.run(&mut client);
        assert!(client.wire.output.is_empty(), "it is kept waiting");
        let wait_ns = client.deadline_ns() - bench.now.monotonic_ns;
        waits_ms.push(wait_ns / 1_000_000);
        bench.pass(wait_ns - 1);
        bench.run(&mut client);
        assert!(client.wire.output.is_empty());
        bench.pass(1);
        bench.run(&mut client);
        assert_eq!(client.replies()[0].problem(), "token-wrong");
    }
    assert_eq!(waits_ms, [125, 250, 500, 1000, 1000, 1000]);
    client.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.run(&mut client);
    assert_eq!(
        client.replies()[0].problem(),
        "token-missing",
        "no guess, no wait"
    );
    assert!(matches!(client.progress, Progress::Peer { .. }));
}

#[test]
fn without_a_token_set_nobody_gets_in() {
    let mut bench = Bench::new(service::Config::default());
    for lines in [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Basic Og==\r\n",
    ] {
        assert_eq!(
            patiently(&mut bench, "PUT", "/kv/b/k", lines).status,
            401,
            "{lines}"
        );
    }
    bench.service.put_in_force(TOKEN.parse().expect("a token"));
    assert_eq!(
        patiently(&mut bench, "PUT", "/kv/b/k", &bearer(TOKEN)).status,
        201
    );
}

#[test]
fn plain_connections_can_be_refused() {
    let mut config = harness::with_tokens();
    config.set("auth.plaintext", "refuse").expect("a mode");
    let mut bench = Bench::new(config);
    for lines in [String::new(), bearer(TOKEN), bearer("wrong")] {
        let reply = patiently(&mut bench, "PUT", "/kv/b/k", &lines);
        assert_eq!((reply.status, reply.problem()), (403, "plaintext-refused"));
    }
    assert_eq!(patiently(&mut bench, "GET", "/", "").status, 200);
    assert_eq!(patiently(&mut bench, "GET", "/healthz", "").status, 200);
}
