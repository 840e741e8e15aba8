//! Events: each is named once, and what comes masked is not lost.

use super::machine::attached;
use crate::Domid;
use alloc::vec::Vec;
use sim::machine::Machine;

fn raise(machine: &Machine, port: u32) {
    machine.with(|world| {
        let domain = &mut world.domain;
        domain.events.raise(&domain.arena, port);
    });
}

#[test]
fn what_fires_is_named_once() {
    let (machine, attachment) = attached(1);
    let events = &attachment.events;
    let ports = [0; 2].map(|_| events.alloc_unbound(Domid(0)).expect("a port"));
    let taken = || {
        let mut taken = Vec::new();
        events.take_pending(|port| taken.push(port));
        taken
    };
    assert_eq!(taken(), []);
    for port in ports {
        raise(machine, port.number());
        raise(machine, port.number());
    }
    assert!(events.any_pending());
    assert_eq!(taken(), ports);
    assert_eq!(taken(), []);
}

#[test]
fn what_came_while_masked_is_raised_by_unmasking() {
    let (machine, attachment) = attached(1);
    let events = &attachment.events;
    let port = events.alloc_unbound(Domid(0)).expect("a port");
    events.mask(port);
    raise(machine, port.number());
    assert!(!events.any_pending());
    events.unmask(port);
    let mut taken = Vec::new();
    events.take_pending(|port| taken.push(port));
    assert_eq!(taken, [port]);
    events.close(port);
    assert!(machine.with(|world| world.domain.refused.is_empty()));
}
