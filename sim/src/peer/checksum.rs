//! The Internet checksum.
//!
//! Source: RFC 1071; RFC 9293, 3.1 (the pseudo-header).

use std::net::Ipv4Addr;

/// Over bytes that contain a right checksum it is 0.
pub(super) fn of(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// As `of`, with the pseudo-header before the bytes.
pub(super) fn of_payload(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, bytes: &[u8]) -> u16 {
    let pseudo = sum(&from.octets()) + sum(&to.octets()) + u64::from(protocol);
    !fold(pseudo + bytes.len() as u64 + sum(bytes))
}

fn sum(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| {
        let low = pair.get(1).copied().unwrap_or(0);
        u64::from(u16::from_be_bytes([pair[0], low]))
    };
    bytes.chunks(2).map(word).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_holds() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(of(&bytes), !0xddf2);
        assert_eq!(of(&[0x12]), !0x1200);
    }
}
