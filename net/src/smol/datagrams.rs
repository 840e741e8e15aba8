//! Datagrams out, by UDP; none come in.
//!
//! smoltcp asks for the neighbour that a datagram goes by, and holds what waits
//! for the answer.
//!
//! Source: RFC 768; RFC 1122, 3.3.1.

use super::control::Control;
use crate::demux;
use crate::stack::{DatagramError, Endpoint};
use alloc::vec;
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};

/// Bytes of an IPv4 header without options, and of UDP's.
pub(super) const HEADERS_BYTES: usize = 20 + 8;
/// Where they come from: RFC 6335, 6, the first port that no service has.
const PORT: u16 = 49_152;
/// So many wait, of so many bytes together.
const WAITING_MAX: usize = 32;
const WAITING_BYTES_MAX: usize = 16 * 1024;

impl Control {
    /// Queues a datagram whose payload may have so many bytes.
    pub(super) fn send_datagram(
        &mut self,
        to: Endpoint,
        payload: &[u8],
        bytes_max: usize,
    ) -> Result<(), DatagramError> {
        let lease = self.lease.filter(|_| self.interface.is_some());
        let lease = lease.ok_or(DatagramError::Away)?;
        let router = lease
            .gateway
            .filter(|router| lease.address.contains(*router));
        let is_near = lease.address.contains(*to.ip());
        let is_somewhere = demux::is_unicast(*to.ip()) && to.port() != 0;
        if !is_somewhere || (!is_near && router.is_none()) {
            return Err(DatagramError::NoRoute);
        }
        if payload.len() > bytes_max {
            return Err(DatagramError::TooLong);
        }
        let set = &mut self.set;
        let handle = *self.datagrams.get_or_insert_with(|| set.add(socket()));
        let socket = set.get_mut::<Socket<'_>>(handle);
        let queued = socket.send_slice(payload, (*to.ip(), to.port()));
        queued.map_err(|_| DatagramError::Full)?;
        self.due = Some(0);
        Ok(())
    }

    /// Whether some wait.
    pub(super) fn has_datagrams(&self) -> bool {
        let waiting = |handle| self.set.get::<Socket<'_>>(handle).send_queue() > 0;
        self.datagrams.is_some_and(waiting)
    }
}

/// Memory is taken by those who send.
fn socket() -> Socket<'static> {
    let buffer =
        |count, bytes| PacketBuffer::new(vec![PacketMetadata::EMPTY; count], vec![0; bytes]);
    let mut socket = Socket::new(buffer(0, 0), buffer(WAITING_MAX, WAITING_BYTES_MAX));
    let bound = socket.bind(PORT);
    bound.expect("it is no one's port, and the socket is new");
    socket
}
