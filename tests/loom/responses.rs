//! Responses: a frontend that is not told sleeps, and one that looks finds them whole.

use crate::backend::{Backend, Event, offsets};
use crate::flaw::{self, Flaw};
use crate::grant::Grant;
use crate::page::SharedPage;
use crate::ring::{FrontRing, NetTx};
use loom::thread;
use xen_sys::io::netif::NetifTxRequest;

const SLOT_BYTES: usize = 12;
const RESPONSES: u32 = 2;

/// Takes what there is, until nothing is and an event is asked for; how many.
fn take(ring: &mut FrontRing<NetTx>) -> u32 {
    let mut taken = 0;
    loop {
        while let Some(response) = ring.pop().expect("the backend does not lie") {
            assert_eq!(response.id, 0x100, "a slot was seen that was not written");
            taken += 1;
        }
        if !ring.wait_for_response() {
            return taken;
        }
    }
}

fn model() {
    let page = SharedPage::new(&offsets(RESPONSES, SLOT_BYTES), &[]);
    let event = Event::new();
    let mut ring: FrontRing<NetTx> = FrontRing::new(Grant(page));
    for _ in 0..RESPONSES {
        ring.push(&NetifTxRequest::default());
    }
    ring.publish();
    let backend = thread::spawn(move || {
        let mut backend = Backend::new(page);
        for _ in 0..RESPONSES {
            if backend.respond(&[0x100], SLOT_BYTES) {
                event.raise();
            }
        }
    });
    let mut taken = take(&mut ring);
    if event.take() {
        taken += take(&mut ring);
    }
    backend.join().expect("no panic");
    let told = event.take();
    assert!(
        told || taken == RESPONSES,
        "the frontend sleeps with {taken} of {RESPONSES} taken, and nobody wakes it"
    );
}

#[test]
fn a_frontend_that_sleeps_is_told_of_responses() {
    flaw::check(model);
}

#[test]
fn responses_without_a_fence_are_slept_over() {
    flaw::check_is_found(Flaw::NoFence, model);
}

#[test]
fn a_slot_before_its_index_is_found() {
    flaw::check_is_found(Flaw::NoAcquire, model);
}
