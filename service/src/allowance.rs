//! Memory that requests may take together for what they bring, given back by their drop.
//!
//! # Invariants
//!
//! - Who came without a token takes half of it at most, or is the only one of those.

use alloc::rc::Rc;
use core::cell::Cell;

/// What is taken of it now: by all, and by those without a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance {
    all: Rc<Cell<u64>>,
    strangers: Rc<Cell<u64>>,
}

/// A part of it.
#[derive(Debug)]
pub(crate) struct Held {
    all: Rc<Cell<u64>>,
    strangers: Option<Rc<Cell<u64>>>,
    bytes: u64,
}

impl Allowance {
    /// Nothing of it yet.
    pub(crate) fn hold(&self, has_token: bool) -> Held {
        Held {
            all: Rc::clone(&self.all),
            strangers: (!has_token).then(|| Rc::clone(&self.strangers)),
            bytes: 0,
        }
    }

    /// How much is taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.all.get()
    }
}

impl Held {
    /// Takes so much more, if all that is taken stays within `limit_bytes`.
    pub(crate) fn grow(&mut self, more_bytes: u64, limit_bytes: u64) -> bool {
        let after = self.all.get().saturating_add(more_bytes);
        let is_too_much = self.strangers.as_ref().is_some_and(|strangers| {
            let others = strangers.get() - self.bytes;
            others > 0 && strangers.get() + more_bytes > limit_bytes / 2
        });
        if after > limit_bytes || is_too_much {
            return false;
        }
        self.set(self.bytes + more_bytes);
        true
    }

    /// Gives back what is taken beyond so much.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        self.set(self.bytes.min(bytes));
    }

    fn set(&mut self, bytes: u64) {
        for cell in [Some(&self.all), self.strangers.as_ref()]
            .into_iter()
            .flatten()
        {
            assert!(cell.get() >= self.bytes, "it is given back once");
            cell.set(cell.get() - self.bytes + bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_take_half_or_are_alone() {
        let allowance = Allowance::default();
        let [mut first, mut second] = [false; 2].map(|has_token| allowance.hold(has_token));
        assert!(first.grow(80, 100), "it is the only one");
        assert!(!second.grow(1, 100));
        first.shrink_to(30);
        assert!(second.grow(20, 100) && !second.grow(1, 100));
        let mut owner = allowance.hold(true);
        assert!(owner.grow(50, 100) && !owner.grow(1, 100));
        assert_eq!(allowance.bytes(), 100);
        drop(first);
        assert!(second.grow(30, 100), "the others are gone");
        drop((second, owner));
        assert_eq!(allowance.bytes(), 0);
    }
}
