//! The n-th run of memory is refused, for each n until a run has none left.

use crate::model;
use crate::pages::Refuse;
use crate::phase::{Bed, Task};
use store::State as Phase;

/// Says which run was refused, when a check fails.
struct Where(Task, Refuse);

impl Drop for Where {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}: {:?} was refused", self.0, self.1);
        }
    }
}

fn sweep(task: Task, how: fn(u64) -> Refuse) {
    let bed = Bed::new(task);
    for n in 0.. {
        let at = Where(task, how(n));
        let mut worker = bed.begin();
        worker.supply.refuse(how(n));
        bed.act(&mut worker);
        if task == Task::Read {
            Bed::read_all(&mut worker);
        }
        let met = worker.supply.asked() > n;
        let window = worker.window();
        assert!(!worker.unknown, "memory makes no answer unknown");
        if matches!(worker.store.state(), Phase::Ready | Phase::Closed) {
            bed.check_left(&worker);
        }
        worker.supply.refuse(Refuse::None);
        worker.settle();
        let expected = match task {
            Task::Close => Phase::Closed,
            _ => Phase::Ready,
        };
        assert_eq!(*worker.store.state(), expected, "with memory it goes on");
        assert_eq!(
            worker.acked, window.submitted,
            "with memory all is answered"
        );
        if expected == Phase::Ready {
            worker.submit_small();
            worker.settle();
            assert_eq!(worker.acked, window.submitted + 1);
            let listing = model::list(&mut worker.store);
            assert!(
                listing.is(&worker.states[worker.acked]),
                "{}",
                listing.tell()
            );
            assert_eq!(Bed::read_all(&mut worker), 0);
        }
        bed.check_left(&worker);
        std::mem::forget(at);
        if !met {
            println!("{task:?}: {n} runs");
            return;
        }
    }
}

#[test]
fn any_one_run_of_memory_may_be_refused() {
    for task in Task::ALL {
        sweep(task, Refuse::Nth);
    }
}

#[test]
fn all_runs_of_memory_from_any_one_on_may_be_refused() {
    for task in Task::ALL {
        sweep(task, Refuse::From);
    }
}
