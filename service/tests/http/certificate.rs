//! The certificate that is shown in TLS: another one in its place, and where its key is not.

use crate::harness::{Bench, Mood, SECOND_NS, WALL_NS};
use service::Plane;
use tls::{Identity, self_signed};

fn pem(name: &str) -> String {
    tls::random::seed([3; 32]);
    let pem = self_signed(name, None, WALL_NS / SECOND_NS).expect("made");
    [pem.certificate, pem.key].concat()
}

fn fingerprint(text: &str) -> String {
    let identity = Identity::of_pem(text.as_bytes(), text.as_bytes());
    identity.expect("taken").fingerprint()
}

#[test]
fn another_certificate_is_in_force_at_once_and_kept() {
    let mut bench = Bench::open();
    assert_eq!(bench.admin("GET", "/-/admin/tls", "", "").status, 404);
    let (one, other) = (pem("one.test"), pem("other.test"));
    for text in [&one, &other] {
        let reply = bench.admin("PUT", "/-/admin/tls", "", text);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(
            reply.text().contains(&fingerprint(text)),
            "{}",
            reply.text()
        );
        let reply = bench.admin("GET", "/-/admin/tls", "", "");
        assert!(
            reply.text().contains(&fingerprint(text)),
            "{}",
            reply.text()
        );
    }
    // The key is nowhere to be read: the appliance's own bucket has no path, and what is in it is
    // in no backup.
    bench.put("/kv/b/k", "", "what is looked for is found");
    let backup = bench.admin("GET", "/-/admin/backup", "", "");
    let has = |needle: &[u8]| backup.body.windows(needle.len()).any(|part| part == needle);
    assert!(has(b"what is looked for is found"));
    assert!(!has(b"PRIVATE KEY") && !has(b"BEGIN CERTIFICATE"));
    for bucket in ["system", "!system", "%21system"] {
        let value = bench.get(&format!("/kv/{bucket}/tls.pem"));
        assert!(value.status >= 400, "{bucket}");
        let list = bench.get(&format!("/-/keys/{bucket}"));
        assert!(!list.text().contains("tls.pem"), "{bucket}");
    }
}

#[test]
fn what_is_no_certificate_changes_nothing() {
    let mut bench = Bench::open();
    let (one, other) = (pem("one.test"), pem("other.test"));
    bench.admin("PUT", "/-/admin/tls", "", &one);
    let key_at = one.find("-----BEGIN PRIVATE KEY").expect("a key");
    let mixed = [
        &other[..other.find("-----BEGIN PRIVATE").expect("a key")],
        &one[key_at..],
    ]
    .concat();
    for (text, why) in [
        ("", "BEGIN CERTIFICATE"),
        ("hello", "BEGIN CERTIFICATE"),
        (&one[..key_at], "P-256"),
        (&one[key_at..], "BEGIN CERTIFICATE"),
        (&mixed, "does not belong"),
    ] {
        let reply = bench.admin("PUT", "/-/admin/tls", "", text);
        assert_eq!(reply.status, 400, "{text}");
        assert!(reply.text().contains(why), "{text}: {}", reply.text());
    }
    let long = "x".repeat(40_000);
    assert_eq!(bench.admin("PUT", "/-/admin/tls", "", &long).status, 413);
    let told = bench.admin("GET", "/-/admin/tls", "", "");
    assert!(told.text().contains(&fingerprint(&one)));
    bench.service.note_certificate_set();
    assert_eq!(bench.admin("PUT", "/-/admin/tls", "", &other).status, 409);
}

#[test]
fn a_certificate_that_could_not_be_kept_is_not_shown() {
    let mut bench = Bench::open();
    let (one, other) = (pem("one.test"), pem("other.test"));
    bench.admin("PUT", "/-/admin/tls", "", &one);
    bench.be(Mood::WritesFail);
    let refused = bench.admin("PUT", "/-/admin/tls", "", &other);
    let told = (refused.status, refused.problem());
    assert_eq!(told, (500, "write-outcome-unknown"));
    assert!(refused.text().contains("after it either may be"));
    let told = bench.admin("GET", "/-/admin/tls", "", "");
    assert!(told.text().contains(&fingerprint(&one)), "{}", told.text());
}

#[test]
fn a_certificate_comes_into_force_though_nobody_waits_for_it() {
    let mut bench = Bench::open();
    bench.plane = Plane::Admin;
    let texts = [pem("one.test"), pem("other.test")];
    let clients = texts.each_ref().map(|text| {
        let mut client = bench.client();
        client.say(crate::harness::put("/-/admin/tls", "", text.as_bytes()));
        client.step(&mut bench);
        client
    });
    assert!(!bench.service.has_certificate(), "they are being written");
    drop(clients);
    for _ in 0..1_000 {
        bench.service.step_store(bench.now);
        bench.pass(1_000_000);
    }
    bench.plane = Plane::Data;
    let shown = bench.admin("GET", "/-/admin/tls", "", "");
    assert!(
        shown.text().contains(&fingerprint(&texts[1])),
        "the later one"
    );
}
