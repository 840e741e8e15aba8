//! Plays seeds of the simulated appliance; `cargo xtask sim` runs it.
//!
//! `play FIRST COUNT STRIDE [TRACE]`: COUNT seeds from FIRST on, STRIDE apart. A line on standard
//! output says what they came to. The first that fails ends it, with the exit code of its kind
//! (10 crash, 11 liveness, 12 correctness); TRACE is a file for what happened in it.

#![forbid(unsafe_code)]

use sim::trace::Trace;
use std::fs;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::play::{Kind, Played, play};

/// The seed that is being played, for a panic to tell.
static SEED: AtomicU64 = AtomicU64::new(0);
/// What has happened in it, and where to write that.
static TRACE: Mutex<Option<(Trace, String)>> = Mutex::new(None);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers = arguments.iter().map_while(|word| word.parse().ok());
    let &[first, count, stride] = &numbers.take(3).collect::<Vec<u64>>()[..] else {
        eprintln!("play: FIRST, COUNT and STRIDE are needed; `cargo xtask sim` gives them");
        return ExitCode::from(2);
    };
    let path = arguments.get(3).cloned();
    std::panic::set_hook(Box::new(|panic| {
        fail(Kind::Crash, &panic.to_string());
        std::process::exit(Kind::Crash.exit_code().into());
    }));
    let mut sum = Played::default();
    for seed in (first..)
        .step_by(stride.max(1) as usize)
        .take(count as usize)
    {
        SEED.store(seed, Ordering::Relaxed);
        let trace = path.as_ref().map_or(Trace::default(), |_| Trace::kept());
        if let (Some(path), Ok(mut kept)) = (&path, TRACE.lock()) {
            *kept = Some((trace.clone(), path.clone()));
        }
        match play(seed, trace) {
            Ok(played) => {
                sum.steps += played.steps;
                sum.simulated_ns += played.simulated_ns;
                sum.checks += played.checks;
            }
            Err(failure) => {
                fail(failure.kind, &failure.what);
                return ExitCode::from(failure.kind.exit_code());
            }
        }
    }
    let Played {
        steps,
        simulated_ns,
        checks,
    } = sum;
    println!(
        "played {count} {steps} {simulated_ns} {checks} {}",
        cpu_ns()
    );
    ExitCode::SUCCESS
}

/// Says what is wrong with which seed, and writes down what happened in it.
fn fail(kind: Kind, what: &str) {
    let seed = SEED.load(Ordering::Relaxed);
    eprintln!("seed {seed}: {kind:?}: {what}");
    // A panic may have come in the middle of it.
    let Ok(kept) = TRACE.try_lock() else { return };
    if let Some((trace, path)) = &*kept {
        let written = fs::write(path, trace.lines().join("\n"));
        match written {
            Ok(()) => eprintln!("what happened in it: {path}"),
            Err(error) => eprintln!("{path}: {error}"),
        }
    }
}

/// CPU time of this process, where the system tells it.
fn cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|ns| ns.parse().ok()).unwrap_or(0)
}
