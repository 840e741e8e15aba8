//! The daemon, seen from its clients.
