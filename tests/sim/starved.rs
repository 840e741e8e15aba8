//! The n-th allocation of the guest's heap is refused, for every n.
//!
//! A guest without memory ends there: that is said, and what it leaves on the disk is opened by
//! the next one, with all that was acknowledged. Where it can do without, it lives on.
//!
//! Source: SQLite's out-of-memory tests ("How SQLite Is Tested", 3.1).

use sim::disk::Disk;
use sim::random::Random;
use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tests::simulated::{Options, Simulation, check_all, put_all, until_ready};

/// Length of the guest's disk.
const DISK_BYTES: usize = 8 << 20;
/// What the guest says where memory ends.
const LAST_WORDS: &str = "memory allocation of";

/// How the lives of one sweep ended.
#[derive(Default)]
struct Ends {
    ended: u64,
    lived_on: u64,
    left: BTreeSet<u64>,
}

fn starve(life: &str, n: u64) -> Output {
    let program = env!("CARGO_BIN_EXE_starve");
    let mut starved = Command::new(program);
    starved
        .args([life, &n.to_string()])
        .env("RUST_BACKTRACE", "0");
    let output = starved.output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// The next guest, on what the starved one left.
fn succeeds(left: &[u8]) {
    let (acknowledged, image) = left.split_first().expect("it told what it left");
    let acknowledged: Vec<bool> = (0..3).map(|bit| acknowledged >> bit & 1 == 1).collect();
    let disk = Disk::from_image(image.to_vec(), Random::new(1));
    let mut simulation = Simulation::begin_on(Options::new(4), disk);
    until_ready(&mut simulation);
    check_all(&mut simulation, &acknowledged);
    assert_eq!(
        put_all(&mut simulation),
        [true; 3],
        "{}",
        simulation.console()
    );
}

impl Ends {
    /// One starved life; `false` if it made fewer allocations.
    fn look(&mut self, life: &str, n: u64) -> bool {
        let output = starve(life, n);
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(3) => return false,
            Some(0) => self.lived_on += 1,
            None if said.contains(LAST_WORDS) => self.ended += 1,
            _ => panic!("{life}, allocation {n}: {:?}:\n{said}", output.status),
        }
        let told = output.stdout;
        let last = told.len().checked_sub(1 + DISK_BYTES);
        let left = &told[last.expect("it told what it left")..];
        let mut hasher = DefaultHasher::new();
        left.hash(&mut hasher);
        if self.left.insert(hasher.finish()) {
            succeeds(left);
        }
        true
    }
}

/// Every n, on as many cores as there are.
fn sweep(life: &str) {
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let ends: Vec<Ends> = thread::scope(|scope| {
        let run = || {
            let mut ends = Ends::default();
            while ends.look(life, next.fetch_add(1, Ordering::Relaxed)) {}
            ends
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.map(|ends| ends.expect("as was said")).collect()
    });
    let sum = |count: fn(&Ends) -> u64| ends.iter().map(count).sum::<u64>();
    let left: BTreeSet<u64> = ends.iter().flat_map(|ends| ends.left.clone()).collect();
    let (ended, lived_on) = (sum(|ends| ends.ended), sum(|ends| ends.lived_on));
    println!(
        "{life}: {} allocations refused, one after another: {ended} were the end, {lived_on} were \
         done without; {} different disks were left",
        ended + lived_on,
        left.len()
    );
    assert!(ended > 100);
}

#[test]
fn any_allocation_may_be_refused_from_the_first_boot_on() {
    sweep("first-boot");
}

#[test]
fn any_allocation_may_be_refused_in_a_recovery() {
    sweep("recovery");
}
