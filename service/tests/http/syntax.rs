//! Request heads: what is accepted, what is refused, at every split of the bytes.

use crate::harness::Bench;
use crate::replies::{self, Content};
use service::Progress;

/// How a connection stands after a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It can go on.
    Open,
    /// It is over, or about to be.
    Closed,
}

/// The statuses for `input` and how it ends, whole and split at every byte.
pub(crate) fn check(input: &[u8], statuses: &[u16], then: Then) {
    let mut bench = Bench::open();
    let mut first = None;
    for split in (0..=input.len()).rev() {
        if input.len() > 600 && split % 97 != 0 {
            continue;
        }
        let mut client = bench.client();
        client.say(&input[..split]);
        bench.run(&mut client);
        client.say(&input[split..]);
        bench.run(&mut client);
        let output = std::mem::take(&mut client.wire.output);
        let shown = String::from_utf8_lossy(&input[..input.len().min(200)]).into_owned();
        match &first {
            None => {
                let found = replies::parse(&output, Content::Usual);
                let found: Vec<u16> = found.iter().map(|reply| reply.status).collect();
                assert_eq!(found, statuses, "{shown:?}");
                first = Some(output);
            }
            Some(first) => assert_eq!(
                String::from_utf8_lossy(&output),
                String::from_utf8_lossy(first),
                "{shown:?} split at {split}"
            ),
        }
        let closed = match client.progress {
            Progress::Finish => true,
            Progress::Peer { .. } => {
                // A lingering connection ends by itself.
                bench.pass(1_000_000_000);
                bench.run(&mut client);
                client.progress == Progress::Finish
            }
            other => panic!("{shown:?}: {other:?}"),
        };
        assert_eq!(closed, then == Then::Closed, "{shown:?} split at {split}");
        // The same second again, so that the answers are the same.
        bench.now.wall_ns = crate::harness::WALL_NS;
    }
}

fn table(cases: &[(&str, u16, Then)]) {
    for (input, status, then) in cases {
        check(input.as_bytes(), &[*status], *then);
    }
}

const REQUEST_LINES: &[(&str, u16, Then)] = &[
    ("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 200, Then::Open),
    (
        "\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        200,
        Then::Open,
    ),
    (
        "GET http://h/healthz HTTP/1.1\r\nHost: other\r\n\r\n",
        200,
        Then::Open,
    ),
    (
        "GET HTTPS://h:443/healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        421,
        Then::Closed,
    ),
    ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 204, Then::Open),
    (
        "OPTIONS /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n",
        204,
        Then::Open,
    ),
    ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400, Then::Closed),
    ("GET healthz HTTP/1.1\r\nHost: h\r\n\r\n", 400, Then::Closed),
    (
        "GET http:///healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET http://u@h/healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    ("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400, Then::Closed),
    ("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", 400, Then::Closed),
    (
        "GET  /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz  HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET\t/healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    ("GET /healthz\r\nHost: h\r\n\r\n", 400, Then::Closed),
    (
        "GET /healthz HTTP/1.1 \r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        " GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "G@T /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "get /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        501,
        Then::Closed,
    ),
    (
        "BREW /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        501,
        Then::Closed,
    ),
    (
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        501,
        Then::Closed,
    ),
    ("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 501, Then::Closed),
    (
        "GET /healthz HTTP/2.0\r\nHost: h\r\n\r\n",
        505,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/0.9\r\nHost: h\r\n\r\n",
        505,
        Then::Closed,
    ),
    (
        "GET /healthz http/1.1\r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Then::Closed),
    (
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n",
        400,
        Then::Closed,
    ),
];

#[test]
fn request_lines() {
    table(REQUEST_LINES);
}

const HEADER_LINES: &[(&str, u16, Then)] = &[
    ("GET /healthz HTTP/1.1\r\nhOsT:h\r\n\r\n", 200, Then::Open),
    (
        "GET /healthz HTTP/1.1\r\nHost: \t h \t\r\n\r\n",
        200,
        Then::Open,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX:\r\n\r\n",
        200,
        Then::Open,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\u{e9}\tb\r\n\r\n",
        200,
        Then::Open,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\n\tX: a\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\n X: a\r\nHost: h\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost : h\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX\t: a\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX(: a\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\r\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\x0bb\r\n\r\n",
        400,
        Then::Closed,
    ),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\x7f\r\n\r\n",
        400,
        Then::Closed,
    ),
    ("GET /healthz HTTP/1.1\nHost: h\n\n", 400, Then::Closed),
    ("GET /healthz HTTP/1.1\r\nHost: h\n\r\n", 400, Then::Closed),
    (
        "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\n\r\n",
        400,
        Then::Closed,
    ),
];

#[test]
fn header_lines() {
    table(HEADER_LINES);
}

#[test]
fn hosts() {
    table(&[
        (
            "GET /healthz HTTP/1.1\r\nHost: h:8080\r\n\r\n",
            200,
            Then::Open,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
            200,
            Then::Open,
        ),
        ("GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", 200, Then::Open),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400, Then::Closed),
        ("GET http://h/healthz HTTP/1.1\r\n\r\n", 400, Then::Closed),
        (
            "GET /healthz HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
            400,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: h\r\nHOST: i\r\n\r\n",
            400,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: h i\r\n\r\n",
            400,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: h, i\r\n\r\n",
            400,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: h/i\r\n\r\n",
            400,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: u@h\r\n\r\n",
            400,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: h:port\r\n\r\n",
            400,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.0\r\nHost: h i\r\n\r\n",
            400,
            Then::Closed,
        ),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200, Then::Closed),
    ]);
}

