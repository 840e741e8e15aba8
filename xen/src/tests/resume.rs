//! A domain that goes on in another one: handles of before do no harm, and work goes on.

use super::machine::{Frames, attached};
use crate::grant::GrantAccess;
use crate::task::{self, Task};
use crate::xenstore::Xenstore;
use crate::{Attachment, Domid};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::task::Poll;
use sim::device::introduce;
use sim::domain::DOMID;
use sim::machine::Machine;

/// System time of the other host, ahead of this one's: far behind it, and far ahead.
const SKEWS_NS: [u64; 2] = [0_u64.wrapping_sub(900_000_000_000), 90_000_000_000_000_000];

fn resumed(machine: &'static Machine, attachment: &mut Attachment, skew_ns: u64) {
    machine.with(|world| world.domain.go_on_elsewhere(skew_ns));
    let resumed = attachment.resume(&mut Frames(machine));
    resumed.expect("a simulated Xen refuses nothing");
}

/// Nothing that the guest asked was refused.
fn assert_sound(machine: &Machine) {
    machine.with(|world| assert_eq!(world.domain.refused, [""; 0]));
}

#[test]
fn a_port_of_before_is_nobodys() {
    let (machine, mut attachment) = attached(1);
    let events = attachment.events.clone();
    let before = [0; 3].map(|_| events.alloc_unbound(Domid(0)).expect("a port"));
    // The toolstack has taken the numbers of the others.
    let [_, _, before] = before;
    resumed(machine, &mut attachment, 0);
    let mut now = Vec::new();
    while now
        .iter()
        .all(|port: &crate::event::Port| port.number() != before.number())
    {
        now.push(events.alloc_unbound(Domid(0)).expect("a port"));
    }
    let same = *now.last().expect("one was made");
    assert_ne!(same, before);
    for act in [
        |port, events: &crate::event::Events| events.notify(port),
        |port, events: &crate::event::Events| events.mask(port),
        |port, events: &crate::event::Events| events.close(port),
    ] {
        act(before, &events);
        machine.with(|world| {
            let domain = &mut world.domain;
            assert!(!domain.events.take_notified(same.number()));
            domain.events.raise(&domain.arena, same.number());
        });
        let mut taken = Vec::new();
        events.take_pending(|port| taken.push(port));
        assert_eq!(taken, [same]);
    }
    events.notify(same);
    machine.with(|world| assert!(world.domain.events.take_notified(same.number())));
    assert_sound(machine);
}

#[test]
fn time_goes_on_where_it_was() {
    for skew_ns in SKEWS_NS {
        let (machine, mut attachment) = attached(1);
        let at = |attachment: &Attachment, ns: u64| {
            let tsc = machine.with(|world| {
                world.domain.advance_to(ns);
                world.domain.tsc()
            });
            let monotonic_ns = attachment.clock.monotonic_ns(tsc);
            (monotonic_ns, attachment.clock.wall_ns(monotonic_ns))
        };
        const BEFORE_NS: u64 = 2_000_000_000_000;
        let (before_ns, wall_ns) = at(&attachment, BEFORE_NS);
        assert_eq!(before_ns, BEFORE_NS);
        resumed(machine, &mut attachment, skew_ns);
        // What goes by before the first look is no time of ours.
        let (now_ns, wall_now_ns) = at(&attachment, BEFORE_NS + 7_000);
        assert_eq!((now_ns, wall_now_ns), (before_ns, wall_ns + 7_000));
        let (now_ns, wall_now_ns) = at(&attachment, BEFORE_NS + 12_000);
        assert_eq!((now_ns, wall_now_ns), (before_ns + 5_000, wall_ns + 12_000));
        // A deadline of ours is one of the hypervisor's.
        let deadline_ns = attachment.clock.system_ns(now_ns + 1_000);
        attachment.xen.set_timer(deadline_ns);
        machine.with(|world| assert_eq!(world.domain.timer_ns(), Some(BEFORE_NS + 13_000)));
        assert_eq!(
            attachment.clock.system_ns(0),
            attachment.clock.system_ns(now_ns)
        );
        assert_sound(machine);
    }
}

