//! The admin plane: what is there, what is not, and for whom.

use crate::harness::{self, Bench, READ_TOKEN, SECOND_NS, TOKEN};
use service::{Config, Plane, Service};

/// Every resource of the admin plane with its methods.
const RESOURCES: &[(&str, &str)] = &[
    ("/-/admin/buckets", "GET, HEAD, OPTIONS"),
    ("/-/admin/buckets/b", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ("/-/admin/snapshots", "GET, HEAD, OPTIONS"),
    ("/-/admin/snapshots/s", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ("/-/admin/snapshots/s/rollback", "POST, OPTIONS"),
];

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn neither_plane_serves_what_is_the_others() {
    let mut bench = Bench::open();
    bench.put("/kv/www/index.html", "", "<p>");
    bench.put("/kv/www/404.html", "", "gone");
    for target in [
        "/",
        "/index.html",
        "/nothing",
        "/kv/www/index.html",
        "/kv/b",
        "/-/key64/www/aW5kZXguaHRtbA",
        "/-/keys/www",
        "/-/buckets",
        "/-/admin",
        "/-/admin/",
        "/-/admin/nothing",
        "/-/admin/buckets/b/c/d",
        "/-/admin/snapshots/s/undo",
        "/-/admin/snapshots/s/rollback/",
        "/%2d/admin/buckets",
    ] {
        let reply = bench.admin("GET", target, "", "");
        let problem = (reply.status, reply.problem());
        let names = [(404, "no-such-path"), (400, "bad-bucket")];
        assert!(names.contains(&problem), "{target}: {problem:?}");
        for method in ["PUT", "DELETE", "POST", "OPTIONS"] {
            let reply = bench.admin(method, target, "", "");
            assert!(matches!(reply.status, 404 | 400), "{method} {target}");
        }
    }
    for target in ["/healthz", "/readyz", "/metrics", "/-/problems/bad-json"] {
        assert_eq!(bench.admin("GET", target, "", "").status, 200, "{target}");
        assert_eq!(bench.get(target).status, 200, "{target}");
    }
    for (target, _) in RESOURCES {
        for method in ["GET", "PUT", "DELETE", "POST", "OPTIONS"] {
            let reply = bench.with(method, target, "");
            let problem = (reply.status, reply.problem());
            assert_eq!(problem, (404, "no-such-path"), "{method} {target}");
        }
    }
    assert_eq!(bench.get("/").text(), "<p>");
}

#[test]
fn each_resource_tells_its_methods() {
    let mut bench = Bench::open();
    for (target, allow) in RESOURCES {
        let options = bench.admin("OPTIONS", target, "", "");
        assert_eq!((options.status, options.the("Allow")), (204, *allow));
        for method in ["GET", "HEAD", "PUT", "DELETE", "POST"] {
            let allowed = allow.split(", ").any(|known| known == method);
            let reply = bench.admin(method, target, "", "");
            assert_eq!(reply.status == 405, !allowed, "{method} {target}");
            if !allowed {
                assert_eq!(reply.the("Allow"), *allow, "{method} {target}");
            }
        }
        let unknown = bench.admin("GET", &format!("{target}?x=1"), "", "");
        assert!(matches!(unknown.status, 400 | 405), "{target}");
    }
    let all = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
    assert_eq!(bench.admin("OPTIONS", "*", "", "").the("Allow"), all);
}

#[test]
fn parameters_that_are_not_known_are_refused() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "x");
    bench.admin("PUT", "/-/admin/snapshots/s", "", "");
    for (method, target) in [
        ("GET", "/-/admin/buckets?x"),
        ("GET", "/-/admin/buckets/b?at=s"),
        ("PUT", "/-/admin/buckets/b?quota_bytes=5"),
        ("DELETE", "/-/admin/buckets/b?force=1"),
        ("GET", "/-/admin/snapshots?limit=1"),
        ("GET", "/-/admin/snapshots/s?x"),
        ("PUT", "/-/admin/snapshots/t?x"),
        ("DELETE", "/-/admin/snapshots/s?x"),
        ("POST", "/-/admin/snapshots/s/rollback?buckets=b"),
        ("POST", "/-/admin/snapshots/s/rollback?bucket=b&bucket=b"),
    ] {
        let reply = bench.admin(method, target, "", "");
        let problem = (reply.status, reply.problem());
        assert_eq!(problem, (400, "bad-parameter"), "{method} {target}");
    }
    let wrong = bench.admin("POST", "/-/admin/snapshots/s/rollback?bucket=B", "", "");
    assert_eq!((wrong.status, wrong.problem()), (400, "bad-bucket"));
    for name in ["B", "", "%zz", "a%2fb"] {
        let reply = bench.admin("GET", &format!("/-/admin/buckets/{name}"), "", "");
        assert_eq!((reply.status, reply.problem()), (400, "bad-bucket"));
        let reply = bench.admin("PUT", &format!("/-/admin/snapshots/{name}"), "", "");
        assert_eq!((reply.status, reply.problem()), (400, "bad-snapshot"));
    }
}

