//! A main loop that is stuck: the domain is ended, and says afterwards where it was.
//!
//! The image that stands still is wrong on purpose (`xtask/src/wrong.rs`).

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

/// As the kernel is told.
const WATCHDOG: &str = "watchdog=15";
/// The bed is slow.
const ENDED_BY: Duration = Duration::from_secs(120);

/// How it ended, once it has.
fn end(guest: &Guest) -> String {
    let begun = Instant::now();
    loop {
        let state = guest.state();
        if state.starts_with("gone") {
            return state.trim().to_owned();
        }
        assert!(begun.elapsed() < ENDED_BY, "{}", guest.console());
        thread::sleep(Duration::from_millis(200));
    }
}

/// The functions that last words name.
fn functions(last_words: &str) -> String {
    let variable = |name| std::env::var(name).expect("`cargo xtask test` says it");
    let place = std::env::temp_dir().join(format!("lampion-words-{}", std::process::id()));
    fs::write(&place, last_words).expect("a file can be written");
    let mut symbolize = Command::new(variable("LAMPION_XTASK"));
    let symbols = variable("LAMPION_WRONG_SYMBOLS");
    symbolize
        .args(["symbolize", "--symbols", &symbols])
        .arg(&place);
    let output = symbolize.output().expect("xtask runs");
    fs::remove_file(&place).expect("it is ours");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_loop_that_stands_still_is_ended_and_says_where() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "still", DISK_BYTES);
    let mut recipe = Recipe::on_disk(&disk);
    recipe.kernel = "/payload/wrong".into();
    recipe.command_line = format!("{} {WATCHDOG}", recipe.command_line);
    let guest = Guest::serving(&bed, "still", &recipe);
    guest.wait_for_console("stands still for 15 s ends the domain, and says where it stands");
    assert_eq!(guest.request("PUT", "/kv/w/k", b"kept").status, 201);
    // It goes on by itself for longer than that, and sleeps most of it.
    thread::sleep(Duration::from_secs(18));
    assert_eq!(guest.request("GET", "/kv/w/k", b"").body, b"kept");

    guest.type_line("status");
    let begun = Instant::now();
    // The emulation has no such reason.
    let reason = if bed.is_xen {
        "gone watchdog"
    } else {
        "gone crash"
    };
    assert_eq!(end(&guest), reason, "{}", guest.console());
    // It was fed within a quarter of that before, and the hypervisor waits 12 s longer.
    let took_s = begun.elapsed().as_secs();
    assert!((10..26).contains(&took_s), "{took_s} s");
    drop(guest);

    let guest = Guest::serving(&bed, "still", &recipe);
    assert_eq!(guest.request("GET", "/kv/w/k", b"").body, b"kept");
    let crashes = guest.ask_admin("GET", "/-/admin/crash", b"").text();
    let words = crashes.replace("\\n", "\n");
    let words = words.split('"').find(|text| text.starts_with("PANIC"));
    let words = words.unwrap_or_else(|| panic!("no last words in {crashes}"));
    let still_ms = words.split("has not turned for ").nth(1);
    let still_ms = still_ms.and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(matches!(still_ms, Some(14_000..18_000)), "{words}");
    let functions = functions(words);
    assert!(functions.contains("log_status"), "{functions}");
    println!("{functions}");
}
