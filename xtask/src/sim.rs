//! `cargo xtask sim`: the appliance in a simulated world, by seed.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bed::command;
use crate::{build, mutants};

/// What `cargo xtask sim` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Replays this seed alone, and writes down what happens in it.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds are played, from the first one on.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Plants known bugs, or the one of this name, and shows that each is found.
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    mutants: Option<Option<String>>,
    /// Crashes the store at every point of new workloads, for so many minutes.
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "60")]
    hunt: Option<u32>,
}

/// Plays the seeds, on every core. The first that fails ends it: it is played once more with a
/// trace, and the exit code tells its kind (10 crash, 11 liveness, 12 correctness).
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(name) = &arguments.mutants {
        return mutants::run(name.as_deref());
    }
    if let Some(minutes) = arguments.hunt {
        return hunt(minutes);
    }
    let player = player()?;
    if let Some(seed) = arguments.seed {
        return replay(&player, seed);
    }
    let began = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let workers = cores.min(arguments.seeds.max(1));
    let mut children = Vec::new();
    for worker in 0..workers {
        let count = (arguments.seeds + workers - 1 - worker) / workers;
        children.push(Worker::start(
            &player,
            arguments.first + worker,
            count,
            workers,
        )?);
    }
    match finish(children)? {
        Ending::Failed(seed) => {
            replay(&player, seed)?;
            bail!(
                "seed {seed} failed beside others and passes alone: one seed is not one run; look \
                 at what was said above, and for state that outlives a seed"
            )
        }
        Ending::Played(sum) => {
            sum.report(began.elapsed());
            Ok(())
        }
    }
}

/// Runs the explorer of the store's crashes for as long as is asked for.
fn hunt(minutes: u32) -> Result<()> {
    let mut cargo = build::cargo(&crate::checkout());
    cargo.args([
        "test",
        "--profile",
        "sim",
        "-p",
        "tests",
        "--test",
        "crash",
        "--",
    ]);
    cargo.args(["--ignored", "--exact", "hunt::hunt", "--nocapture"]);
    cargo.env("LAMPION_CRASH_MINUTES", minutes.to_string());
    command::visible(&mut cargo)
}

/// Builds the program that plays, with the profile that is fast and observes.
fn player() -> Result<PathBuf> {
    let mut cargo = build::cargo(&crate::checkout());
    cargo.args(["build", "--profile", "sim", "-p", "tests", "--bin", "play"]);
    command::visible(&mut cargo)?;
    Ok(crate::checkout().join("target/sim/play"))
}

/// Plays one seed with a trace; whatever comes of it ends this program.
fn replay(player: &PathBuf, seed: u64) -> Result<()> {
    let directory = crate::checkout().join("target/sim-traces");
    fs::create_dir_all(&directory)?;
    let trace = directory.join(format!("seed-{seed}.txt"));
    println!("replay it: cargo xtask sim --seed {seed}");
    let numbers = [seed, 1, 1].map(|number| number.to_string());
    let status = Command::new(player).args(numbers).arg(&trace).status()?;
    if status.success() {
        println!("seed {seed} passes");
        return Ok(());
    }
    if let Ok(text) = fs::read_to_string(&trace) {
        let lines: Vec<&str> = text.lines().collect();
        println!("its last events:");
        lines
            .iter()
            .skip(lines.len().saturating_sub(40))
            .for_each(|line| println!("{line}"));
    }
    std::process::exit(status.code().unwrap_or(1));
}

/// One process of several.
struct Worker {
    child: Child,
}

/// How all of them ended.
enum Ending {
    Played(Sum),
    Failed(u64),
}

/// What they came to.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    steps: u64,
    simulated_ns: u64,
    checks: u64,
    cpu_ns: u64,
}

impl Worker {
    fn start(player: &PathBuf, first: u64, count: u64, stride: u64) -> Result<Worker> {
        let numbers = [first, count, stride].map(|number| number.to_string());
        let mut command = Command::new(player);
        command
            .args(numbers)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().context("the player could not be started")?;
        Ok(Worker { child })
    }
}

/// Waits for all; the first failure stops the others.
fn finish(mut workers: Vec<Worker>) -> Result<Ending> {
    let mut sum = Sum::default();
    while !workers.is_empty() {
        std::thread::sleep(Duration::from_millis(20));
        let ended = workers
            .iter_mut()
            .position(|worker| !matches!(worker.child.try_wait(), Ok(None)));
        let Some(at) = ended else { continue };
        let output = workers.swap_remove(at).child.wait_with_output()?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        if output.status.success() {
            sum.add(&out)?;
            continue;
        }
        for worker in &mut workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
        eprint!("{err}");
        let seed = err
            .lines()
            .find_map(|line| line.strip_prefix("seed ")?.split(':').next()?.parse().ok());
        return Ok(Ending::Failed(
            seed.context("the player did not say which seed failed")?,
        ));
    }
    Ok(Ending::Played(sum))
}

impl Sum {
    fn add(&mut self, out: &str) -> Result<()> {
        let words = out.lines().find_map(|line| line.strip_prefix("played "));
        let numbers = words
            .unwrap_or_default()
            .split(' ')
            .map_while(|word| word.parse::<u64>().ok());
        let [seeds, steps, simulated_ns, checks, cpu_ns] = numbers.collect::<Vec<_>>()[..] else {
            bail!("the player said `{out}`");
        };
        self.seeds += seeds;
        self.steps += steps;
        self.simulated_ns += simulated_ns;
        self.checks += checks;
        self.cpu_ns += cpu_ns;
        Ok(())
    }

    fn report(&self, took: Duration) {
        let minutes = took.as_secs_f64() / 60.0;
        let hours = self.simulated_ns as f64 / 3.6e12;
        let cpu_hours = self.cpu_ns as f64 / 3.6e12;
        println!(
            "{} seeds passed: {:.0} a minute, {:.2} simulated hours at {:.0} an hour of CPU, {} \
             states checked, {} steps of guests",
            self.seeds,
            self.seeds as f64 / minutes,
            hours,
            hours / cpu_hours,
            self.checks,
            self.steps
        );
    }
}
