//! Randomness for keys and nonces: one generator, which has to be seeded first.
//!
//! rustls asks for it through references that live for ever, so it lives here.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use rustls::crypto::{GetRandomFailed, SecureRandom};
use spin::Mutex;

static GENERATOR: Mutex<Option<ChaCha20Rng>> = Mutex::new(None);

/// Mixes a seed in: before the first session, and again when the domain goes on elsewhere, since
/// it may go on more than once.
pub fn seed(mut bytes: [u8; 32]) {
    let mut generator = GENERATOR.lock();
    if let Some(before) = generator.as_mut() {
        let mut more = [0; 32];
        before.fill_bytes(&mut more);
        for (byte, more) in bytes.iter_mut().zip(more) {
            *byte ^= more;
        }
    }
    *generator = Some(ChaCha20Rng::from_seed(bytes));
}

/// Fills `bytes`.
///
/// # Errors
/// Nothing was seeded.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
    let mut generator = GENERATOR.lock();
    let generator = generator.as_mut().ok_or(GetRandomFailed)?;
    generator.fill_bytes(bytes);
    Ok(())
}

/// So many of them.
pub(crate) fn array<const LEN: usize>() -> Result<[u8; LEN], GetRandomFailed> {
    let mut bytes = [0; LEN];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// The generator, as rustls wants it.
#[derive(Debug)]
pub(crate) struct Seeded;

impl SecureRandom for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        fill(bytes)
    }
}
