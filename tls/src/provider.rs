//! The cryptography, as rustls asks for it.
//!
//! What RFC 8446 section 9.1 makes mandatory for a server whose key is of P-256, and ChaCha20 and
//! X25519 beside it.

mod aead;
mod exchange;
mod hash;
mod signing;

use crate::random;
use aead::Algorithm;
use aes_gcm::Aes128Gcm;
use alloc::sync::Arc;
use alloc::vec;
use chacha20poly1305::ChaCha20Poly1305;
pub(crate) use exchange::secret_key;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CipherSuiteCommon, CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::{CipherSuite, SupportedCipherSuite, Tls13CipherSuite};
pub(crate) use signing::EcdsaKey;

/// Records under one AES-GCM key (RFC 8446 section 5.5: 2^24.5 full-sized ones).
const AES_GCM_RECORDS_MAX: u64 = 1 << 24;

static AES_128_GCM: Tls13CipherSuite = Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: CipherSuite::TLS13_AES_128_GCM_SHA256,
        hash_provider: &hash::Sha256,
        confidentiality_limit: AES_GCM_RECORDS_MAX,
    },
    hkdf_provider: &HkdfUsingHmac(&hash::HmacSha256),
    aead_alg: &Algorithm::<Aes128Gcm>::NEW,
    quic: None,
};

static CHACHA20_POLY1305: Tls13CipherSuite = Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        hash_provider: &hash::Sha256,
        confidentiality_limit: u64::MAX,
    },
    hkdf_provider: &HkdfUsingHmac(&hash::HmacSha256),
    aead_alg: &Algorithm::<ChaCha20Poly1305>::NEW,
    quic: None,
};

/// All of it, what is preferred first: without AVX, which the image does not turn on, ChaCha20 is
/// twice as fast as AES-GCM, whose GHASH is in software then.
///
/// Clients are asked for no certificate, so that no signature is ever verified.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            SupportedCipherSuite::Tls13(&CHACHA20_POLY1305),
            SupportedCipherSuite::Tls13(&AES_128_GCM),
        ],
        kx_groups: vec![&exchange::X25519, &exchange::Secp256r1],
        signature_verification_algorithms: WebPkiSupportedAlgorithms {
            all: &[],
            mapping: &[],
        },
        secure_random: &random::Seeded,
        key_provider: &signing::Keys,
    })
}
