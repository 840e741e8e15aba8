//! The admin port of the whole appliance: a snapshot, a rollback and a quota, over a power cut.

use crate::until_ready;
use std::net::SocketAddrV4;
use tests::http::Answer;
use tests::simulated::{Cut, GUEST, GUEST_ADMIN, Options, Outcome, Simulation, faults, request_at};

/// One request, which must be answered.
fn ask(
    simulation: &mut Simulation,
    door: SocketAddrV4,
    (method, target): (&str, &str),
    body: &[u8],
) -> Answer {
    match request_at(simulation, door, (method, target), body) {
        Outcome::Answer(answer) => answer,
        Outcome::Lost(why) => {
            panic!("{method} {target}: {why}\n{}", simulation.console())
        }
    }
}

fn owner(simulation: &mut Simulation, method: &str, target: &str, body: &str) -> Answer {
    let target = format!("/-/admin/{target}");
    ask(simulation, GUEST_ADMIN, (method, &target), body.as_bytes())
}

fn put(simulation: &mut Simulation, key: &str, value: &[u8]) -> Answer {
    let target = format!("/kv/b/{key}");
    ask(simulation, GUEST, ("PUT", &target), value)
}

/// The value of a key, now or at a snapshot.
fn get(simulation: &mut Simulation, key: &str, query: &str) -> Option<Vec<u8>> {
    let target = format!("/kv/b/{key}{query}");
    let answer = ask(simulation, GUEST, ("GET", &target), b"");
    assert!(matches!(answer.status, 200 | 404), "{}", answer.text());
    (answer.status == 200).then_some(answer.body)
}

