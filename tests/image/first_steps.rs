//! What a person does first: look at the page, put a file, get it back.

use tests::bed::Bed;
use tests::data::Random;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn welcomes_a_stranger_and_keeps_a_file_over_a_kill() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "first", DISK_BYTES);
    let guest = Guest::serving(&bed, "first", &Recipe::on_disk(&disk));
    let welcome = guest.request("GET", "/", b"");
    assert_eq!(welcome.status, 200);
    assert!(
        welcome
            .field("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    assert!(welcome.text().contains("Lampion"), "{}", welcome.text());

    let file = Random::new(1).bytes(100_000);
    let put = guest.request("PUT", "/kv/docs/a", &file);
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(guest.request("GET", "/kv/docs/a", b"").body, file);
    guest.destroy();

    let guest = Guest::serving(&bed, "first", &Recipe::on_disk(&disk));
    let answer = guest.request("GET", "/kv/docs/a", b"");
    assert_eq!((answer.status, answer.body == file), (200, true));
    assert_eq!(
        answer.field("etag"),
        put.field("etag"),
        "the version is the same one"
    );
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_site_is_served_from_the_www_bucket() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "site", DISK_BYTES);
    let guest = Guest::serving(&bed, "site", &Recipe::on_disk(&disk));
    let page = b"<!doctype html><title>mine</title>";
    assert_eq!(guest.request("PUT", "/kv/www/index.html", page).status, 201);
    let answer = guest.request("GET", "/", b"");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &page[..]));
    assert_eq!(guest.request("GET", "/nothing/here", b"").status, 404);
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn the_token_is_made_once_and_asked_for() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "token", DISK_BYTES);
    let command_line = "ip=10.0.2.50/24 gw=10.0.2.2".to_owned();
    let recipe = Recipe {
        command_line,
        ..Recipe::on_disk(&disk)
    };
    let guest = Guest::serving(&bed, "token", &recipe);
    let token = read_token(&bed, &guest);
    let refused = guest.request("PUT", "/kv/docs/a", b"1");
    assert_eq!(refused.status, 401);
    assert!(refused.field("www-authenticate").is_some());
    let bearer = format!("Bearer {token}");
    let put = guest
        .client()
        .request_with("PUT", "/kv/docs/a", &[("Authorization", &bearer)], b"1");
    assert_eq!(put.expect("an answer").status, 201);
    guest.destroy();

    let guest = Guest::serving(&bed, "token", &recipe);
    let get = guest
        .client()
        .request_with("GET", "/kv/docs/a", &[("Authorization", &bearer)], b"");
    assert_eq!(
        get.expect("an answer").status,
        200,
        "the token is the same after a restart"
    );
}

/// As the console says: from xenstore where there is a dom0, else from the console itself.
fn read_token(bed: &Bed, guest: &Guest) -> String {
    let console = guest.wait_for_console("auth: ");
    if bed.is_xen {
        let (_, command) = console.split_once("by: ").expect("the console says how");
        let path = command.split_whitespace().nth(1).expect("a path to read");
        assert!(
            !console.contains("the token is"),
            "the value itself is not printed"
        );
        return bed
            .run(&format!("vm xenstore read {path}"))
            .trim()
            .to_owned();
    }
    let (_, token) = console
        .split_once("the token is ")
        .expect("the console prints it");
    token.split_whitespace().next().expect("a token").to_owned()
}
