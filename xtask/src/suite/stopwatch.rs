//! Says behind each test that ran long how long it took: where a run's minutes go.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// What takes less is not worth a word.
const WORTH_SAYING: Duration = Duration::from_secs(5);

/// Passes lines on. It is for tests that run one behind the other: each took as long as its line
/// came after the line before.
#[derive(Debug)]
pub(super) struct Stopwatch<W> {
    screen: W,
    last: Instant,
}

impl<W: Write> Stopwatch<W> {
    pub(super) fn new(screen: W) -> Stopwatch<W> {
        Stopwatch {
            screen,
            last: Instant::now(),
        }
    }

    fn line(&mut self, line: &[u8], took: Duration) -> io::Result<()> {
        let end = line.strip_suffix(b"\n").unwrap_or(line);
        let is_verdict = end.starts_with(b"test ")
            && (end.ends_with(b" ... ok") || end.ends_with(b" ... FAILED"));
        match is_verdict && took >= WORTH_SAYING {
            true => {
                self.screen.write_all(end)?;
                writeln!(self.screen, ", {} s", took.as_secs())
            }
            false => self.screen.write_all(line),
        }
    }
}

impl<W: Write> Write for Stopwatch<W> {
    /// Takes whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let now = Instant::now();
        let took = now.duration_since(self.last);
        self.last = now;
        self.line(line, took)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.screen.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::Stopwatch;
    use std::time::Duration;

    #[test]
    fn only_a_verdict_that_took_long_is_told_its_time() {
        let mut screen = Vec::new();
        let mut watch = Stopwatch::new(&mut screen);
        let (long, brief) = (Duration::from_millis(61_900), Duration::from_secs(1));
        for (line, took) in [
            ("running 2 tests\n", long),
            ("test a ... ok\n", brief),
            ("test b::c ... ok\n", long),
            ("test d ... FAILED\n", long),
            ("a line without an end", long),
        ] {
            watch.line(line.as_bytes(), took).expect("into memory");
        }
        let shown = "running 2 tests\ntest a ... ok\ntest b::c ... ok, 61 s\n\
            test d ... FAILED, 61 s\na line without an end";
        assert_eq!(String::from_utf8(screen).expect("text"), shown);
    }
}
