//! Numbers nobody else can guess, from one secret.
//!
//! smoltcp draws a connection's initial sequence number (ISN) from a PCG of 64
//! bits of state, which a few outputs give away. So no generator is ever used
//! twice: each SYN gets a generator of its own, whose state is SipHash-2-4 of
//! the 4-tuple, the clock and a counter under a secret key. One ISN then says
//! nothing about another, of the same peer or not, unless SipHash is broken.
//!
//! What does not hold: ISNs of one 4-tuple do not grow with the clock, as in
//! RFC 6528 section 3; old duplicates are kept out by TIME-WAIT alone.

use core::hash::Hasher as _;
use siphasher::sip::SipHasher24;

/// The secret, and how often it was used.
pub(crate) struct Seeds {
    key: [u8; 16],
    spice: u64,
    count: u64,
}

impl Seeds {
    /// From 32 random bytes.
    pub(crate) fn new(seed: &[u8; 32]) -> Seeds {
        let mut key = [0; 16];
        key.copy_from_slice(&seed[..16]);
        let mut spice = SipHasher24::new_with_key(&key);
        spice.write(&seed[16..]);
        Seeds {
            key,
            spice: spice.finish(),
            count: 0,
        }
    }

    /// The next one, bound to `what` and `now`.
    pub(crate) fn draw(&mut self, what: u64, now: u64) -> u64 {
        self.count += 1;
        let mut hasher = SipHasher24::new_with_key(&self.key);
        for word in [self.spice, self.count, what, now] {
            hasher.write_u64(word);
        }
        hasher.finish()
    }
}
