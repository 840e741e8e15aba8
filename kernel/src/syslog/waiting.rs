//! Lines that wait to be sent, in a bounded ring that the logger fills.
//!
//! Whether there is a server is known only when the settings have been read:
//! what is said until then waits.
//!
//! # Invariants
//!
//! - The ring holds whole records: a header and the message's bytes.

use super::message::{Line, MESSAGE_BYTES_MAX};
use crate::logger::CONSOLE_ONLY;
use core::fmt::{self, Write};
use log::{Level, Record};
use service::{ACCESS_TARGET, SYSLOG_TARGET};
use spin::Mutex;

const RING_BYTES: usize = 32 * 1024;
/// When it was said (ns), its level, whether it is of the access log, and its message's bytes.
const HEADER_BYTES: usize = 8 + 1 + 1 + 2;
/// Lines of the access log leave so much room to those that say what is wrong.
const RESERVED_BYTES: usize = RING_BYTES / 2;

static WAITING: Mutex<Waiting> = Mutex::new(Waiting::EMPTY);

struct Waiting {
    bytes: [u8; RING_BYTES],
    /// Free-running.
    written: usize,
    /// Free-running.
    read: usize,
    /// There is no server.
    is_off: bool,
    lost: u64,
    /// Those of them that were not told of yet.
    untold: u64,
    sent: u64,
}

/// A message of bounded length.
struct Message {
    bytes: [u8; MESSAGE_BYTES_MAX],
    len: usize,
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = text.floor_char_boundary(MESSAGE_BYTES_MAX - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

impl Message {
    const EMPTY: Message = Message {
        bytes: [0; MESSAGE_BYTES_MAX],
        len: 0,
    };
}

impl Waiting {
    const EMPTY: Waiting = Waiting {
        bytes: [0; RING_BYTES],
        written: 0,
        read: 0,
        is_off: false,
        lost: 0,
        untold: 0,
        sent: 0,
    };

    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes[self.written % RING_BYTES] = *byte;
            self.written += 1;
        }
    }

    /// Bytes at so many behind the oldest record's beginning.
    fn at<const LEN: usize>(&self, offset: usize) -> [u8; LEN] {
        core::array::from_fn(|nth| self.bytes[(self.read + offset + nth) % RING_BYTES])
    }

    fn len_of_oldest(&self) -> usize {
        usize::from(u16::from_le_bytes(self.at(10)))
    }

    fn keep(&mut self, ns: u64, level: Level, is_access: bool, message: &[u8]) {
        let need = HEADER_BYTES + message.len();
        let reserved = if is_access { RESERVED_BYTES } else { 0 };
        if self.written - self.read + need + reserved > RING_BYTES {
            self.lost += 1;
            self.untold += 1;
            return;
        }
        self.put(&ns.to_le_bytes());
        self.put(&[level as u8, u8::from(is_access)]);
        // A message is far shorter than what two bytes can say.
        self.put(&(message.len() as u16).to_le_bytes());
        self.put(message);
    }

    /// Says how many lines were lost, once all that waited are sent.
    fn tell_of_lost(&mut self, ns: u64) {
        if self.untold == 0 || self.written != self.read {
            return;
        }
        let mut message = Message::EMPTY;
        let _ = write!(message, "syslog: {} lines were lost here", self.untold);
        self.untold = 0;
        self.keep(ns, Level::Warn, false, &message.bytes[..message.len]);
    }

    fn oldest<'a>(&self, message: &'a mut Message) -> Option<Line<'a>> {
        if self.written == self.read {
            return None;
        }
        message.len = self.len_of_oldest();
        for (nth, byte) in message.bytes[..message.len].iter_mut().enumerate() {
            *byte = self.bytes[(self.read + HEADER_BYTES + nth) % RING_BYTES];
        }
        let [level, is_access] = self.at(8);
        Some(Line {
            ns: u64::from_le_bytes(self.at(0)),
            level,
            is_access: is_access != 0,
            message: &message.bytes[..message.len],
        })
    }

    fn remove_oldest(&mut self) {
        self.read += HEADER_BYTES + self.len_of_oldest();
        self.sent += 1;
    }
}