#[test]
fn it_takes_the_token_that_writes() {
    let mut bench = Bench::new(harness::with_tokens());
    let full = bearer(TOKEN);
    bench.put("/kv/b/k", &full, "x");
    for (method, target, body, status) in [
        ("GET", "/-/admin/buckets", "", 200),
        ("GET", "/-/admin/buckets/b", "", 200),
        ("PUT", "/-/admin/buckets/b", "{}", 200),
        ("PUT", "/-/admin/snapshots/s", "", 201),
        ("GET", "/-/admin/snapshots", "", 200),
        ("GET", "/-/admin/snapshots/s", "", 200),
        ("POST", "/-/admin/snapshots/s/rollback", "", 200),
        ("DELETE", "/-/admin/snapshots/s", "", 204),
        ("DELETE", "/-/admin/buckets/b", "", 204),
    ] {
        let nobody = bench.admin(method, target, "", body);
        assert_eq!(
            (nobody.status, nobody.problem()),
            (401, "token-missing"),
            "{method} {target}"
        );
        let reader = bench.admin(method, target, &bearer(READ_TOKEN), body);
        assert_eq!(
            (reader.status, reader.problem()),
            (403, "read-token-only"),
            "{method} {target}"
        );
        let owner = bench.admin(method, target, &full, body);
        assert_eq!(owner.status, status, "{method} {target}: {owner:?}");
    }
}

#[test]
fn a_wrong_token_is_kept_waiting_here_too() {
    let mut bench = Bench::new(harness::with_tokens());
    bench.plane = Plane::Admin;
    let mut client = bench.client();
    let guess = bearer("wrong");
    client.say(format!(
        "GET /-/admin/buckets HTTP/1.1\r\nHost: h\r\n{guess}\r\n"
    ));
    bench.run(&mut client);
    assert!(client.wire.output.is_empty());
    bench.pass(SECOND_NS);
    bench.run(&mut client);
    assert_eq!(client.replies()[0].problem(), "token-wrong");
}

#[test]
fn pages_of_other_sites_change_nothing_here() {
    let basic = "Authorization: Basic dTowMTIzNDU2Nzg5YWJjZGVm\r\n";
    let foreign = "Origin: http://evil.example\r\n";
    for (mut bench, token) in [
        (Bench::new(harness::with_tokens()), basic),
        (Bench::open(), ""),
    ] {
        let lines = format!("{token}{foreign}");
        for (method, target, body) in [
            ("PUT", "/-/admin/buckets/b", "{\"quota_keys\":1}"),
            ("DELETE", "/-/admin/buckets/b", ""),
            ("PUT", "/-/admin/snapshots/s", ""),
            ("DELETE", "/-/admin/snapshots/s", ""),
            ("POST", "/-/admin/snapshots/s/rollback", ""),
        ] {
            let reply = bench.admin(method, target, &lines, body);
            let problem = (reply.status, reply.problem());
            assert_eq!(problem, (403, "cross-site"), "{method} {target}");
        }
        assert_eq!(
            bench.admin("GET", "/-/admin/buckets", &lines, "").status,
            200,
            "reading is the browser's to judge"
        );
    }
}

#[test]
fn who_may_read_metrics_by_which_door() {
    let token = bearer(READ_TOKEN);
    for (mode, data, admin) in [
        (None, 401, 200),
        (Some("token"), 401, 401),
        (Some("open"), 200, 200),
    ] {
        let mut config: Config = harness::with_tokens();
        if let Some(mode) = mode {
            config.set("metrics", mode).expect("a mode");
        }
        let mut bench = Bench::new(config);
        assert_eq!(bench.get("/metrics").status, data, "{mode:?}");
        assert_eq!(
            bench.admin("GET", "/metrics", "", "").status,
            admin,
            "{mode:?}"
        );
        let reader = bench.admin("GET", "/metrics", &token, "");
        assert_eq!(reader.status, 200, "{mode:?}");
    }
}

#[test]
fn a_store_that_is_not_open_is_said() {
    let mut bench = Bench::opening(harness::open(), 16 << 20);
    let opening = |service: &Service| *service.store().state() == store::State::Opening;
    for (method, target, body) in [
        ("GET", "/-/admin/buckets", ""),
        ("GET", "/-/admin/buckets/b", ""),
        ("PUT", "/-/admin/buckets/b", "{}"),
        ("DELETE", "/-/admin/buckets/b", ""),
        ("GET", "/-/admin/snapshots", ""),
        ("PUT", "/-/admin/snapshots/s", ""),
        ("DELETE", "/-/admin/snapshots/s", ""),
        ("POST", "/-/admin/snapshots/s/rollback", ""),
    ] {
        bench.plane = Plane::Admin;
        let mut client = bench.client();
        let length = body.len();
        client.say(format!(
            "{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert!(opening(&bench.service));
        client.step(&mut bench);
        let reply = client.replies().remove(0);
        assert_eq!(
            (reply.status, reply.problem()),
            (503, "store-opening"),
            "{method} {target}"
        );
    }
}
