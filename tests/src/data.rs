//! Test data that is a function of a seed.

/// SplitMix64 (Steele, Lea, Flood 2014): small, good enough for test data.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next word.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.word() % bound
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.word().to_le_bytes());
        words.take(len.div_ceil(8)).flatten().take(len).collect()
    }

    /// A length between 1 byte and `2^exponent_max`, its logarithm uniform.
    pub fn log_uniform(&mut self, exponent_max: u32) -> usize {
        let fraction = self.word() as f64 / u64::MAX as f64;
        (fraction * f64::from(exponent_max)).exp2().round() as usize
    }
}

/// The value written to `key` as its `version`th.
pub fn value(key: u64, version: u64, len: usize) -> Vec<u8> {
    Random::new(key << 32 ^ version ^ 0x1a3b).bytes(len)
}