/// Keeps what was said, unless it is known that there is no server.
pub(crate) fn keep(ns: u64, record: &Record<'_>) {
    if WAITING.lock().is_off || record.target() == CONSOLE_ONLY {
        return;
    }
    let is_access = [ACCESS_TARGET, SYSLOG_TARGET].contains(&record.target());
    let mut message = Message::EMPTY;
    // A message never fails to take what fits. What is shown here may log, and so want the lock.
    let _ = write!(message, "{}", record.args());
    let mut waiting = WAITING.lock();
    waiting.tell_of_lost(ns);
    waiting.keep(ns, record.level(), is_access, &message.bytes[..message.len]);
}

/// Whether there is a server; if not, nothing waits from now on.
pub(crate) fn decide(has_server: bool) {
    let mut waiting = WAITING.lock();
    waiting.is_off = !has_server;
    if waiting.is_off {
        (waiting.read, waiting.untold, waiting.lost) = (waiting.written, 0, 0);
    }
}

/// Begins anew, as at boot.
pub(crate) fn start() {
    let mut waiting = WAITING.lock();
    (waiting.written, waiting.read, waiting.is_off) = (0, 0, false);
    (waiting.lost, waiting.untold, waiting.sent) = (0, 0, 0);
}

/// Shows the oldest line; whether there is one.
pub(super) fn oldest(show: impl FnOnce(Line<'_>)) -> bool {
    let mut message = Message::EMPTY;
    // Whoever is shown it may log, and so want the lock.
    let oldest = WAITING.lock().oldest(&mut message);
    oldest.map(show).is_some()
}

/// The oldest line has been sent.
pub(super) fn remove_oldest() {
    WAITING.lock().remove_oldest();
}

pub(super) fn is_empty() -> bool {
    let waiting = WAITING.lock();
    waiting.written == waiting.read
}

/// Lines sent since boot.
pub(crate) fn sent() -> u64 {
    WAITING.lock().sent
}

/// Lines since boot that found no room to wait.
pub(crate) fn lost() -> u64 {
    WAITING.lock().lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use alloc::vec;

    #[test]
    fn lines_come_out_as_they_went_in_round_and_round() {
        let mut waiting = Box::new(Waiting::EMPTY);
        let mut message = Message::EMPTY;
        for nth in 0..1_000usize {
            let text = vec![nth as u8; nth % (MESSAGE_BYTES_MAX + 1)];
            waiting.keep(nth as u64, Level::Info, nth % 2 == 0, &text);
            let line = waiting.oldest(&mut message).expect("it waits");
            assert_eq!((line.ns, line.level), (nth as u64, Level::Info as u8));
            assert_eq!((line.is_access, line.message), (nth % 2 == 0, &text[..]));
            waiting.remove_oldest();
            assert!(waiting.oldest(&mut message).is_none());
        }
        assert_eq!((waiting.sent, waiting.lost), (1_000, 0));
    }

    #[test]
    fn requests_leave_room_to_what_is_wrong() {
        let mut waiting = Box::new(Waiting::EMPTY);
        let keep = |waiting: &mut Waiting, is_access| {
            let before = waiting.lost;
            waiting.keep(0, Level::Info, is_access, &[b'x'; 500]);
            waiting.lost == before
        };
        let requests = (0..100).filter(|_| keep(&mut waiting, true)).count();
        let others = (0..100).filter(|_| keep(&mut waiting, false)).count();
        assert_eq!((requests, others), (32, 32));
        assert_eq!((waiting.lost, waiting.untold), (136, 136));
        let mut message = Message::EMPTY;
        while waiting.oldest(&mut message).is_some() {
            waiting.remove_oldest();
        }
        waiting.tell_of_lost(1);
        waiting.tell_of_lost(2);
        let told = waiting.oldest(&mut message).expect("it is told");
        assert_eq!(told.message, b"syslog: 136 lines were lost here");
        waiting.remove_oldest();
        assert!(waiting.oldest(&mut message).is_none(), "once");
    }
}
