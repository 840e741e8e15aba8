//! Plays seeds one after the other, and says how to see one again that fails.

/// Says how to see it again when a seed fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("replay it: cargo xtask sim --seed {}", self.0);
        }
    }
}

/// A number that `cargo xtask sim` gives, or what the tests take.
fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Plays as many seeds as `cargo xtask sim` says, or `count`.
pub(crate) fn each(count: u64, play: fn(u64)) {
    let first = number("LAMPION_SIM_FIRST", 0);
    for seed in first..first + number("LAMPION_SIM_COUNT", count) {
        let replay = Replay(seed);
        play(seed);
        drop(replay);
    }
}
