//! `/-/admin/scrub`: all that is on the disk is read and checked.

use crate::harness::{self, Bench, SECOND_NS, noise};
use crate::replies::Reply;

fn ask(bench: &mut Bench, method: &str) -> Reply {
    bench.admin(method, "/-/admin/scrub", "", "")
}

/// Goes on until it is through.
fn finished(bench: &mut Bench) -> String {
    for _ in 0..100 {
        bench.pass(SECOND_NS);
        for _ in 0..100 {
            bench.service.step_store(bench.now);
        }
        let status = ask(bench, "GET");
        assert_eq!(status.status, 200, "{status:?}");
        if status.text().contains("\"running\":false") {
            return status.text().to_owned();
        }
    }
    panic!("it never ends: {:?}", ask(bench, "GET"));
}

#[test]
fn it_begins_tells_how_far_it_is_and_what_it_found() {
    let mut bench = Bench::sized(harness::open(), 16 << 20);
    let value = noise(30_000);
    bench.put("/kv/b/good", "", noise(20_000));
    bench.put("/kv/b/bad", "", &value);
    let none = "{\"running\":false,\"begun_ms\":0,\"ended_ms\":0,\
                \"all_bytes\":0,\"checked_bytes\":0,\"findings\":0,\"complete\":false}\n";
    assert_eq!(ask(&mut bench, "GET").text(), none);
    let begun = ask(&mut bench, "POST");
    assert_eq!(begun.status, 202);
    assert!(begun.text().starts_with("{\"running\":true,"), "{begun:?}");
    let again = ask(&mut bench, "POST");
    assert_eq!((again.status, again.problem()), (503, "store-busy"));
    let status = finished(&mut bench);
    assert!(
        status.ends_with("\"findings\":0,\"complete\":true}\n"),
        "{status}"
    );
    assert_eq!(bench.damage(&value[..64], 16 << 20), 1);
    assert_eq!(ask(&mut bench, "POST").status, 202);
    let status = finished(&mut bench);
    assert!(
        status.ends_with("\"findings\":1,\"complete\":true}\n"),
        "{status}"
    );
    let metrics = bench.get("/metrics");
    let counted = "lampion_store_corruptions_total 1\n";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}

#[test]
fn methods_and_bodies_that_do_not_belong() {
    let mut bench = Bench::open();
    let wrong = ask(&mut bench, "DELETE");
    assert_eq!(
        (wrong.status, wrong.the("Allow")),
        (405, "GET, HEAD, POST, OPTIONS")
    );
    let body = bench.admin("POST", "/-/admin/scrub", "", "x");
    assert_eq!((body.status, body.problem()), (400, "unexpected-body"));
    let query = bench.admin("POST", "/-/admin/scrub?x=1", "", "");
    assert_eq!((query.status, query.problem()), (400, "bad-parameter"));
}
