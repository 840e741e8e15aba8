//! How a backend can misbehave.

use core::fmt;
use xen::ring::BadProducer;

/// What the backend did that it cannot do; nothing it says is believed after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendFault {
    /// Its producer index cannot be true.
    Producer(BadProducer),
    /// It answered a request we did not make, or answered one twice.
    UnknownId(u64),
    /// It answered another operation than the one requested.
    WrongOperation(u8),
    /// It says data lies outside of the page.
    OutsidePage {
        /// Where it says the data begins.
        offset: u16,
        /// How long it says it is.
        len: u16,
    },
    /// It used a feature we did not negotiate (`NETRXF_*` flags).
    NotNegotiated(u16),
    /// A node it published makes no sense.
    BadNode(&'static str),
}

impl From<BadProducer> for BackendFault {
    fn from(bad: BadProducer) -> Self {
        BackendFault::Producer(bad)
    }
}

impl fmt::Display for BackendFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackendFault::Producer(bad) => write!(f, "its ring {bad}"),
            BackendFault::UnknownId(id) => {
                write!(f, "it answered request {id:#x}, which is not in flight")
            }
            BackendFault::WrongOperation(operation) => {
                write!(f, "it answered operation {operation}, which was not asked")
            }
            BackendFault::OutsidePage { offset, len } => {
                write!(f, "it put {len} bytes at offset {offset} of a page")
            }
            BackendFault::NotNegotiated(flags) => {
                write!(f, "it used flags {flags:#x}, which were not negotiated")
            }
            BackendFault::BadNode(node) => write!(f, "its node {node} makes no sense"),
        }
    }
}

impl core::error::Error for BackendFault {}
