//! `/-/admin/status` and `/-/admin/power/`: how it stands, and how it ends.

use crate::harness::{self, Bench, READ_TOKEN, TOKEN, with_tokens};
use service::{Config, Environment, Members, Power, StatusSource};

struct Machine;

impl StatusSource for Machine {
    fn append(&self, members: &mut Members<'_>, config: &Config) {
        members.inner("machine", |machine| {
            machine.text("xen", "4.17");
            machine.flag("token", config.token.is_some());
        });
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn the_status_says_what_holds_and_nothing_secret() {
    let mut bench = Bench::new(with_tokens());
    bench.service.set_environment(Environment {
        version: "1.0".into(),
        status: Some(Box::new(Machine)),
        ..Environment::default()
    });
    bench.put("/kv/b/k", &bearer(TOKEN), "x");
    let reply = bench.admin("GET", "/-/admin/status", &bearer(TOKEN), "");
    assert_eq!(
        (reply.status, reply.the("Content-Type")),
        (200, "application/json")
    );
    let text = reply.text();
    let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(json["version"], "1.0");
    assert_eq!(json["uptime_s"], 5);
    assert_eq!(json["store"]["state"], "ready");
    assert_eq!(json["store"]["durability"], "flush");
    assert_eq!(json["store"]["keys"], 1);
    assert_eq!(json["limits"]["head_bytes"], 16_384);
    assert_eq!(json["limits"]["idle_timeout_ms"], 75_000);
    assert_eq!(json["machine"]["xen"], "4.17");
    assert_eq!(json["machine"]["token"], true);
    assert!(!text.contains(TOKEN) && !text.contains(READ_TOKEN));
    let refused = bench.admin("GET", "/-/admin/status", &bearer(READ_TOKEN), "");
    assert_eq!(refused.problem(), "read-token-only");
}

#[test]
fn a_store_that_is_not_open_is_told_of() {
    let mut bench = Bench::opening(harness::open(), 64 << 20);
    let reply = bench.admin("GET", "/-/admin/status", "", "");
    let json: serde_json::Value = serde_json::from_str(reply.text()).expect("JSON");
    assert_eq!(json["store"]["state"], "opening");
}

#[test]
fn an_end_is_asked_for_once_by_the_owner_alone() {
    for (word, power) in [("off", Power::Off), ("reboot", Power::Reboot)] {
        let mut bench = Bench::new(with_tokens());
        let target = format!("/-/admin/power/{word}");
        let refused = bench.admin("POST", &target, &bearer(READ_TOKEN), "");
        assert_eq!(refused.problem(), "read-token-only");
        assert_eq!(bench.admin("POST", &target, "", "").status, 401);
        assert_eq!(bench.service.take_power(), None);
        let reply = bench.admin("POST", &target, &bearer(TOKEN), "");
        let expect = format!("{{\"power\":\"{word}\"}}\n");
        assert_eq!((reply.status, reply.text()), (202, &*expect));
        assert_eq!(bench.service.take_power(), Some(power));
        assert_eq!(bench.service.take_power(), None);
        let get = bench.admin("GET", &target, &bearer(TOKEN), "");
        assert_eq!((get.status, get.the("Allow")), (405, "POST, OPTIONS"));
    }
    let mut bench = Bench::new(with_tokens());
    let target = "/-/admin/power/cycle";
    assert_eq!(bench.admin("POST", target, &bearer(TOKEN), "").status, 404);
}

/// What becomes of it in the roof is in `tests/sim/token.rs`.
#[test]
fn a_token_that_was_set_is_not_rotated_here() {
    let target = "/-/admin/token/rotate";
    let mut bench = Bench::new(with_tokens());
    assert_eq!(bench.admin("POST", target, "", "").status, 401);
    let refused = bench.admin("POST", target, &bearer(READ_TOKEN), "");
    assert_eq!(refused.problem(), "read-token-only");
    let refused = bench.admin("POST", target, &bearer(TOKEN), "");
    assert_eq!((refused.status, refused.problem()), (409, "token-set"));
    assert!(refused.text().contains("vm-data/"), "{}", refused.text());
    let get = bench.admin("GET", target, &bearer(TOKEN), "");
    assert_eq!((get.status, get.the("Allow")), (405, "POST, OPTIONS"));
    let refused = Bench::open().admin("POST", target, "", "");
    assert_eq!((refused.status, refused.problem()), (409, "token-set"));
    assert!(!bench.service.wants_rotation());
}

#[test]
fn the_first_end_stands() {
    let mut bench = Bench::open();
    for word in ["off", "reboot"] {
        let target = format!("/-/admin/power/{word}");
        let reply = bench.admin("POST", &target, "", "");
        assert_eq!((reply.status, reply.text()), (202, "{\"power\":\"off\"}\n"));
    }
    assert_eq!(bench.service.take_power(), Some(Power::Off));
    bench.service.begin_shutdown();
    assert_eq!(
        bench.admin("POST", "/-/admin/power/off", "", "").status,
        202
    );
    let mut bench = Bench::open();
    bench.service.begin_shutdown();
    let reply = bench.admin("POST", "/-/admin/power/off", "", "");
    assert_eq!((reply.status, reply.problem()), (409, "ending"));
}
