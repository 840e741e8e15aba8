//! Session tickets (RFC 8446 section 4.6.1): who comes again needs no signature.
//!
//! A ticket is sealed with a key that only this boot knows. It opens those of one lifetime and is
//! kept for another, so that no ticket is worth anything after two.

use crate::random;
use alloc::sync::Arc;
use alloc::vec::Vec;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;
use rustls::time_provider::TimeProvider;
use spin::Mutex;

/// How long a client may keep a ticket.
const LIFETIME_S: u32 = 6 * 60 * 60;
const NONCE_BYTES: usize = 12;
/// Which key, before the nonce.
const NAME_BYTES: usize = 8;

/// The wall clock, as it was told last.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn set(&self, unix_s: u64) {
        self.0.store(unix_s, Ordering::Relaxed);
    }

    fn unix_s(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let unix_s = Duration::from_secs(self.unix_s());
        Some(UnixTime::since_unix_epoch(unix_s))
    }
}

/// Makes tickets and takes them.
pub(crate) struct Tickets {
    clock: Arc<Clock>,
    keys: Mutex<Vec<TicketKey>>,
}

struct TicketKey {
    name: [u8; NAME_BYTES],
    cipher: ChaCha20Poly1305,
    made_unix_s: u64,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl TicketKey {
    fn fresh(now_unix_s: u64) -> Option<TicketKey> {
        let key: [u8; 32] = random::array().ok()?;
        Some(TicketKey {
            name: random::array().ok()?,
            cipher: ChaCha20Poly1305::new(&key.into()),
            made_unix_s: now_unix_s,
        })
    }

    /// Whether its time is over, or the clock was set back before it was made.
    fn is_older_than(&self, seconds: u32, now_unix_s: u64) -> bool {
        let age_s = now_unix_s.checked_sub(self.made_unix_s);
        age_s.is_none_or(|age_s| age_s >= u64::from(seconds))
    }
}

impl Tickets {
    pub(crate) fn new(clock: Arc<Clock>) -> Tickets {
        let keys = Mutex::new(Vec::new());
        Tickets { clock, keys }
    }

    /// Forgets all keys.
    pub(crate) fn forget(&self) {
        self.keys.lock().clear();
    }

    /// Forgets keys whose time is over.
    fn retain(keys: &mut Vec<TicketKey>, now_unix_s: u64) {
        keys.retain(|key| !key.is_older_than(2 * LIFETIME_S, now_unix_s));
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let now_unix_s = self.clock.unix_s();
        let mut keys = self.keys.lock();
        Self::retain(&mut keys, now_unix_s);
        let last = keys.last();
        if last.is_none_or(|key| key.is_older_than(LIFETIME_S, now_unix_s)) {
            keys.push(TicketKey::fresh(now_unix_s)?);
        }
        let key = keys.last()?;
        let nonce: [u8; NONCE_BYTES] = random::array().ok()?;
        let payload = Payload {
            msg: plain,
            aad: &key.name,
        };
        let sealed = key.cipher.encrypt(&nonce.into(), payload).ok()?;
        Some([&key.name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let mut keys = self.keys.lock();
        Self::retain(&mut keys, self.clock.unix_s());
        let key = keys.iter().find(|key| key.name == *name)?;
        let payload = Payload {
            msg: sealed,
            aad: name,
        };
        key.cipher.decrypt(&(*nonce).into(), payload).ok()
    }
}
