//! ARP, ICMP and DHCP.

use crate::world::{App, CLIENT, CLIENT_MAC, LINK, SECOND, SERVER, SERVER_MAC, World, options};
use crate::{journal, raw};
use net::{AddressConfig, Ipv4Cidr, Lease, Options, Stack, Status};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetFrame, Icmpv4Packet, Icmpv4Repr, IpAddress,
    Ipv4Packet, UdpPacket, UdpRepr,
};
use std::net::Ipv4Addr;

const LEASED: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 50);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

pub(crate) fn arp_request(target: Option<Ipv4Addr>) -> Vec<u8> {
    let target = target.unwrap_or(SERVER).octets();
    let arp = [
        &[0, 1, 8, 0, 6, 4, 0, 1][..],
        &CLIENT_MAC,
        &CLIENT.octets(),
        &[0; 6],
        &target,
    ];
    raw::ethernet(CLIENT_MAC, [0xFF; 6], 0x0806, &arp.concat())
}

/// The smallest DHCP server.
#[derive(Default)]
pub(crate) struct DhcpServer {
    pub(crate) answered: usize,
    pub(crate) hostname: Option<String>,
    pub(crate) silent: bool,
}

impl DhcpServer {
    pub(crate) fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        let udp = UdpPacket::new_checked(ip.payload()).ok()?;
        if udp.dst_port() != 67 || self.silent {
            return None;
        }
        let packet = DhcpPacket::new_checked(udp.payload()).ok()?;
        let name = packet.options().find(|option| option.kind == 12);
        self.hostname = name.map(|option| String::from_utf8(option.data.to_vec()).unwrap());
        let asked = DhcpRepr::parse(&packet).ok()?;
        self.answered += 1;
        let message_type = match asked.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request => DhcpMessageType::Ack,
            _ => return None,
        };
        let mut answer = asked.clone();
        answer.message_type = message_type;
        answer.your_ip = LEASED;
        answer.server_ip = ROUTER;
        answer.server_identifier = Some(ROUTER);
        answer.router = Some(ROUTER);
        answer.subnet_mask = Some(Ipv4Addr::new(255, 255, 255, 0));
        answer.lease_duration = Some(600);
        answer.requested_ip = None;
        answer.client_identifier = None;
        answer.parameter_request_list = None;
        answer.max_size = None;
        answer.additional_options = &[];
        let ports = UdpRepr {
            src_port: 67,
            dst_port: 68,
        };
        let mut datagram = vec![0; 8 + answer.buffer_len()];
        ports.emit(
            &mut UdpPacket::new_unchecked(&mut datagram[..]),
            &IpAddress::Ipv4(ROUTER),
            &IpAddress::Ipv4(LEASED),
            answer.buffer_len(),
            |payload| {
                answer
                    .emit(&mut DhcpPacket::new_unchecked(payload))
                    .unwrap()
            },
            &ChecksumCapabilities::default(),
        );
        Some(raw::ipv4(CLIENT_MAC, ROUTER, LEASED, 17, &datagram))
    }
}

/// Lets the stack and the server talk until `end`; ARP for the router is answered too.
fn talk(world: &mut World, server: &mut DhcpServer, end: u64) {
    while world.now < end {
        world.step_server();
        for frame in raw::frames(world) {
            if frame[12..14] == [8, 6] && frame[20..22] == [0, 1] && frame[38..42] == [10, 0, 2, 2]
            {
                let arp = [
                    &[0, 1, 8, 0, 6, 4, 0, 2][..],
                    &CLIENT_MAC,
                    &ROUTER.octets(),
                    &SERVER_MAC,
                    &LEASED.octets(),
                ];
                let reply = raw::ethernet(CLIENT_MAC, SERVER_MAC, 0x0806, &arp.concat());
                world.to_server.frames.push_back(reply);
            }
            world.to_server.frames.extend(server.answer(&frame));
        }
        let next = if world.to_server.frames.is_empty() {
            world.wake
        } else {
            None
        };
        world.now = next
            .unwrap_or(world.now)
            .max(world.now + 1_000_000)
            .min(end);
    }
}

fn by_dhcp() -> Options {
    Options {
        address: AddressConfig::Dhcp,
        hostname: "lampion".into(),
        ..options()
    }
}

#[test]
fn a_lease_is_got_kept_and_lost() {
    journal::begin();
    let mut world = World::new(by_dhcp(), App::Manual);
    let mut server = DhcpServer::default();
    assert_eq!(world.server.lease(), None);
    let end = world.now + SECOND;
    talk(&mut world, &mut server, end);
    let address = Ipv4Cidr {
        address: LEASED,
        prefix_len: 24,
    };
    assert_eq!(
        world.server.lease(),
        Some(Lease {
            address,
            gateway: Some(ROUTER),
            dns: None
        })
    );
    assert_eq!(world.server.local_address(), Some(LEASED));
    assert_eq!(server.hostname.as_deref(), Some("lampion"));
    assert_eq!(
        journal::take(),
        ["INFO net: 10.0.2.50/24 by dhcp, router 10.0.2.2"]
    );

    let asked = server.answered;
    let end = world.now + 3600 * SECOND;
    talk(&mut world, &mut server, end);
    assert!(
        (10..30).contains(&(server.answered - asked)),
        "renewed every five minutes"
    );
    assert!(world.server.lease().is_some());

    server.silent = true;
    let end = world.now + 700 * SECOND;
    talk(&mut world, &mut server, end);
    assert_eq!(world.server.lease(), None);
    let journal = journal::take();
    assert_eq!(journal[0], "WARN net: 10.0.2.50/24 is lost");
    assert!(journal[1].contains("ip=ADDR/PREFIX gw=ADDR"));
    server.silent = false;
    let end = world.now + 10 * SECOND;
    talk(&mut world, &mut server, end);
    assert!(world.server.lease().is_some(), "it asks on");
}

