//! Test data that is a function of a seed.

pub use sim::random::Random;

/// A length between 1 byte and `2^exponent_max`, its logarithm uniform.
pub fn log_uniform(random: &mut Random, exponent_max: u32) -> usize {
    let fraction = random.word() as f64 / u64::MAX as f64;
    (fraction * f64::from(exponent_max)).exp2().round() as usize
}

/// The value written to `key` as its `version`th.
pub fn value(key: u64, version: u64, len: usize) -> Vec<u8> {
    Random::new(key << 32 ^ version ^ 0x1a3b).bytes(len)
}
