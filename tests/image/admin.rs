//! The admin port as its owner sees it: a snapshot, a rollback and its undoing, a quota.

use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

fn value(guest: &Guest, target: &str) -> String {
    let answer = guest.request("GET", target, b"");
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer.text()
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn the_owner_goes_back_and_forth_and_sets_a_limit() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "admin", DISK_BYTES);
    let guest = Guest::serving(&bed, "admin", &Recipe::on_disk(&disk));
    assert_eq!(guest.request("PUT", "/kv/b/k", b"then").status, 201);
    let taken = guest.ask_admin("PUT", "/-/admin/snapshots/monday", b"");
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_eq!(guest.request("PUT", "/kv/b/k", b"now").status, 204);
    assert_eq!(value(&guest, "/kv/b/k"), "now");
    assert_eq!(value(&guest, "/kv/b/k?at=monday"), "then");
    let rolled = guest.ask_admin("POST", "/-/admin/snapshots/monday/rollback", b"");
    assert_eq!(rolled.status, 200, "{}", rolled.text());
    assert_eq!(value(&guest, "/kv/b/k"), "then");
    guest.destroy();

    let guest = Guest::serving(&bed, "admin", &Recipe::on_disk(&disk));
    assert_eq!(value(&guest, "/kv/b/k"), "then");
    let text = rolled.text();
    let (_, undo) = text.split_once("\"undo\":\"").expect("a name");
    let undo = undo.split('"').next().expect("a name");
    let target = format!("/-/admin/snapshots/{undo}/rollback");
    let undone = guest.ask_admin("POST", &target, b"");
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(value(&guest, "/kv/b/k"), "now");
    let quota = guest.ask_admin("PUT", "/-/admin/buckets/b", b"{\"quota_keys\":1}");
    assert_eq!(quota.status, 200, "{}", quota.text());
    let refused = guest.request("PUT", "/kv/b/l", b"x");
    let text = refused.text();
    assert!(
        refused.status == 507 && text.contains("\"limit_keys\":1"),
        "{text}"
    );
    assert_eq!(guest.request("GET", "/-/admin/buckets", b"").status, 404);
    assert_eq!(guest.ask_admin("GET", "/kv/b/k", b"").status, 404);
}
