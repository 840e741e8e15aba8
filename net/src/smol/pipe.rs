//! The device smoltcp sees: at most one packet in, at most one out.
//!
//! A packet in is the received frame itself; a packet out is built in the
//! stack's one frame buffer and sent from there. Nothing is allocated.

use alloc::vec;
use smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken,
};
use smoltcp::time::Instant;

/// Bytes of an Ethernet header.
pub(crate) const HEADER_BYTES: usize = 14;

/// One exchange with smoltcp.
pub(crate) struct Pipe<'a> {
    input: Option<&'a [u8]>,
    output: &'a mut [u8],
    output_bytes: usize,
    medium: Medium,
    mtu_bytes: usize,
}

impl<'a> Pipe<'a> {
    /// IP packets; `frame` is the frame buffer, whose header is left alone.
    pub(crate) fn ip(input: Option<&'a [u8]>, frame: &'a mut [u8]) -> Pipe<'a> {
        let output = &mut frame[HEADER_BYTES..];
        let mtu_bytes = output.len();
        Pipe {
            input,
            output,
            output_bytes: 0,
            medium: Medium::Ip,
            mtu_bytes,
        }
    }

    /// Ethernet frames.
    pub(crate) fn ethernet(input: Option<&'a [u8]>, frame: &'a mut [u8]) -> Pipe<'a> {
        let mtu_bytes = frame.len();
        Pipe {
            input,
            output: frame,
            output_bytes: 0,
            medium: Medium::Ethernet,
            mtu_bytes,
        }
    }

    /// Length of the packet that came out; 0 if none did.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output_bytes
    }
}

impl Device for Pipe<'_> {
    type RxToken<'b>
        = Incoming<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Outgoing<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let packet = self.input.take()?;
        let outgoing = Outgoing {
            buffer: self.output,
            output_bytes: &mut self.output_bytes,
        };
        Some((Incoming(packet), outgoing))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        if self.output_bytes > 0 {
            return None;
        }
        Some(Outgoing {
            buffer: self.output,
            output_bytes: &mut self.output_bytes,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = self.medium;
        capabilities.max_transmission_unit = self.mtu_bytes;
        if self.medium == Medium::Ip {
            // IPv4 and TCP were verified by `demux`; ICMP was not.
            capabilities.checksum = ChecksumCapabilities::default();
            capabilities.checksum.ipv4 = Checksum::Tx;
            capabilities.checksum.tcp = Checksum::Tx;
        }
        capabilities
    }
}

/// The packet in.
pub(crate) struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for the packet out.
pub(crate) struct Outgoing<'a> {
    buffer: &'a mut [u8],
    output_bytes: &'a mut usize,
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        match self.buffer.get_mut(..len) {
            Some(buffer) => {
                *self.output_bytes = len;
                f(buffer)
            }
            // Longer than the link carries: smoltcp drops such packets before it comes here.
            None => f(&mut vec![0; len]),
        }
    }
}
