//! A guest whose n-th allocation is refused; `tests/sim/starved.rs` runs it, for every n.
//!
//! `starve first-boot|recovery N`: on standard output comes one byte that says which values were
//! acknowledged (bit 0 is the first), and what the disk holds then; where the guest lives on, both
//! once more at its end. It is a process of its own, because no less than the process ends where
//! memory does. The exit code is 3 if there were not so many allocations.

#![forbid(unsafe_code)]

use sim::machine::World;
use std::io::{Write, stdout};
use std::process::{ExitCode, abort};
use std::sync::atomic::{AtomicU8, Ordering};
use tests::simulated::{
    Cut, Options, Simulation, is_refusal_due, put_all, put_each, refuse_nth, until_ready,
};

/// The smallest there may be.
const DISK_BYTES: u64 = 8 << 20;
/// There were not so many allocations.
const NOT_SO_MANY: u8 = 3;

/// Which values were acknowledged.
static ACKNOWLEDGED: AtomicU8 = AtomicU8::new(0);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let n = arguments.get(1).and_then(|word| word.parse().ok());
    let mut simulation = match (arguments.first().map(String::as_str), n) {
        (Some("first-boot"), Some(n)) => {
            refuse_nth(n, tell);
            Simulation::begin(options())
        }
        (Some("recovery"), Some(n)) => recovery(n),
        _ => {
            eprintln!("starve: which life, and N are needed; tests/sim/starved.rs gives them");
            return ExitCode::from(2);
        }
    };
    until_ready(&mut simulation);
    put_each(&mut simulation, acknowledge);
    if is_refusal_due() {
        return ExitCode::from(NOT_SO_MANY);
    }
    // It lived on: whatever it had no memory for, it has now.
    assert_eq!(put_all(&mut simulation), [true; 3]);
    ACKNOWLEDGED.store(0b111, Ordering::Relaxed);
    simulation.world(tell);
    ExitCode::SUCCESS
}

fn options() -> Options {
    Options {
        interleaving: 0,
        disk_bytes: Some(DISK_BYTES),
        ..Options::new(3)
    }
}

/// On what a killed guest left.
fn recovery(n: u64) -> Simulation {
    let mut simulation = Simulation::begin(options());
    until_ready(&mut simulation);
    put_each(&mut simulation, acknowledge);
    refuse_nth(n, tell);
    simulation.restart(Cut::Power);
    simulation
}

fn acknowledge(number: usize) {
    ACKNOWLEDGED.fetch_or(1 << number, Ordering::Relaxed);
}

/// Says what was acknowledged, and what the disk holds now.
fn tell(world: &mut World) {
    let (_, disk) = world.vbd.as_ref().expect("a disk");
    let acknowledged = [ACKNOWLEDGED.load(Ordering::Relaxed)];
    let mut out = stdout().lock();
    let told = out
        .write_all(&acknowledged)
        .and_then(|()| out.write_all(&disk.image()))
        .and_then(|()| out.flush());
    if told.is_err() {
        // Nobody looks at it any more.
        abort();
    }
}
