//! ARP and DHCP: how we get an address and tell the link about it.
//!
//! These frames, and the few datagrams that we send, have an interface of their
//! own, of Ethernet. TCP never asks it for a neighbour: a connection answers to
//! where its segments come from, so smoltcp's neighbour cache (8 entries, one
//! question a second) limits nobody.

use super::clock;
use super::craft;
use super::pipe::Pipe;
use crate::address::{AddressConfig, Ipv4Cidr, Lease};
use crate::demux;
use alloc::boxed::Box;
use alloc::vec::Vec;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::time::Duration;
use smoltcp::wire::{DhcpOption, EthernetAddress, HardwareAddress, IpCidr};

/// Option 12 (RFC 2132 section 3.14).
const HOST_NAME: u8 = 12;
/// Announcements at each occasion (RFC 5227 section 1.1), and the time between them.
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_NS: u64 = 2_000_000_000;
/// When to say that no server answers, and when again.
const WARN_NS: u64 = 10_000_000_000;
const WARN_AGAIN_NS: u64 = 60_000_000_000;
/// A socket that is due and sends nothing is asked again after this.
const RETRY_NS: u64 = 10_000_000;

/// The address and what keeps it.
pub(crate) struct Control {
    config: AddressConfig,
    pub(super) interface: Option<Interface>,
    pub(super) set: SocketSet<'static>,
    dhcp: Option<SocketHandle>,
    /// What datagrams go out by, once there was one.
    pub(super) datagrams: Option<SocketHandle>,
    options: &'static [DhcpOption<'static>],
    pub(super) due: Option<u64>,
    pub(super) lease: Option<Lease>,
    changed: bool,
    announcements: u8,
    announce_at: u64,
    warn_at: Option<u64>,
}

impl Control {
    pub(crate) fn new(config: AddressConfig, hostname: &str) -> Control {
        let mut options = Vec::new();
        if !hostname.is_empty() && hostname.len() <= 63 {
            // smoltcp wants what it sends in each DHCP packet to live as long as the stack does.
            let data = Box::leak(Box::<[u8]>::from(hostname.as_bytes()));
            options.push(DhcpOption {
                kind: HOST_NAME,
                data,
            });
        }
        let mut control = Control {
            config,
            interface: None,
            set: SocketSet::new(Vec::new()),
            dhcp: None,
            datagrams: None,
            options: Box::leak(options.into_boxed_slice()),
            due: None,
            lease: None,
            changed: false,
            announcements: 0,
            announce_at: 0,
            warn_at: None,
        };
        control.begin();
        control
    }

    pub(crate) fn lease(&self) -> Option<Lease> {
        self.lease
    }

    pub(crate) fn uses_dhcp(&self) -> bool {
        self.dhcp.is_some()
    }