#[test]
fn persistence() {
    table(&[
        (
            "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            200,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE\r\n\r\n",
            200,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: x\r\nConnection: close\r\n\r\n",
            200,
            Then::Closed,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
            200,
            Then::Open,
        ),
        (
            "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            200,
            Then::Open,
        ),
        (
            "GET /healthz HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
            200,
            Then::Closed,
        ),
    ]);
    let mut bench = Bench::open();
    let kept = bench.ask("GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_eq!(kept.the("Connection"), "keep-alive");
    assert_eq!(
        bench.ask("GET /healthz HTTP/1.0\r\n\r\n").the("Connection"),
        "close"
    );
    assert_eq!(bench.get("/healthz").field("Connection"), None);
}

#[test]
fn sizes() {
    let line = |len: usize| {
        let path = "a".repeat(len - "GET / HTTP/1.1\r\n".len());
        format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n")
    };
    check(line(8000).as_bytes(), &[404], Then::Open);
    check(line(10_240).as_bytes(), &[404], Then::Open);
    check(line(10_241).as_bytes(), &[414], Then::Closed);
    check("a".repeat(20_000).as_bytes(), &[414], Then::Closed);
    let fields = |count: usize, len: usize| {
        let field = format!("X: {}\r\n", "b".repeat(len - 5));
        format!(
            "GET /healthz HTTP/1.1\r\nHost: h\r\n{}\r\n",
            field.repeat(count)
        )
    };
    check(fields(95, 10).as_bytes(), &[200], Then::Open);
    check(fields(96, 10).as_bytes(), &[431], Then::Closed);
    check(fields(1, 16_384 - 34).as_bytes(), &[200], Then::Open);
    check(fields(1, 16_384 - 33).as_bytes(), &[431], Then::Closed);
    check(fields(90, 1000).as_bytes(), &[431], Then::Closed);
}

#[test]
fn methods() {
    let mut bench = Bench::open();
    for (method, target, status, allow) in [
        (
            "POST",
            "/kv/b/k",
            405,
            Some("GET, HEAD, PUT, DELETE, OPTIONS"),
        ),
        ("POST", "/", 405, Some("GET, HEAD, OPTIONS")),
        ("PUT", "/page", 405, Some("GET, HEAD, OPTIONS")),
        ("DELETE", "/healthz", 405, Some("GET, HEAD, OPTIONS")),
        ("PUT", "/-/keys/b", 405, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/metrics", 204, Some("GET, HEAD, OPTIONS")),
        (
            "OPTIONS",
            "*",
            204,
            Some("GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        ),
        ("HEAD", "/healthz", 200, None),
        ("GET", "/-/nothing", 404, None),
        ("GET", "/kv", 404, None),
    ] {
        let reply = bench.with(method, target, "");
        assert_eq!(reply.status, status, "{method} {target}");
        assert_eq!(reply.field("Allow"), allow, "{method} {target}");
    }
    let head = bench.with("HEAD", "/healthz", "");
    let get = bench.with("GET", "/healthz", "");
    assert_eq!(head.fields, get.fields);
}

#[test]
fn dates() {
    let mut bench = Bench::open();
    assert_eq!(
        bench.get("/healthz").the("Date"),
        "Thu, 19 Nov 2026 02:13:20 GMT"
    );
    bench.pass(86_400_000_000_000);
    assert_eq!(
        bench.get("/healthz").the("Date"),
        "Fri, 20 Nov 2026 02:13:20 GMT"
    );
    bench.now.wall_ns = 0;
    assert_eq!(
        bench.get("/healthz").field("Date"),
        None,
        "no clock, no date"
    );
}
