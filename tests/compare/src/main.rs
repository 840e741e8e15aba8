//! `compare ENGINE WORK SIZE TIMES PLACE`: the store's work, done by it or by another engine.
//!
//! Whoever counts runs it twice, and divides the difference by the difference in `TIMES`. At the
//! end it says how many bytes it wrote. `PLACE` is an empty directory; of redis its socket.

#![deny(unsafe_code)]

mod lampion;
mod lmdb;
mod redb;
mod redis;

use rlsf::SmallGlobalTlsf;
use std::path::Path;
use std::process::ExitCode;

/// As in the image: two-level segregated fit. What is C allocates for itself.
#[global_allocator]
static HEAP: SmallGlobalTlsf = SmallGlobalTlsf::new();

/// 16 bytes, in no order.
type Key = [u8; 16];
/// The rest of a payload of 80 bytes.
type Value = [u8; 64];

/// Puts that become durable together while an engine is filled.
const TOGETHER: usize = 500;

/// Whoever keeps keys and values.
trait Engine {
    /// Makes them durable, all at once.
    fn commit(&mut self, puts: &[(Key, Value)]);
    /// The value of a key that is there.
    fn get(&mut self, key: &Key) -> Value;
    /// Ends, and opens again what is on the disk.
    fn open_again(&mut self);
    /// Bytes written so far.
    fn written_bytes(&mut self) -> u64;
}

/// The key of a number.
fn key(number: usize) -> Key {
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    *format!("{mixed:016x}")
        .as_bytes()
        .first_chunk()
        .expect("16 digits")
}

fn value(number: usize) -> Value {
    std::array::from_fn(|at| (number + at * 7) as u8)
}

/// Puts `count` keys from `from` on, so many at once.
fn fill(engine: &mut dyn Engine, (from, count): (usize, usize), together: usize) {
    let numbers: Vec<usize> = (from..from + count).collect();
    for numbers in numbers.chunks(together) {
        let puts: Vec<(Key, Value)> = numbers
            .iter()
            .map(|number| (key(*number), value(*number)))
            .collect();
        engine.commit(&puts);
    }
}

/// Does the work; false if it is none.
fn work(engine: &mut dyn Engine, name: &str, size: usize, times: usize) -> bool {
    fill(engine, (0, size), TOGETHER);
    match name {
        "put-1" => fill(engine, (size, times), 1),
        "put-16" => fill(engine, (size, times), 16),
        "put-50" => fill(engine, (size, times), 50),
        "get" => {
            for at in 0..times {
                let number = at % size;
                assert_eq!(engine.get(&key(number)), value(number), "what was put");
            }
        }
        "open" => (0..times).for_each(|_| engine.open_again()),
        _ => return false,
    }
    true
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, what, size, times, place] = &words[..] else {
        eprintln!("usage: compare ENGINE WORK SIZE TIMES PLACE");
        return ExitCode::from(2);
    };
    let place = Path::new(place);
    let mut engine: Box<dyn Engine> = match name.as_str() {
        "lampion" => Box::new(lampion::Lampion::new()),
        "lmdb" => Box::new(lmdb::Lmdb::new(place)),
        "redb" => Box::new(redb::Redb::new(place)),
        "redis" => Box::new(redis::Redis::new(place)),
        _ => {
            eprintln!("ENGINE is one of: lampion, lmdb, redb, redis");
            return ExitCode::from(2);
        }
    };
    let (Ok(size), Ok(times)) = (size.parse(), times.parse()) else {
        eprintln!("SIZE and TIMES are numbers");
        return ExitCode::from(2);
    };
    if !work(&mut *engine, what, size, times) {
        eprintln!("WORK is one of: put-1, put-16, put-50, get, open");
        return ExitCode::from(2);
    }
    println!("written {}", engine.written_bytes());
    ExitCode::SUCCESS
}

/// Bytes that this process has handed to the system for writing.
fn handed_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").expect("Linux tells");
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok())
        .expect("a number of characters written")
}
