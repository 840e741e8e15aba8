//! The log: a bounded ring of lines that the main loop drains into the console.
//!
//! Logging never waits and never allocates. What does not fit is dropped and
//! counted, and the count is said once there is room again.

use crate::syslog;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};
use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;

const RING_BYTES: usize = 16 * 1024;

/// The target of what nobody but the console may know.
pub(crate) const CONSOLE_ONLY: &str = "console-only";

static RING: Mutex<Ring> = Mutex::new(Ring::EMPTY);
static NOW_NS: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

struct Logger;

struct Ring {
    bytes: [u8; RING_BYTES],
    /// Free-running.
    written: usize,
    /// Free-running.
    read: usize,
    /// Drops since last said.
    unsaid: u64,
    early: Option<fn(u8)>,
}

impl Ring {
    const EMPTY: Ring = Ring {
        bytes: [0; RING_BYTES],
        written: 0,
        read: 0,
        unsaid: 0,
        early: None,
    };

    fn room(&self) -> usize {
        RING_BYTES - (self.written - self.read)
    }

    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes[self.written % RING_BYTES] = *byte;
            self.written += 1;
        }
    }

    /// The oldest bytes, as far as they lie in one piece.
    fn front(&self) -> &[u8] {
        let start = self.read % RING_BYTES;
        let len = (self.written - self.read).min(RING_BYTES - start);
        &self.bytes[start..start + len]
    }
}

/// A line of bounded length.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.len;
        let taken = text.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

/// Starts logging, with nothing said yet; each byte also goes to `early` until [`end_early`].
pub fn start(early: fn(u8)) {
    static LOGGER: Logger = Logger;
    let mut ring = RING.lock();
    (ring.written, ring.read, ring.unsaid) = (0, 0, 0);
    ring.early = Some(early);
    drop(ring);
    syslog::start();
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// The console has taken over.
pub fn end_early() {
    RING.lock().early = None;
}

/// The time that lines from now on carry.
pub fn set_now(now_ns: u64) {
    NOW_NS.store(now_ns, Ordering::Relaxed);
}

/// The time of the current step.
pub fn now_ns() -> u64 {
    NOW_NS.load(Ordering::Relaxed)
}

/// Lines dropped since boot.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Offers what waits to `write`, which says how many bytes it took.
pub fn drain(write: impl Fn(&[u8]) -> usize) {
    let mut ring = RING.lock();
    loop {
        let front = ring.front();
        if front.is_empty() {
            return;
        }
        let taken = write(front);
        ring.read += taken;
        if taken == 0 {
            return;
        }
    }
}

/// What waits, without waiting for the lock: for the last words only.
pub fn drain_after_panic(write: &mut dyn FnMut(&[u8])) {
    let Some(mut ring) = RING.try_lock() else {
        return;
    };
    while !ring.front().is_empty() {
        let len = ring.front().len();
        write(ring.front());
        ring.read += len;
    }
}

/// The last lines, at most so many bytes, whether they were written elsewhere or not; without
/// waiting for the lock.
pub fn tail_after_panic(bytes_max: usize, write: &mut dyn FnMut(&[u8])) {
    let Some(ring) = RING.try_lock() else {
        return;
    };
    let len = ring.written.min(RING_BYTES).min(bytes_max);
    let start = (ring.written - len) % RING_BYTES;
    let first = len.min(RING_BYTES - start);
    write(&ring.bytes[start..start + first]);
    write(&ring.bytes[..len - first]);
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        syslog::keep(now_ns(), record);
        if record.target() == service::SYSLOG_TARGET {
            return;
        }
        let mut line = Line {
            bytes: [0; 512],
            len: 0,
        };
        let us = now_ns() / 1000;
        let (level, message) = (record.level(), record.args());
        // A line never fails to take what fits.
        let _ = write!(
            line,
            "[{:5}.{:06}] {level:5} ",
            us / 1_000_000,
            us % 1_000_000
        );
        let head = line.len;
        let _ = write!(line, "{message}");
        for byte in &mut line.bytes[head..line.len] {
            // What came from outside may not move the reader's cursor.
            if byte.is_ascii_control() {
                *byte = b'?';
            }
        }
        line.bytes[line.len] = b'\n';
        line.len += 1;
        // A line for each request would else leave no room for those that say what is wrong.
        let reserve = match record.target() {
            service::ACCESS_TARGET => RING_BYTES / 2,
            _ => 0,
        };
        keep(&line.bytes[..line.len], reserve);
    }

    fn flush(&self) {}
}

/// Keeps a line if there is room for it and for so many bytes more.
fn keep(line: &[u8], reserve: usize) {
    let mut ring = RING.lock();
    if let Some(early) = ring.early {
        line.iter().copied().for_each(early);
    }
    if ring.unsaid > 0 && ring.room() >= line.len() + 64 {
        let mut note = Line {
            bytes: [0; 512],
            len: 0,
        };
        let _ = writeln!(note, "[ {} log lines dropped ]", ring.unsaid);
        ring.put(&note.bytes[..note.len]);
        ring.unsaid = 0;
    }
    if ring.room() < line.len() + reserve {
        ring.unsaid += 1;
        DROPPED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    ring.put(line);
}
