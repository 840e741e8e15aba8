//! The site: pages of `www`, directories, the welcome page.

use crate::harness::{self, Bench, noise};

fn bench() -> Bench {
    let mut bench = Bench::open();
    for (key, lines, body) in [
        ("index.html", "", "home"),
        ("style.css", "", "css"),
        ("docs/index.html", "", "docs"),
        ("docs/a%20b.txt", "", "text"),
        (
            "form",
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "form",
        ),
        (
            "typed",
            "Content-Type: text/x-typed\r\nCache-Control: max-age=9\r\n",
            "typed",
        ),
        ("dir/page.html", "", "page"),
    ] {
        assert_eq!(
            bench.put(&format!("/kv/www/{key}"), lines, body).status,
            201
        );
    }
    bench
}

#[test]
fn pages_and_types() {
    let mut bench = bench();
    for (target, body, media) in [
        ("/", "home", "text/html; charset=utf-8"),
        ("/?utm=1&x", "home", "text/html; charset=utf-8"),
        ("/index.html", "home", "text/html; charset=utf-8"),
        ("/style.css?v=2", "css", "text/css; charset=utf-8"),
        ("/docs/", "docs", "text/html; charset=utf-8"),
        ("/docs/a%20b.txt", "text", "text/plain; charset=utf-8"),
        ("/%64ocs/", "docs", "text/html; charset=utf-8"),
        ("/form", "form", "application/octet-stream"),
        ("/typed", "typed", "text/x-typed"),
    ] {
        let reply = bench.get(target);
        assert_eq!((reply.status, reply.text()), (200, body), "{target}");
        assert_eq!(reply.the("Content-Type"), media, "{target}");
        assert_eq!(reply.field("Content-Security-Policy"), None);
        let tag = format!("If-None-Match: {}\r\n", reply.the("ETag"));
        assert_eq!(bench.with("GET", target, &tag).status, 304);
        assert_eq!(
            bench.with("GET", target, "Range: bytes=0-0\r\n").status,
            206
        );
        let head = bench.with("HEAD", target, "");
        assert_eq!(head.fields, reply.fields);
    }
    assert_eq!(bench.get("/typed").the("Cache-Control"), "max-age=9");
}

#[test]
fn directories_redirect_to_themselves() {
    let mut bench = bench();
    for (target, location) in [
        ("/docs", "/docs/"),
        ("/docs?a=b", "/docs/?a=b"),
        ("/d%6Fcs", "/d%6Fcs/"),
        ("http://h/docs", "/docs/"),
    ] {
        let reply = bench.get(target);
        assert_eq!(
            (reply.status, reply.the("Location")),
            (308, location),
            "{target}"
        );
    }
    assert_eq!(bench.get("/dir").status, 404, "a directory without a page");
    assert_eq!(bench.get("/dir/").status, 404);
}

#[test]
fn paths_a_file_system_would_resolve_are_refused() {
    let mut bench = bench();
    for target in [
        "//evil.example/",
        "/docs//a",
        "/./docs/",
        "/docs/..",
        "/docs/../index.html",
        "/%2e%2e/x",
        "/docs/%2e",
        "/docs%2f%2fa",
        "/%2Fevil.example",
        "/a%00b",
        "/a%5cb",
        "/a\\b",
        "/a%",
        "/%6bv/b/k",
        "/%2d/buckets",
    ] {
        let reply = bench.get(target);
        assert_eq!(
            (reply.status, reply.problem()),
            (400, "bad-path"),
            "{target}"
        );
    }
    for target in ["/...", "/docs/..a", "/a%2525", "/kvx"] {
        assert_eq!(bench.get(target).status, 404, "{target}");
    }
}

#[test]
fn what_is_missing_has_a_page_if_the_site_has_one() {
    let mut bench = bench();
    let reply = bench.get("/missing");
    assert_eq!((reply.status, reply.problem()), (404, "no-such-path"));
    let own = noise(100_000);
    bench.put("/kv/www/404.html", "", &own);
    let reply = bench.with(
        "GET",
        "/missing",
        "Range: bytes=0-0\r\nIf-None-Match: *\r\n",
    );
    assert_eq!(reply.status, 404);
    assert!(reply.body == own);
    assert_eq!(reply.the("Content-Type"), "text/html; charset=utf-8");
    assert_eq!(bench.get("/404.html").status, 200);
}

#[test]
fn a_new_appliance_welcomes() {
    let mut bench = Bench::new(harness::with_tokens());
    let reply = bench.ask("GET / HTTP/1.1\r\nHost: 10.0.0.2:8080\r\n\r\n");
    assert_eq!(
        (reply.status, reply.the("Content-Type")),
        (200, "text/html; charset=utf-8")
    );
    let text = reply.text();
    assert_eq!(text.matches("http://10.0.0.2:8080/kv/").count(), 3);
    for needed in [
        "<html lang=\"en\">",
        "viewport",
        "prefers-color-scheme",
        "/healthz",
        "/metrics",
        "xenstore-read",
    ] {
        assert!(text.contains(needed), "{needed}");
    }
    for unwanted in ["{{", "<script", "src=", "//cdn", "url("] {
        assert!(!text.contains(unwanted), "{unwanted}");
    }
    let strange = bench.ask("GET / HTTP/1.1\r\nHost: h'$(x)&\r\n\r\n");
    assert!(strange.text().contains("http://ADDRESS/kv/") && !strange.text().contains("$(x)"));
    assert_eq!(bench.get("/other").status, 404);
    let token = format!("Authorization: Bearer {}\r\n", harness::TOKEN);
    bench.put("/kv/www/index.html", &token, "mine");
    assert_eq!(bench.get("/").text(), "mine");
    bench.with("DELETE", "/kv/www/index.html", &token);
    assert_eq!(
        bench.get("/").text().len(),
        text.len() - 3 * ("10.0.0.2:8080".len() - 1)
    );
}

#[test]
fn hosts_can_have_buckets_of_their_own() {
    let mut config = harness::open();
    config.set("site.shop.example", "shop").expect("a site");
    let mut bench = Bench::new(config);
    bench.put("/kv/www/index.html", "", "www");
    bench.put("/kv/shop/index.html", "", "shop");
    for (host, body) in [
        ("shop.example", "shop"),
        ("SHOP.example:81", "shop"),
        ("other", "www"),
        ("", "www"),
    ] {
        let reply = bench.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(reply.text(), body, "{host}");
    }
    let absolute = bench.ask("GET http://shop.example/ HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(absolute.text(), "shop");
}