#[test]
fn a_grant_of_before_is_over_and_its_page_comes_back() {
    let (machine, mut attachment) = attached(2);
    let grant_one = |attachment: &Attachment| {
        let page = attachment.pool.take().expect("a page");
        let mut grants = attachment.grants.borrow_mut();
        grants
            .grant(Domid(0), page, GrantAccess::ReadWrite)
            .expect("an entry")
    };
    let look = |reference: u32| {
        machine.with(|world| {
            let domain = &mut world.domain;
            let mut seen = [0; 4];
            let from = (0, reference);
            domain
                .grants
                .copy_from(&domain.arena, from, 0, &mut seen)
                .is_ok()
        })
    };
    let before = grant_one(&attachment);
    let reference = before.reference().number();
    assert!(look(reference));
    resumed(machine, &mut attachment, 0);
    assert!(!look(reference));
    let now = grant_one(&attachment);
    assert_ne!(now.reference(), before.reference());
    assert!(look(now.reference().number()));
    attachment.grants.borrow_mut().revoke_or_quarantine(before);
    assert!(look(now.reference().number()));
    attachment.grants.borrow_mut().revoke_or_quarantine(now);
    let grants = attachment.grants.borrow();
    assert_eq!((grants.in_use(), grants.quarantined()), (0, 0));
    assert_eq!(attachment.pool.free(), 2);
    assert_sound(machine);
}

/// Lets the daemon and the client go on until the task is done.
fn done<T>(machine: &Machine, xenstore: &Xenstore, task: &mut Task<T>) -> T {
    for _ in 0..100 {
        if let Poll::Ready(done) = task::poll(task) {
            return done;
        }
        machine.with(sim::machine::World::step);
        xenstore.step();
    }
    panic!("the daemon is asked and does not answer");
}

#[test]
fn xenstore_is_asked_again() {
    // After so many exchanges: before anything is asked, and in the middle of each walk.
    for exchanges in 0..12 {
        let (machine, mut attachment) = attached(1);
        machine.with(|world| introduce(&mut world.domain, &[]));
        let xenstore = attachment.xenstore.clone().expect("there is one");
        let client = xenstore.clone();
        let mut watching: Task<_> = Box::pin(async move { client.watch("data/watched").await });
        let watch = done(machine, &xenstore, &mut watching).expect("a watch");
        assert!(watch.take_fired());
        let nodes: Vec<_> = (0..3)
            .map(|number| (alloc::format!("data/{number}"), number.to_string()))
            .collect();
        let client = xenstore.clone();
        let mut walk: Task<_> = Box::pin(async move {
            client.write_all(&nodes).await?;
            let inner = client.watch("data/2").await?;
            client.write("data/2", b"two").await?;
            inner.fired().await;
            client.read_text("data/2").await
        });
        let mut early = None;
        for _ in 0..exchanges {
            if let Poll::Ready(said) = task::poll(&mut walk) {
                early = Some(said);
                break;
            }
            machine.with(sim::machine::World::step);
            xenstore.step();
        }
        resumed(machine, &mut attachment, 0);
        let said = early.unwrap_or_else(|| done(machine, &xenstore, &mut walk));
        assert_eq!(said.as_deref(), Ok("two"), "{exchanges}");
        machine.with(|world| {
            let read = |key: &str| {
                let path = alloc::format!("/local/domain/{DOMID}/data/{key}");
                world.domain.xenstored.read_text(&path)
            };
            assert_eq!(
                (read("0").as_deref(), read("1").as_deref()),
                (Some("0"), Some("1"))
            );
        });
        // It has fired since it may have missed something, and fires for what comes.
        drop(walk);
        let client = xenstore.clone();
        let mut writing: Task<_> = Box::pin(async move { client.write("data/x", b"1").await });
        assert_eq!(done(machine, &xenstore, &mut writing), Ok(()));
        assert!(watch.take_fired() && !watch.take_fired());
        machine.with(|world| {
            let path = alloc::format!("/local/domain/{DOMID}/data/watched");
            world.domain.xenstored.write(&path, b"news");
        });
        machine.with(sim::machine::World::step);
        xenstore.step();
        assert!(watch.take_fired(), "{exchanges}");
        assert_eq!((xenstore.watches(), xenstore.waiting()), (1, 0));
        assert_sound(machine);
    }
}