/// A large value and a small one, so that both forms of record are rolled back.
fn values(salt: u8) -> [(&'static str, Vec<u8>); 2] {
    [("large", vec![salt; 100_000]), ("small", vec![salt; 10])]
}

fn put_all(simulation: &mut Simulation, salt: u8) {
    for (key, value) in values(salt) {
        let status = put(simulation, key, &value).status;
        assert!(matches!(status, 201 | 204), "{key}: {status}");
    }
}

fn shows(simulation: &mut Simulation, query: &str, salt: u8) {
    for (key, value) in values(salt) {
        assert!(get(simulation, key, query) == Some(value), "{key}{query}");
    }
}

#[test]
fn a_snapshot_is_read_rolled_back_to_and_undone() {
    let mut simulation = Simulation::begin(Options::new(1));
    until_ready(&mut simulation);
    put_all(&mut simulation, 1);
    let taken = owner(&mut simulation, "PUT", "snapshots/first", "");
    assert_eq!(taken.status, 201, "{}", taken.text());
    put_all(&mut simulation, 2);
    assert_eq!(put(&mut simulation, "late", b"x").status, 201);
    shows(&mut simulation, "", 2);
    shows(&mut simulation, "?at=first", 1);
    let rolled = owner(&mut simulation, "POST", "snapshots/first/rollback", "");
    assert_eq!(rolled.status, 200, "{}", rolled.text());
    simulation.restart(Cut::Power);
    until_ready(&mut simulation);
    shows(&mut simulation, "", 1);
    assert_eq!(get(&mut simulation, "late", ""), None);
    let text = rolled.text();
    let (_, undo) = text.split_once("\"undo\":\"").expect("a name");
    let undo = undo.split('"').next().expect("a name");
    shows(&mut simulation, &format!("?at={undo}"), 2);
    let target = format!("snapshots/{undo}/rollback?bucket=b");
    let undone = owner(&mut simulation, "POST", &target, "");
    assert_eq!(undone.status, 200, "{}", undone.text());
    shows(&mut simulation, "", 2);
    shows(&mut simulation, "?at=first", 1);
    assert_eq!(get(&mut simulation, "late", ""), Some(b"x".to_vec()));
    assert_eq!(faults(&simulation), [""; 0]);
}

#[test]
fn a_quota_refuses_what_is_beyond_it_after_a_power_cut_too() {
    let mut simulation = Simulation::begin(Options::new(2));
    until_ready(&mut simulation);
    let quota = "{\"quota_bytes\":100,\"quota_keys\":2}";
    let set = owner(&mut simulation, "PUT", "buckets/b", quota);
    assert_eq!(set.status, 201, "{}", set.text());
    assert_eq!(put(&mut simulation, "k", &[1; 60]).status, 201);
    simulation.restart(Cut::Power);
    until_ready(&mut simulation);
    let refused = put(&mut simulation, "l", &[1; 60]);
    assert_eq!(refused.status, 507);
    let text = refused.text();
    for part in ["no-space-quota", "\"limit_bytes\":100", "\"used_bytes\":61"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let emptied = owner(&mut simulation, "DELETE", "buckets/b", "");
    assert_eq!(emptied.status, 204);
    assert_eq!(put(&mut simulation, "l", &[1; 60]).status, 201);
    assert_eq!(faults(&simulation), [""; 0]);
}

#[test]
fn each_port_has_its_own_and_may_be_off() {
    let mut simulation = Simulation::begin(Options {
        command_line: "ip=10.0.2.50/24 gw=10.0.2.2 auth=open admin.port=8081 http.port=80".into(),
        ..Options::new(3)
    });
    until_ready(&mut simulation);
    assert_eq!(put(&mut simulation, "k", b"x").status, 201);
    for (door, target, status) in [
        (GUEST, "/kv/b/k", 200),
        (GUEST_ADMIN, "/kv/b/k", 404),
        (GUEST, "/-/admin/buckets", 404),
        (GUEST_ADMIN, "/-/admin/buckets", 200),
        (GUEST_ADMIN, "/", 404),
        (GUEST, "/metrics", 200),
        (GUEST_ADMIN, "/metrics", 200),
        (GUEST_ADMIN, "/readyz?for=write", 200),
    ] {
        let answer = ask(&mut simulation, door, ("GET", target), b"");
        assert_eq!(answer.status, status, "{door} {target}");
    }
    drop(simulation);
    let mut simulation = Simulation::begin(Options {
        command_line: "ip=10.0.2.50/24 gw=10.0.2.2 auth=open admin.port=off".into(),
        ..Options::new(4)
    });
    until_ready(&mut simulation);
    let nobody = request_at(&mut simulation, GUEST_ADMIN, ("GET", "/healthz"), b"");
    assert!(matches!(nobody, Outcome::Lost(_)), "{nobody:?}");
}

#[test]
fn one_port_for_both_is_said_and_serves_the_users() {
    let mut simulation = Simulation::begin(Options {
        command_line: "ip=10.0.2.50/24 gw=10.0.2.2 auth=open admin.port=80".into(),
        ..Options::new(5)
    });
    until_ready(&mut simulation);
    let answer = ask(&mut simulation, GUEST, ("GET", "/-/admin/buckets"), b"");
    assert_eq!(answer.status, 404);
    let console = simulation.console();
    assert!(
        console.contains("admin.port=80 is not listened on"),
        "{console}"
    );
    assert!(console.contains("admin.port=off"), "{console}");
}

#[test]
fn the_status_has_the_machine_and_every_setting_with_who_has_set_it() {
    let mut simulation = Simulation::begin(Options {
        command_line: "ip=10.0.2.50/24 gw=10.0.2.2 auth=open auth.read-token=0123456789abcdef \
                       site.shop.example=shop"
            .into(),
        ..Options::new(6)
    });
    until_ready(&mut simulation);
    let status = owner(&mut simulation, "GET", "status", "");
    assert_eq!(status.status, 200);
    let text = status.text();
    for part in [
        "\"state\":\"ready\"",
        "\"vif\":{\"connected\":true,\"mac\":\"",
        "\"vbd\":{\"connected\":true,\"bytes\":",
        "\"ip\":{\"value\":\"10.0.2.50/24\",\"source\":\"command line\"}",
        "\"auth.read-token\":{\"value\":\"set\",\"source\":\"command line\"}",
        "\"watchdog\":{\"value\":\"off\",\"source\":\"default\"}",
        "\"site.shop.example\":{\"value\":\"shop\",\"source\":\"command line\"}",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("0123456789abcdef"));
}