#[test]
fn a_lease_outlives_the_link() {
    let mut world = World::new(by_dhcp(), App::Manual);
    let mut server = DhcpServer::default();
    let end = world.now + SECOND;
    talk(&mut world, &mut server, end);
    world.server.set_link(None);
    let end = world.now + 60 * SECOND;
    talk(&mut world, &mut server, end);
    world.server.set_link(Some(LINK));
    assert!(world.server.lease().is_some());
    world.step_server();
    let announced = raw::frames(&mut world)
        .iter()
        .filter(|f| f[12..14] == [8, 6])
        .count();
    assert_eq!(announced, 1);
}

#[test]
fn without_a_server_it_asks_every_few_seconds_and_sleeps_between() {
    journal::begin();
    let mut world = World::new(by_dhcp(), App::Manual);
    let mut asked = 0;
    let mut steps = 0;
    while world.now < 120 * SECOND {
        world.step_server();
        steps += 1;
        asked += raw::frames(&mut world).len();
        world.now = world.wake.unwrap().max(world.now + 1);
    }
    let warnings = journal::take();
    assert_eq!(
        warnings.len(),
        2,
        "after 10 s, and once a minute: {warnings:?}"
    );
    assert!((20..80).contains(&asked), "{asked} packets");
    assert!(steps < 3 * asked, "{steps} steps");
}

#[test]
fn a_static_address_is_announced_at_the_start_and_when_asked() {
    let mut world = World::new(options(), App::Manual);
    let quiet = |world: &mut World| {
        let end = world.now + 5 * SECOND;
        let mut count = 0;
        while world.now < end {
            world.step_server();
            count += raw::frames(world)
                .iter()
                .filter(|f| f[38..42] == SERVER.octets())
                .count();
            world.now = world.wake.unwrap_or(end).max(world.now + 1);
        }
        count
    };
    assert_eq!(quiet(&mut world), 2);
    world.server.announce();
    assert_eq!(quiet(&mut world), 2);
    assert_eq!(quiet(&mut world), 0);
}

#[test]
fn it_answers_arp_and_echo_requests() {
    let mut world = World::new(options(), App::Manual);
    world.step_server();
    raw::frames(&mut world);
    world.to_server.frames.push_back(arp_request(None));
    world.step_server();
    let reply = raw::frames(&mut world).pop().unwrap();
    assert_eq!(reply[..6], CLIENT_MAC);
    assert_eq!(reply[20..22], [0, 2]);
    assert_eq!(
        (&reply[22..28], &reply[28..32]),
        (&SERVER_MAC[..], &SERVER.octets()[..])
    );

    let echo = Icmpv4Repr::EchoRequest {
        ident: 7,
        seq_no: 9,
        data: &[b'p'; 56],
    };
    let mut packet = vec![0; echo.buffer_len()];
    echo.emit(
        &mut Icmpv4Packet::new_unchecked(&mut packet[..]),
        &ChecksumCapabilities::default(),
    );
    // From a host behind the router: the answer needs no ARP.
    let far = Ipv4Addr::new(192, 0, 2, 1);
    world
        .to_server
        .frames
        .push_back(raw::ipv4(CLIENT_MAC, far, SERVER, 1, &packet));
    world.step_server();
    let reply = raw::frames(&mut world).pop().unwrap();
    assert_eq!(
        (&reply[..6], &reply[30..34]),
        (&CLIENT_MAC[..], &far.octets()[..])
    );
    assert_eq!((reply[34], &reply[38..42]), (0, &[0, 7, 0, 9][..]));
}

#[test]
fn a_new_address_ends_connections_from_the_old_one() {
    let mut world = World::new(options(), App::Manual);
    let (id, _) = world.established();
    let address = Ipv4Cidr {
        address: Ipv4Addr::new(10, 0, 0, 9),
        prefix_len: 24,
    };
    world.server.configure(AddressConfig::Static {
        address,
        gateway: None,
    });
    assert_eq!(world.server.local_address(), Some(address.address));
    world.step_server();
    assert_eq!(world.server.status(id), Status::Gone);
    assert_eq!(world.server.statistics().buffer_bytes, 0);
}

#[test]
fn an_address_that_is_none_is_refused() {
    let address = Ipv4Cidr {
        address: Ipv4Addr::new(224, 0, 0, 1),
        prefix_len: 24,
    };
    let address = AddressConfig::Static {
        address,
        gateway: None,
    };
    let mut world = World::new(
        Options {
            address,
            ..options()
        },
        App::Manual,
    );
    world.step_server();
    assert_eq!(world.server.lease(), None);
}

#[test]
fn a_neighbour_that_changes_its_mac_is_followed() {
    let mut world = World::new(options(), App::Manual);
    let mut client = raw::Enemy::new(5000);
    let id = client.establish(&mut world);
    let mut arp = arp_request(None);
    let new_mac = [2, 0, 0, 0, 0, 42];
    arp[6..12].copy_from_slice(&new_mac);
    arp[22..28].copy_from_slice(&new_mac);
    world.to_server.frames.push_back(arp);
    world.step_server();
    raw::frames(&mut world);
    world.server.send(id, &[b"x"]);
    world.step_server();
    assert_eq!(raw::frames(&mut world).pop().unwrap()[..6], new_mac);
}
