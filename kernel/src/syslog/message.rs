//! A line as RFC 5424 wants it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use log::Level;
use store::Now;

/// Most bytes of a line that are sent: with the header, what fits into a packet of 1,500.
pub(super) const MESSAGE_BYTES_MAX: usize = 1_340;
/// RFC 5424, 6.2.1: the facility of daemons, and the one that nginx and others give requests.
const DAEMON: u8 = 3;
const LOCAL7: u8 = 23;
const APP_NAME: &str = "lampion";

/// A line that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// When it was said, monotonic.
    pub(super) ns: u64,
    /// As `log::Level` counts.
    pub(super) level: u8,
    pub(super) is_access: bool,
    pub(super) message: &'a [u8],
}

/// Appends the message.
pub(super) fn write(out: &mut Vec<u8>, line: Line<'_>, hostname: &str, now: Now) {
    let (facility, id) = match line.is_access {
        true => (LOCAL7, "access"),
        false => (DAEMON, "-"),
    };
    let priority = facility * 8 + severity(line.level);
    let ago_ns = now.monotonic_ns.saturating_sub(line.ns);
    let mut head = String::new();
    let _ = write!(head, "<{priority}>1 ");
    write_time(&mut head, now.wall_ns.saturating_sub(ago_ns));
    let _ = write!(head, " {hostname} {APP_NAME} - {id} - ");
    out.extend_from_slice(head.as_bytes());
    // What came from outside may not end the line on the server's side.
    let clean = |byte: &u8| if byte.is_ascii_control() { b'?' } else { *byte };
    out.extend(line.message.iter().map(clean));
}

/// RFC 5424, 6.2.1, table 2.
fn severity(level: u8) -> u8 {
    match level {
        level if level == Level::Error as u8 => 3,
        level if level == Level::Warn as u8 => 4,
        level if level == Level::Info as u8 => 6,
        _ => 7,
    }
}

/// RFC 3339, in UTC, to the microsecond.
fn write_time(out: &mut String, wall_ns: u64) {
    let (seconds, ns) = (wall_ns / 1_000_000_000, wall_ns % 1_000_000_000);
    let (year, month, day) = service::civil_date(seconds / 86_400);
    let second = seconds % 86_400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let us = ns / 1_000;
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{us:06}Z"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_priority_its_time_and_stays_a_line() {
        let now = Now {
            monotonic_ns: 5_000_000_000,
            wall_ns: 1_795_054_405_000_000_000,
        };
        let line = Line {
            ns: 1_500_000_000,
            level: Level::Warn as u8,
            is_access: false,
            message: b"disk: 95 % full\n<13>1 forged",
        };
        let mut out = Vec::new();
        write(&mut out, line, "lampion-2", now);
        assert_eq!(
            core::str::from_utf8(&out),
            Ok(
                "<28>1 2026-11-19T02:13:21.500000Z lampion-2 lampion - - - disk: 95 % full?<13>1 forged"
            )
        );
        let line = Line {
            level: Level::Info as u8,
            is_access: true,
            ..line
        };
        out.clear();
        write(&mut out, line, "h", now);
        let expected = b"<190>1 2026-11-19T02:13:21.500000Z h lampion - access - disk";
        assert!(
            out.starts_with(expected),
            "{}",
            String::from_utf8_lossy(&out)
        );
    }

    #[test]
    fn the_longest_line_fits_into_a_packet_of_a_usual_link() {
        let line = Line {
            ns: 0,
            level: 5,
            is_access: true,
            message: &[b'x'; MESSAGE_BYTES_MAX],
        };
        let now = Now {
            monotonic_ns: 0,
            wall_ns: u64::MAX,
        };
        let mut out = Vec::new();
        write(&mut out, line, &"h".repeat(63), now);
        assert!(out.len() <= 1_500 - 28, "{}", out.len());
    }
}
