//! A seed nobody can guess: RDSEED and RDRAND where there are any, mixed with the TSC.
//!
//! Without a hardware source the seed is marked weak, and those who make
//! secrets from it (tokens, TLS keys) must refuse.
#![expect(unsafe_code, reason = "RDRAND and RDSEED")]

use super::cpu::{cpuid, tsc};
use core::arch::asm;
use kernel::machine::Seed;

/// Tries for one word of a source that may be busy.
const ATTEMPTS: u32 = 32;

/// 32 bytes, and whether hardware stands behind them.
pub(crate) fn seed() -> Seed {
    let rdrand = cpuid(1)[2] & 1 << 30 != 0;
    let rdseed = cpuid(0)[0] >= 7 && cpuid(7)[1] & 1 << 18 != 0;
    let mut bytes = [0; 32];
    let mut words = 0;
    for place in bytes.as_chunks_mut::<8>().0 {
        let seeded = if rdseed { rdseed_word() } else { None };
        let random = if rdrand { rdrand_word() } else { None };
        words += u32::from(seeded.or(random).is_some());
        let mixed = seeded.unwrap_or(0) ^ random.unwrap_or(0).rotate_left(32) ^ tsc();
        *place = mixed.to_le_bytes();
    }
    Seed {
        bytes,
        strong: words == 4,
    }
}

fn rdrand_word() -> Option<u64> {
    (0..ATTEMPTS).find_map(|_| {
        let (value, ok): (u64, u8);
        // SAFETY: CPUID says the instruction exists.
        unsafe { asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) ok) };
        (ok != 0).then_some(value)
    })
}

fn rdseed_word() -> Option<u64> {
    (0..ATTEMPTS).find_map(|_| {
        let (value, ok): (u64, u8);
        // SAFETY: CPUID says the instruction exists.
        unsafe { asm!("rdseed {}", "setc {}", out(reg) value, out(reg_byte) ok) };
        (ok != 0).then_some(value)
    })
}
