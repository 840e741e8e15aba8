//! SHA-256 and its HMAC (FIPS 180-4, RFC 2104).

use alloc::boxed::Box;
use hmac::{Hmac, KeyInit, Mac};
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::{Hmac as HmacProvider, Key, Tag};
use sha2::Digest;

const OUTPUT_BYTES: usize = 32;

/// SHA-256.
pub(super) struct Sha256;

impl Hash for Sha256 {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Hashing(sha2::Sha256::new()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(&sha2::Sha256::digest(data))
    }

    fn output_len(&self) -> usize {
        OUTPUT_BYTES
    }

    fn algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }
}

struct Hashing(sha2::Sha256);

impl Context for Hashing {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Hashing(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

/// HMAC with SHA-256.
pub(super) struct HmacSha256;

impl HmacProvider for HmacSha256 {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        let keyed = Hmac::<sha2::Sha256>::new_from_slice(key);
        Box::new(Keyed(keyed.expect("a key may have any length")))
    }

    fn hash_output_len(&self) -> usize {
        OUTPUT_BYTES
    }
}

struct Keyed(Hmac<sha2::Sha256>);

impl Key for Keyed {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        for piece in middle {
            mac.update(piece);
        }
        mac.update(last);
        Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        OUTPUT_BYTES
    }
}
