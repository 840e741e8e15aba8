//! The access log: a line for each request that was answered or broken off, off by default.

mod kept;
mod line;

use crate::service::Service;
use alloc::string::String;
use kept::Kept;
pub(crate) use line::Line;
use store::{BucketName, Now};

/// The target of its lines among those of the log, which are to leave room for others.
pub const ACCESS_TARGET: &str = "access";
/// The same of those that the console does not tell.
pub const SYSLOG_TARGET: &str = "access-syslog";

/// Where the lines go (`log.access`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// There are none.
    #[default]
    Off,
    /// Among the lines of the console.
    Console,
    /// To the syslog server alone.
    Syslog,
    /// Into values of a bucket, the oldest of which make room for the newest.
    Bucket(BucketName),
}

/// The lines on their way.
#[derive(Debug, Default)]
pub(crate) struct Access {
    is_on: bool,
    /// Lines so far.
    pub(crate) lines: u64,
    /// Those of them that are nowhere, as there was no room for them.
    pub(crate) lost: u64,
    kept: Kept,
}

impl Access {
    /// Before the first line.
    pub(crate) fn new(log: &AccessLog) -> Access {
        Access {
            is_on: *log != AccessLog::Off,
            ..Access::default()
        }
    }

    /// Whether nothing waits that could be kept.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.kept.is_at_rest()
    }

    /// Bytes of lines that wait to be kept.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.kept.waiting_bytes()
    }
}

impl Service {
    /// Whether requests are told of.
    #[inline]
    pub(crate) fn logs_access(&self) -> bool {
        self.access.is_on
    }

    /// Tells of one.
    pub(crate) fn log_access(&mut self, line: &Line, now: Now) {
        let mut text = String::new();
        line.write(&mut text);
        self.access.lines += 1;
        match self.config.access_log {
            AccessLog::Off => {}
            AccessLog::Console => say(ACCESS_TARGET, format_args!("http: {}", text.trim_end())),
            AccessLog::Syslog => say(SYSLOG_TARGET, format_args!("{}", text.trim_end())),
            AccessLog::Bucket(_) => {
                if !self.access.kept.push(&text, now) {
                    self.access.lost += 1;
                    self.tell_of_lines("there are more than can be written");
                }
            }
        }
    }
}

/// Logs a line, whatever level the log has: who does not want them says `log.access=off`.
fn say(target: &str, line: core::fmt::Arguments<'_>) {
    let mut record = log::Record::builder();
    let record = record.level(log::Level::Info).target(target).args(line);
    log::logger().log(&record.build());
}
