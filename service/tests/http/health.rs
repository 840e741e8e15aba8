//! `/healthz`, `/readyz`, `/metrics`, and the pages behind problems.

use crate::harness::{self, Bench, Mood};
use service::{Environment, MetricsSource};
use store::{BucketName, QuotaLimits};

#[test]
fn while_the_store_opens() {
    let mut bench = Bench::opening(harness::open(), 64 << 20);
    bench.be(Mood::Stuck);
    assert_eq!(bench.get("/healthz").text(), "ok\n");
    let ready = bench.get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(
        ready
            .text()
            .starts_with("ready: no\nreads: no\nwrites: no\nwhy: "),
        "{}",
        ready.text()
    );
    for reply in [
        bench.get("/kv/b/k"),
        bench.get("/"),
        bench.put("/kv/b/k", "", "x"),
    ] {
        assert_eq!((reply.status, reply.problem()), (503, "store-opening"));
        assert_eq!(reply.the("Retry-After"), "1");
    }
    bench.be(Mood::Good);
    for _ in 0..10_000 {
        bench.service.step_store(bench.now);
    }
    assert_eq!(bench.get("/readyz").status, 200);
}

#[test]
fn ready() {
    let mut bench = Bench::open();
    for query in ["", "?for=read", "?for=write"] {
        let reply = bench.get(&format!("/readyz{query}"));
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.text(),
            "ready: yes\nreads: yes\nwrites: yes\ndurability: flush\n"
        );
    }
    for query in ["?for=fun", "?x=1"] {
        assert_eq!(bench.get(&format!("/readyz{query}")).status, 400);
    }
    let environment = Environment {
        note: Some("in memory\nonly".into()),
        ..Environment::default()
    };
    bench.service.set_environment(environment);
    assert!(
        bench
            .get("/readyz")
            .text()
            .ends_with("note: in memory only\n")
    );
}

struct Lines;

impl MetricsSource for Lines {
    fn append(&self, out: &mut String) {
        out.push_str("# TYPE lampion_events_total counter\nlampion_events_total 5");
    }
}

#[test]
fn metrics_are_well_formed() {
    let mut config = harness::open();
    config.set("metrics", "open").expect("a mode");
    let mut bench = Bench::new(config);
    bench.service.set_environment(Environment {
        version: "1.0\"\\\n".into(),
        commit: "abc".into(),
        metrics: Some(Box::new(Lines)),
        ..Environment::default()
    });
    bench.put("/kv/b/k", "", "x");
    bench.get("/kv/b/none");
    let reply = bench.get("/metrics");
    assert_eq!(
        reply.the("Content-Type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = reply.text();
    assert!(text.ends_with("lampion_events_total 5\n"));
    for needed in [
        "lampion_build_info{version=\"1.0\\\"\\\\\\n\",commit=\"abc\"} 1\n",
        "lampion_uptime_seconds 5\n",
        "lampion_http_requests_total{code=\"201\"} 1\n",
        "lampion_http_requests_total{code=\"404\"} 1\n",
        "lampion_http_refused_total{reason=\"no-such-key\"} 1\n",
        "lampion_store_keys 1\n",
        "lampion_store_writable 1\n",
        "lampion_store_durable 1\n",
    ] {
        assert!(text.contains(needed), "{needed}: {text}");
    }
    let mut described = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            described = rest.split(' ').next().expect("a name").into();
            let counter = rest.ends_with(" counter");
            assert_eq!(counter, described.ends_with("_total"), "{line}");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            assert_eq!(name.split('{').next(), Some(described.as_str()), "{line}");
            assert!(value.parse::<u64>().is_ok(), "{line}");
            assert!(name.starts_with("lampion_"));
        }
    }
}

#[test]
fn a_limit_that_is_near_is_in_the_metrics_and_one_that_is_reached_is_said() {
    let mut config = harness::open();
    config.set("metrics", "open").expect("a mode");
    let mut bench = Bench::new(config);
    let bucket = BucketName::new("b").expect("a name");
    let limits = QuotaLimits { bytes: 10, keys: 2 };
    let store = bench.service.store_mut();
    store.set_quota(bucket, limits).expect("accepted");
    bench.put("/kv/b/k", "", "1234567");
    let near = "lampion_store_warning_percent{limit=\"quota\",bucket=\"b\"} 80\n";
    let text = bench.get("/metrics").text().to_owned();
    assert!(text.contains(near), "{text}");
    bench.put("/kv/b/l", "", "");
    let refused = bench.put("/kv/b/m", "", "");
    assert_eq!((refused.status, refused.problem()), (507, "no-space-quota"));
    let said = refused.text().to_owned();
    assert!(
        said.contains("2 of 2 keys") && said.contains("\"limit_keys\":2"),
        "{said}"
    );
}

#[test]
fn every_problem_has_a_page() {
    let mut bench = Bench::open();
    let problem = bench.get("/kv/b/none").problem().to_owned();
    let page = bench.get(&format!("/-/problems/{problem}"));
    assert_eq!(
        (page.status, page.the("Content-Type")),
        (200, "text/plain; charset=utf-8")
    );
    assert_eq!(bench.get("/-/problems/none").status, 404);
}
