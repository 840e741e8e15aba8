//! `cors`: what pages of another site may do, and what they may not.

use crate::harness::{Bench, TOKEN, open, with_tokens};

const SHOP: &str = "https://shop.example";

fn shared(mut config: service::Config, origin: &str) -> Bench {
    config.set("cors", origin).expect("an origin");
    Bench::new(config)
}

#[test]
fn without_it_nothing_is_said() {
    let mut bench = Bench::open();
    for reply in [bench.get("/healthz"), bench.with("OPTIONS", "/kv/b/k", "")] {
        let said = reply
            .fields
            .iter()
            .any(|(name, _)| name.starts_with("Access-Control"));
        assert!(!said, "{reply:?}");
    }
}

#[test]
fn every_answer_of_the_users_port_says_who_may_and_none_of_the_owners() {
    let mut bench = shared(with_tokens(), SHOP);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    bench.put("/kv/b/k", &bearer, "x");
    // The second one is answered at once.
    let replies = [
        bench.with("GET", "/kv/b/k", &bearer),
        bench.with("GET", "/kv/b/k", &bearer),
        bench.get("/kv/b/k"),
        bench.get("/nothing"),
        bench.ask("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ];
    for reply in replies {
        assert_eq!(reply.the("Access-Control-Allow-Origin"), SHOP, "{reply:?}");
        assert!(reply.the("Access-Control-Expose-Headers").contains("ETag"));
        assert_eq!(reply.field("Access-Control-Allow-Credentials"), None);
    }
    let reply = bench.admin("GET", "/healthz", "", "");
    assert_eq!(reply.field("Access-Control-Allow-Origin"), None);
}

#[test]
fn a_browser_that_asks_first_is_told() {
    let mut bench = shared(with_tokens(), "*");
    let asks = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";
    let reply = bench.with("OPTIONS", "/kv/b/k", asks);
    assert_eq!(reply.status, 204, "no token is asked for");
    assert_eq!(reply.the("Access-Control-Allow-Origin"), "*");
    let methods = reply.the("Access-Control-Allow-Methods");
    assert!(
        methods.contains("PUT") && methods.contains("DELETE"),
        "{methods}"
    );
    let headers = reply.the("Access-Control-Allow-Headers");
    assert!(
        headers.contains("Authorization") && headers.contains("If-Match"),
        "{headers}"
    );
    let reply = bench.admin("OPTIONS", "/-/admin/buckets", asks, "");
    assert_eq!(reply.field("Access-Control-Allow-Methods"), None);
}

/// What a browser adds by itself is nobody's token but its own pages'.
#[test]
fn stored_credentials_are_not_for_other_sites_whatever_is_allowed() {
    let mut bench = shared(with_tokens(), "*");
    let basic = "Authorization: Basic bGFtcGlvbjowMTIzNDU2Nzg5YWJjZGVm\r\n";
    let from = "Origin: https://shop.example\r\nSec-Fetch-Site: cross-site\r\n";
    let reply = bench.put("/kv/b/k", &format!("{basic}{from}"), "x");
    assert_eq!((reply.status, reply.problem()), (403, "cross-site"));
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(
        bench.put("/kv/b/k", &format!("{bearer}{from}"), "x").status,
        201
    );
}

#[test]
fn where_no_token_is_asked_for_only_that_origin_may_change_something() {
    let mut bench = shared(open(), SHOP);
    let from = |origin: &str| format!("Origin: {origin}\r\nSec-Fetch-Site: cross-site\r\n");
    assert_eq!(bench.put("/kv/b/k", &from(SHOP), "x").status, 201);
    let other = bench.put("/kv/b/k", &from("https://evil.example"), "x");
    assert_eq!(other.problem(), "cross-site");
    let mut bench = shared(open(), "*");
    assert_eq!(
        bench
            .put("/kv/b/k", &from("https://any.example"), "x")
            .status,
        201
    );
    let mut bench = Bench::open();
    assert_eq!(
        bench.put("/kv/b/k", &from(SHOP), "x").problem(),
        "cross-site"
    );
}

/// A form of another page can send a POST without asking first.
#[test]
fn the_owners_port_is_not_shared() {
    let mut bench = shared(open(), "*");
    let from = "Origin: https://any.example\r\nSec-Fetch-Site: cross-site\r\n";
    let reply = bench.admin("POST", "/-/admin/power/off", from, "");
    assert_eq!((reply.status, reply.problem()), (403, "cross-site"));
    assert_eq!(bench.service.take_power(), None);
}
