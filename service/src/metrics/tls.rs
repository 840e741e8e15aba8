//! What `/metrics` tells of TLS.

use super::one;
use crate::service::Service;
use alloc::string::String;

/// Sessions, and who waits for one.
pub(super) fn sessions(out: &mut String, service: &Service) {
    let counters = &service.counters;
    one(
        out,
        "tls_sessions_total counter Handshakes of TLS that were completed.",
        counters.tls_sessions,
    );
    one(
        out,
        "tls_failures_total counter Sessions of TLS that failed: no TLS, no common cipher, a certificate that is not trusted, a changed record.",
        counters.tls_failures,
    );
    let (sessions, sessions_max) = service.sessions();
    one(
        out,
        "tls_connections gauge Connections in TLS.",
        sessions.into(),
    );
    one(
        out,
        "tls_connections_max gauge Connections in TLS that there is memory for.",
        sessions_max.into(),
    );
    one(
        out,
        "tls_waiting gauge Connections that wait for one of those to end.",
        service.sessions_wanted().into(),
    );
    one(
        out,
        "tls_waits_total counter Connections that had to wait for one of those to end.",
        counters.tls_waits,
    );
}
