//! Events: what came before the guest sleeps has been looked at, or wakes it.

use crate::Domid;
use crate::event::Events;
use crate::flaw::{self, Flaw};
use crate::hypervisor::{PORT, Xen};
use alloc::rc::Rc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

const EVENTS: u32 = 2;

fn model() {
    let xen = Xen::new();
    let work: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    let sender = move || {
        for number in 1..=EVENTS {
            work.store(number, Ordering::Relaxed);
            xen.raise();
        }
    };
    let events = Events::new(xen, Rc::new(xen.shared_info()));
    let sender = thread::spawn(sender);
    // The port's owner looks only when its port is named.
    let mut seen = 0;
    let mut step = || {
        events.take_pending(|port| {
            assert_eq!(port.number(), PORT);
            seen = work.load(Ordering::Relaxed);
        });
    };
    events.alloc_unbound(Domid(0)).expect("it is given");
    if xen.take_upcall() {
        step();
    }
    sender.join().expect("no panic");
    // Without an upcall nobody scans any more: the guest sleeps.
    while xen.take_upcall() {
        step();
    }
    assert_eq!(
        seen, EVENTS,
        "the guest sleeps, and the last event was lost"
    );
}

#[test]
fn no_event_is_lost_however_it_comes() {
    flaw::check(model);
}

#[test]
fn unmasking_without_a_second_look_loses_events() {
    flaw::check_is_found(Flaw::NoSecondLook, model);
}
