//! Events that come while their port is masked, told when it is unmasked.

use tests::simulated::{
    Bare, Client, LIMIT_NS, Options, Outcome, Simulation, faults, request, until_ready,
};

use xen::Domid;
use xen::event::Port;

/// Their windows together are more than the pages of a ring.
const CLIENTS: usize = 48;
const MS_NS: u64 = 1_000_000;

/// The ports that a scan names.
fn named(bare: &Bare) -> Vec<Port> {
    let mut ports = Vec::new();
    bare.attachment()
        .events
        .take_pending(|port| ports.push(port));
    ports
}

fn check(raised_before: bool, raised_while_masked: bool) {
    let bare = Bare::begin(1);
    let events = &bare.attachment().events;
    let port = events.alloc_unbound(Domid(0)).expect("a port");
    assert_eq!(named(&bare), []);
    let raise = || {
        bare.world(|world| {
            world
                .domain
                .events
                .raise(&world.domain.arena, port.number())
        });
    };
    if raised_before {
        raise();
        assert!(events.any_pending());
        assert_eq!(named(&bare), [port]);
    }
    events.mask(port);
    bare.world(|world| world.domain.take_upcall());
    if raised_while_masked {
        raise();
    }
    assert!(!events.any_pending(), "a masked port says nothing");
    assert!(!bare.world(|world| world.domain.has_upcall()));
    events.unmask(port);
    let woken = bare.world(|world| world.domain.has_upcall());
    assert_eq!(woken, raised_while_masked, "what came meanwhile wakes");
    let expected: &[Port] = if raised_while_masked { &[port] } else { &[] };
    assert_eq!(named(&bare), expected);
    assert_eq!(named(&bare), [], "each event is told once");
}

#[test]
fn what_comes_while_a_port_is_masked_wakes_when_it_is_unmasked() {
    for raised_before in [false, true] {
        for raised_while_masked in [false, true] {
            check(raised_before, raised_while_masked);
        }
    }
}

#[test]
fn an_interrupt_that_got_lost_is_not_the_last() {
    let bare = Bare::begin(1);
    let port = bare.attachment().events.alloc_unbound(Domid(0));
    let port = port.expect("a port");
    for _ in 0..2 {
        bare.world(|world| {
            let domain = &mut world.domain;
            domain.events.raise(&domain.arena, port.number());
        });
        assert!(bare.world(|world| world.domain.has_upcall()));
        // The stub never runs, and the main loop scans for another reason.
        assert_eq!(named(&bare), [port]);
        // Xen interrupts only when it finds the byte clear.
        assert!(!bare.world(|world| world.domain.has_upcall()));
    }
}

/// The ports of both rings that a network backend is told, and a value written through them.
fn network_ports(is_split: bool) -> [u32; 2] {
    let mut simulation = Simulation::begin(Options::new(1));
    let node = ("feature-split-event-channels".to_owned(), None);
    if !is_split {
        simulation.world(|world| {
            let vif = world.vif.as_mut().expect("a network interface");
            vif.spoil(&mut world.domain, node);
        });
    }
    until_ready(&mut simulation);
    let put = request(&mut simulation, "PUT", "/kv/a/b", b"value");
    assert!(matches!(put, Outcome::Answer(answer) if answer.status == 201));
    assert_eq!(faults(&simulation), [""; 0]);
    simulation.world(|world| {
        let nodes = world.vif.as_ref().expect("a network interface").nodes();
        let told = |key| nodes.number(&world.domain, key).expect("a port");
        let ports = [told("event-channel-tx"), told("event-channel-rx")];
        assert_eq!(told("event-channel"), ports[0]);
        ports
    })
}

/// Linux's netback may lose the channel of the receiving ring; the other must not go with it.
#[test]
fn each_ring_of_the_network_has_an_event_channel_where_the_backend_can() {
    let [tx, rx] = network_ports(true);
    assert_ne!(tx, rx);
    let [tx, rx] = network_ports(false);
    assert_eq!(tx, rx);
}

/// More comes at once than there are pages for it: the backend waits to be told of the next one.
#[test]
fn a_backend_that_has_run_out_of_pages_is_told_of_new_ones() {
    let mut simulation = Simulation::begin(Options::new(1));
    until_ready(&mut simulation);
    let body = vec![7; 60_000];
    let clients = simulation.world(|world| [(); CLIENTS].map(|()| Client::connect(world)));
    let _ = simulation.run(100 * MS_NS, |_| false);
    // The guest does not run while they send as much as they may.
    let mut clients = simulation.world(|world| {
        let mut nth = 0;
        let clients = clients.map(|mut client| {
            nth += 1;
            client.ask(world, "PUT", &format!("/kv/a/{nth}"), &body);
            Some(client)
        });
        for _ in 0..50 {
            let now_ns = world.domain.now_ns + MS_NS;
            world.domain.advance_to(now_ns);
            world.step();
        }
        clients
    });
    let served = simulation.run(LIMIT_NS, |world| {
        for place in &mut clients {
            let answer = place.as_mut().and_then(|client| client.answer(world));
            if let Some(Outcome::Answer(answer)) = answer {
                assert!(matches!(answer.status, 201 | 503), "{}", answer.text());
                *place = None;
            }
        }
        clients.iter().all(Option::is_none)
    });
    assert_eq!(served, Ok(()), "{}", simulation.console());
    let starved = simulation.world(|world| world.vif.as_ref().map(|vif| vif.starved));
    assert!(starved > Some(0), "there were pages for all of it");
}
