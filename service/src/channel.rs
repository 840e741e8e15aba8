//! Whether who listens on the way can read what a connection says.

/// How a connection's bytes are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// As they are (`http.port`, `admin.port`).
    Plain,
    /// In TLS (`https.port`).
    Secure,
}
