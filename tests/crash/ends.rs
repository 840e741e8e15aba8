//! Values that end as a part of the work, and time that goes by.

use crate::model::{Name, State, Value};
use crate::worker::Worker;
use std::rc::Rc;
use store::{At, BucketName, Key};

/// A life takes much less by itself.
const HOUR_NS: u64 = 3_600_000_000_000;

/// A store that has just looked what is over does not look again at once.
const REST_NS: u64 = 1_000_000_000;

impl Worker {
    /// Gives some values an end, hours from now.
    pub(crate) fn may_end(&mut self, value: Rc<Value>) -> Rc<Value> {
        let one_in = self.shape.ends_one_in;
        if one_in == 0 || !self.random.chance(1, one_in) {
            return value;
        }
        let hours = 1 + self.random.below(3);
        let end_ns = self.now().wall_ns + hours * HOUR_NS;
        value.ending(end_ns / 1_000_000)
    }

    /// An hour goes by at once. What is over then goes all in one batch, of the store's own.
    pub(crate) fn let_time_pass(&mut self) {
        // What is not durable is not looked for, and goes in a batch of its own later.
        while !self.waiting.is_empty() {
            let _ = self.step();
        }
        self.ahead_ns += HOUR_NS;
        self.pass(REST_NS);
        let now_ms = self.now().wall_ns / 1_000_000;
        let mut state = self.last();
        let is_over = |value: &Value| value.expires_ms.is_some_and(|ms| ms <= now_ms);
        let over = state.values.iter().filter(|(_, value)| is_over(value));
        let over: Vec<Name> = over.map(|(name, _)| name.clone()).collect();
        let Some(one) = over.first().cloned() else {
            return;
        };
        over.into_iter().for_each(|name| state.delete(name));
        self.expire(state, &one);
    }

    fn expire(&mut self, state: State, (bucket, key): &Name) {
        // It is handed in by the step, so what that writes may have it.
        self.states.push(state);
        self.note();
        let _ = self.store.step(self.now());
        let bucket = BucketName::new(bucket).expect("a bucket's name");
        let key = Key::new(key).expect("a key");
        let found = self.store.lookup(At::NOW, &bucket, &key);
        assert_eq!(found, Ok(None), "its time is over");
        let ticket = self.store.observed();
        self.waiting
            .push_back(ticket.expect("no disk is as fast as that"));
        self.note();
    }
}
