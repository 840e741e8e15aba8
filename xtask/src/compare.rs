//! `cargo xtask compare`: the same work by the store, and by what a user would run instead.
//!
//! Each piece of work is done so often and twice as often, and the difference divided. What is
//! counted are instructions of the program itself: not those of the system for it, so that a
//! write or a flush costs nobody any. Of redis the server's are counted, its TCP and protocol
//! included.

mod redis;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bed::command;
use crate::bed::counter::{Counter, collected};
use crate::build;
use redis::Redis;

/// What `cargo xtask compare` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only engines whose name contains this.
    filter: Option<String>,
}

/// Bytes of a key and a value.
const PAYLOAD_BYTES: f64 = 80.0;
const ENGINES: [&str; 4] = ["lampion", "redis", "lmdb", "redb"];

/// A piece of work.
struct Work {
    name: &'static str,
    what: &'static str,
    size: u64,
    times: u64,
    /// In how many parts the figure is given.
    parts: u64,
    /// Whether it writes.
    writes: bool,
}

const fn puts(name: &'static str, what: &'static str) -> Work {
    Work {
        name,
        what,
        size: 10_000,
        times: 4_000,
        parts: 1,
        writes: true,
    }
}

const WORKS: [Work; 5] = [
    puts("put-1", "durable put, each for itself"),
    puts("put-16", "durable put, 16 at once"),
    puts("put-50", "durable put, 50 at once"),
    Work {
        name: "get",
        what: "get, of 10,000 keys",
        size: 10_000,
        times: 10_000,
        parts: 1,
        writes: false,
    },
    Work {
        name: "open",
        what: "record of what is opened",
        size: 100_000,
        times: 1,
        parts: 100_000,
        writes: false,
    },
];

/// Does all of it, and prints the figures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let engines = ENGINES.iter().filter(|engine| engine.contains(filter));
    let engines: Vec<&str> = engines.copied().collect();
    let known = ENGINES.join(", ");
    ensure!(
        !engines.is_empty(),
        "no engine is called {filter:?}: there is {known}"
    );
    let counter = Counter::open()?;
    let checkout = crate::checkout();
    let mut cargo = build::cargo(&checkout);
    cargo.args(["build", "--release", "-p", "compare"]);
    command::visible(&mut cargo)?;
    let bench = Bench {
        counter,
        program: checkout.join("target/release/compare"),
        place: checkout.join("target/compare"),
    };
    for work in &WORKS {
        println!("{}: {}", work.name, work.what);
        for engine in &engines {
            println!("  {engine:8} {}", bench.figures(engine, work)?);
        }
    }
    Ok(())
}

struct Bench {
    counter: Counter,
    program: PathBuf,
    /// Where engines keep their files.
    place: PathBuf,
}

impl Bench {
    fn figures(&self, engine: &str, work: &Work) -> Result<String> {
        let once = self.once(engine, work, work.times)?;
        let twice = self.once(engine, work, 2 * work.times)?;
        let more = |once: u64, twice: u64| {
            let more = twice.checked_sub(once);
            more.with_context(|| format!("{engine}: twice {} is less than once", work.name))
        };
        let each = more(once.instructions, twice.instructions)? / work.times / work.parts;
        let written = more(once.written_bytes, twice.written_bytes)? as f64;
        let ratio = written / work.times as f64 / PAYLOAD_BYTES;
        Ok(match work.writes {
            true => format!("{each:8} instructions, {ratio:6.2} bytes written for each of payload"),
            false => format!("{each:8} instructions"),
        })
    }

    /// All of one run.
    fn once(&self, engine: &str, work: &Work, times: u64) -> Result<Once> {
        if self.place.exists() {
            fs::remove_dir_all(&self.place)?;
        }
        fs::create_dir_all(&self.place)?;
        if engine == "redis" {
            let redis = Redis::begin(&self.counter, &self.place)?;
            let said = command::output(&mut self.client(engine, work, times, redis.socket()))?;
            let instructions = redis.end()?;
            return Once::new(instructions, &said);
        }
        let program = self.client(engine, work, times, &self.place);
        let said = command::output(&mut self.counter.command(&program, None))?;
        Once::new(collected(&said)?, &said)
    }

    fn client(&self, engine: &str, work: &Work, times: u64, place: &Path) -> Command {
        let mut command = Command::new(&self.program);
        let (size, times) = (work.size.to_string(), times.to_string());
        command.args([engine, work.name, &size, &times]).arg(place);
        command
    }
}

/// The figures of one run.
struct Once {
    instructions: u64,
    written_bytes: u64,
}

impl Once {
    fn new(instructions: u64, said: &str) -> Result<Once> {
        let line = said.lines().find_map(|line| line.strip_prefix("written "));
        let written = line.and_then(|number| number.trim().parse().ok());
        Ok(Once {
            instructions,
            written_bytes: written
                .with_context(|| format!("what was written is not said:\n{said}"))?,
        })
    }
}
