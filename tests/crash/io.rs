//! The n-th request of a disk fails, for each n until a run has none left.

use crate::model;
use crate::phase::{Bed, Task};
use crate::worker::Worker;
use sim::disk::FailNth;
use store::{Refusal, State as Phase, Unavailable};

/// How it ended.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    ready: u64,
    read_only: u64,
    refused: u64,
    closed: u64,
}

/// A store that says that it does not write must not.
fn refuses_writes(worker: &mut Worker) {
    let value = model::Value::new(vec![1]);
    let put = crate::worker::put(&value);
    let batch = store::Batch {
        changes: vec![crate::worker::change(&("b", b"late".to_vec()), put)],
    };
    match worker.store.submit(batch) {
        Err(Refusal::Unavailable(Unavailable::ReadOnly(why) | Unavailable::Refused(why))) => {
            assert!(why.len() > 20, "a refusal without a reason: {why}")
        }
        other => panic!("a store that does not write took a batch: {other:?}"),
    }
}

fn judge(worker: &mut Worker, ends: &mut Ends) {
    let readable = match worker.store.state() {
        Phase::Ready => {
            ends.ready += 1;
            assert_eq!(worker.rig.failed_flushes(), 0, "ready after a failed flush");
            assert_eq!(
                worker.acked,
                worker.submitted(),
                "ready, and without an answer"
            );
            true
        }
        Phase::ReadOnly(why) => {
            ends.read_only += 1;
            // What cannot be read looks damaged to an opening: it shows what is intact.
            let shows_all = !why.contains("damaged at offset");
            refuses_writes(worker);
            shows_all
        }
        Phase::Refused(_) => {
            ends.refused += 1;
            refuses_writes(worker);
            false
        }
        Phase::Closed => {
            ends.closed += 1;
            false
        }
        Phase::Opening => panic!("still opening, and at rest"),
    };
    assert!(worker.waiting.is_empty(), "a batch without an answer");
    if readable {
        let listing = model::list(&mut worker.store);
        let state = &worker.states[worker.acked];
        assert!(listing.is(state), "shown is {}", listing.tell());
    }
}

fn sweep(task: Task, how: FailNth) {
    let bed = Bed::new(task);
    let mut ends = Ends::default();
    for n in 0.. {
        let mut worker = bed.begin();
        let before = worker.rig.disk(|disk| {
            disk.fail_nth(n, how);
            disk.io_count()
        });
        bed.act(&mut worker);
        if task == Task::Read {
            Bed::read_all(&mut worker);
        }
        let met = worker.rig.disk(|disk| disk.io_count()) - before > n;
        worker.rig.disk(|disk| disk.kill());
        let at = Where(task, how, n);
        judge(&mut worker, &mut ends);
        bed.check_left(&worker);
        std::mem::forget(at);
        if !met {
            assert!(!worker.unknown, "nothing failed");
            println!("{task:?} {how:?}: {n} requests, {ends:?}");
            return;
        }
    }
}

/// Says which request had failed, when a check does.
struct Where(Task, FailNth, u64);

impl Drop for Where {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}: request {} had failed, {:?}", self.0, self.2, self.1);
        }
    }
}

#[test]
fn any_one_request_may_fail() {
    for task in Task::ALL {
        sweep(task, FailNth::Once);
    }
}

#[test]
fn all_requests_from_any_one_on_may_fail() {
    for task in Task::ALL {
        sweep(task, FailNth::FromThenOn);
    }
}
