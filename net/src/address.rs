//! How the interface gets its address.

use core::net::Ipv4Addr;

/// An IPv4 address and its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Cidr {
    /// The address.
    pub address: Ipv4Addr,
    /// 0 to 32.
    pub prefix_len: u8,
}

impl Ipv4Cidr {
    /// The network's mask, as a number.
    fn mask(self) -> u32 {
        u32::MAX
            .checked_shl(32 - u32::from(self.prefix_len.min(32)))
            .unwrap_or(0)
    }

    /// Whether `other` is on the same link.
    pub(crate) fn contains(self, other: Ipv4Addr) -> bool {
        (u32::from(self.address) ^ u32::from(other)) & self.mask() == 0
    }

    /// Whether `other` is this network's broadcast address.
    pub(crate) fn is_broadcast(self, other: Ipv4Addr) -> bool {
        self.prefix_len < 31 && self.contains(other) && u32::from(other) | self.mask() == u32::MAX
    }
}

impl core::fmt::Display for Ipv4Cidr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

/// As configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressConfig {
    /// Ask a DHCP server, and keep asking.
    Dhcp,
    /// As written.
    Static {
        /// Ours.
        address: Ipv4Cidr,
        /// The default router.
        gateway: Option<Ipv4Addr>,
    },
}

/// The address in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Ours.
    pub address: Ipv4Cidr,
    /// The default router.
    pub gateway: Option<Ipv4Addr>,
    /// The first name server.
    pub dns: Option<Ipv4Addr>,
}