    /// Whether the address is another than when last asked.
    pub(crate) fn take_change(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    pub(crate) fn configure(&mut self, config: AddressConfig) {
        if config == self.config {
            return;
        }
        self.config = config;
        if let Some(handle) = self.dhcp.take() {
            self.set.remove(handle);
        }
        self.begin();
    }

    /// Starts to do what `config` says.
    fn begin(&mut self) {
        self.warn_at = None;
        self.due = self.datagrams.map(|_| 0);
        match self.config {
            AddressConfig::Dhcp => {
                let mut socket = dhcpv4::Socket::new();
                let mut retry = dhcpv4::RetryConfig::default();
                retry.discover_timeout = Duration::from_secs(3);
                retry.initial_request_timeout = Duration::from_secs(2);
                socket.set_retry_config(retry);
                socket.set_outgoing_options(self.options);
                self.dhcp = Some(self.set.add(socket));
                self.due = Some(0);
                self.adopt(None, "");
            }
            AddressConfig::Static { address, gateway } => {
                if demux::is_unicast(address.address) && address.prefix_len <= 32 {
                    self.adopt(
                        Some(Lease {
                            address,
                            gateway,
                            dns: None,
                        }),
                        " as configured",
                    );
                } else {
                    log::error!("net: {address} is no address for an interface");
                    self.adopt(None, "");
                }
            }
        }
    }

    fn adopt(&mut self, lease: Option<Lease>, how: &str) {
        if lease == self.lease {
            return;
        }
        match (&lease, &self.lease) {
            (
                Some(Lease {
                    address,
                    gateway: Some(router),
                    ..
                }),
                _,
            ) => {
                log::info!("net: {address}{how}, router {router}");
            }
            (Some(Lease { address, .. }), _) => log::info!("net: {address}{how}, no router"),
            (None, Some(old)) => log::warn!("net: {} is lost", old.address),
            (None, None) => {}
        }
        self.changed |= lease.map(|lease| lease.address) != self.lease.map(|old| old.address);
        self.lease = lease;
        self.warn_at = None;
        self.apply();
        self.announce();
    }

    /// Tells the interface its address.
    fn apply(&mut self) {
        let Some(interface) = self.interface.as_mut() else {
            return;
        };
        let lease = self.lease;
        interface.update_ip_addrs(|addresses| {
            addresses.clear();
            if let Some(lease) = lease {
                addresses
                    .push(ip_cidr(lease.address))
                    .expect("there is room for one address");
            }
        });
        interface.routes_mut().remove_default_ipv4_route();
        if let Some(lease) = lease
            && let Some(router) = lease.gateway
            && lease.address.contains(router)
        {
            let added = interface.routes_mut().add_default_ipv4_route(router);
            added.expect("there is room for one route");
        }
    }

    /// Begins on a link; `frame` is the frame buffer, as long as the link's frames.
    pub(crate) fn attach(&mut self, mac: [u8; 6], seed: u64, frame: &mut [u8]) {
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        config.random_seed = seed;
        let mut pipe = Pipe::ethernet(None, frame);
        self.interface = Some(Interface::new(config, &mut pipe, clock::instant(0)));
        self.apply();
        self.announce();
        if self.lease.is_none()
            && let Some(handle) = self.dhcp
        {
            self.set.get_mut::<dhcpv4::Socket<'_>>(handle).reset();
        }
        self.due = self.dhcp.or(self.datagrams).map(|_| 0);
    }

    pub(crate) fn detach(&mut self) {
        self.interface = None;
        self.warn_at = None;
    }

    pub(crate) fn announce(&mut self) {
        self.announcements = ANNOUNCEMENTS;
        self.announce_at = 0;
    }

    /// Takes an ARP or DHCP frame; returns the length of the answer in `frame`, 0 if none.
    pub(crate) fn feed(&mut self, input: &[u8], frame: &mut [u8], now: u64) -> usize {
        let Some(interface) = self.interface.as_mut() else {
            return 0;
        };
        let mut pipe = Pipe::ethernet(Some(input), frame);
        interface.poll_ingress_single(clock::instant(now), &mut pipe, &mut self.set);
        // What was said may be what one of them waits for.
        if self.dhcp.or(self.datagrams).is_some() {
            self.due = Some(0);
        }
        pipe.output_bytes()
    }

    /// Does what is due; returns the length of the frame to send, 0 if there is none (any more).
    pub(crate) fn step(&mut self, mac: [u8; 6], frame: &mut [u8], now: u64) -> usize {
        self.warn(now);
        if let Some(lease) = self.lease
            && self.announcements > 0
            && self.announce_at <= now
        {
            self.announcements -= 1;
            self.announce_at = now + ANNOUNCE_NS;
            return craft::announcement(frame, mac, lease.address.address);
        }
        if self.due.is_none_or(|due| due > now) {
            return 0;
        }
        let Some(interface) = self.interface.as_mut() else {
            return 0;
        };
        let mut pipe = Pipe::ethernet(None, frame);
        interface.poll_egress(clock::instant(now), &mut pipe, &mut self.set);
        let bytes = pipe.output_bytes();
        self.hear_dhcp();
        let next = self.interface.as_mut().and_then(|interface| {
            let at = interface.poll_at(clock::instant(now), &self.set);
            at.map(clock::nanoseconds)
        });
        let earliest = if bytes > 0 { 0 } else { now + RETRY_NS };
        self.due = next.map(|next| next.max(earliest));
        bytes
    }

    fn hear_dhcp(&mut self) {
        let Some(handle) = self.dhcp else {
            return;
        };
        let heard = match self.set.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
            None => return,
            Some(dhcpv4::Event::Deconfigured) => None,
            Some(dhcpv4::Event::Configured(config)) => Some(Lease {
                address: Ipv4Cidr {
                    address: config.address.address(),
                    prefix_len: config.address.prefix_len(),
                },
                gateway: config.router.filter(|router| demux::is_unicast(*router)),
                dns: config.dns_servers.first().copied(),
            }),
        };
        let lease = heard.filter(|lease| demux::is_unicast(lease.address.address));
        self.adopt(lease, " by dhcp");
    }

    fn warn(&mut self, now: u64) {
        if self.dhcp.is_none() || self.lease.is_some() {
            return;
        }
        let at = *self.warn_at.get_or_insert(now + WARN_NS);
        if at <= now {
            log::warn!(
                "net: no dhcp server answers; asking on; an address of its own is given by \
                 ip=ADDR/PREFIX gw=ADDR"
            );
            self.warn_at = Some(now + WARN_AGAIN_NS);
        }
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        let announce = self
            .lease
            .filter(|_| self.announcements > 0)
            .map(|_| self.announce_at);
        [announce, self.due, self.warn_at]
            .into_iter()
            .flatten()
            .min()
    }
}

/// The same address in smoltcp's words.
pub(crate) fn ip_cidr(cidr: Ipv4Cidr) -> IpCidr {
    IpCidr::new(cidr.address.into(), cidr.prefix_len.min(32))
}
