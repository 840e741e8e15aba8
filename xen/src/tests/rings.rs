//! Rings: slots go round, and a producer that cannot be true is not believed.

use super::machine::attached;
use crate::Domid;
use crate::grant::GrantAccess;
use crate::io::{netif, ring};
use crate::ring::{FrontRing, NetTx, Protocol};
use sim::back_ring::{BackRing, Publish};
use sim::grant::Need;
use sim::machine::{Machine, World};

const SLOT_BYTES: usize = 12;

fn connected() -> (&'static Machine, FrontRing<NetTx>, BackRing) {
    let (machine, attachment) = attached(1);
    let page = attachment.pool.take().expect("a page");
    let granted = attachment
        .grants
        .borrow_mut()
        .grant(Domid(0), page, GrantAccess::ReadWrite);
    let ring = FrontRing::new(granted.expect("an entry"));
    let reference = ring.grant().reference().number();
    let page = machine.with(|world| {
        let domain = &mut world.domain;
        domain.grants.map(&domain.arena, 0, reference, Need::Write)
    });
    let page = page.expect("it is granted");
    let attach =
        |world: &mut World| BackRing::attach(&world.domain.arena, page, NetTx::SLOTS, SLOT_BYTES);
    (machine, ring, machine.with(attach))
}

fn request(id: u16) -> netif::NetifTxRequest {
    netif::NetifTxRequest {
        id,
        size: 60,
        ..Default::default()
    }
}

#[test]
fn requests_and_responses_go_round_the_ring() {
    let (machine, mut ring, mut back) = connected();
    let rounds = u16::try_from(NetTx::SLOTS).expect("a small ring") + 3;
    for id in 0..rounds {
        ring.push(&request(id));
        assert!(ring.publish(), "a backend that waits is told");
        assert!(!ring.wait_for_response(), "nothing is there yet");
        machine.with(|world| {
            let arena = &world.domain.arena;
            let seen = back.take(arena).expect("a request");
            let [low, high] = id.to_le_bytes();
            assert_eq!(seen[8..10], [low, high]);
            back.respond(arena, &[low, high, 0, 0]);
            assert_eq!(back.publish(arena), Publish::Notify);
        });
        assert!(ring.wait_for_response(), "one is there");
        let response = ring.pop().expect("the backend does not lie");
        assert_eq!(response.map(|response| response.id), Some(id));
        assert_eq!(ring.pop(), Ok(None));
    }
    assert_eq!(ring.outstanding(), 0);
}

#[test]
fn a_producer_ahead_of_the_requests_is_not_believed() {
    let (machine, mut ring, back) = connected();
    ring.push(&request(1));
    ring.publish();
    for claimed in [2, NetTx::SLOTS, u32::MAX] {
        machine.with(|world| {
            let arena = &world.domain.arena;
            arena.store_u32(back.page.gfn, ring::RSP_PROD, claimed);
        });
        let lie = ring.pop().expect_err("only one was asked for");
        assert_eq!((lie.claimed, lie.outstanding), (claimed, 1));
    }
}
