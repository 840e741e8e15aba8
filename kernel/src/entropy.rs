//! Randomness for all that wants some: one generator, seeded at boot.

use crate::machine::Seed;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// A ChaCha20 generator and whether its seed was good.
pub(crate) struct Entropy {
    generator: ChaCha20Rng,
    strong: bool,
}

impl Entropy {
    /// A generator over the seed found at boot.
    pub(crate) fn new(seed: &Seed) -> Entropy {
        Entropy {
            generator: ChaCha20Rng::from_seed(seed.bytes),
            strong: seed.strong,
        }
    }

    /// Whether secrets may be made from it.
    pub(crate) fn is_strong(&self) -> bool {
        self.strong
    }

    /// The next 32 bytes.
    pub(crate) fn draw(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.generator.fill_bytes(&mut bytes);
        bytes
    }

    /// Another seed is mixed in: a domain that was saved may go on more than once.
    pub(crate) fn reseed(&mut self, seed: &Seed) {
        let mut bytes = self.draw();
        for (byte, more) in bytes.iter_mut().zip(seed.bytes) {
            *byte ^= more;
        }
        self.generator = ChaCha20Rng::from_seed(bytes);
        // What was before may be known elsewhere, so that it makes a weak seed no better.
        self.strong = seed.strong;
    }
}
