//! Key exchange: X25519 (RFC 7748) and secp256r1 (RFC 8446 section 4.2.8.2).

use crate::random;
use alloc::boxed::Box;
use alloc::vec::Vec;
use p256::elliptic_curve::sec1::ToSec1Point;
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::x25519;
use zeroize::Zeroizing;

/// X25519.
#[derive(Debug)]
pub(super) struct X25519;

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = Zeroizing::new(random::array()?);
        let ours = x25519(*secret, x25519_dalek::X25519_BASEPOINT_BYTES);
        Ok(Box::new(ActiveX25519 { secret, ours }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct ActiveX25519 {
    secret: Zeroizing<[u8; 32]>,
    ours: [u8; 32],
}

impl ActiveKeyExchange for ActiveX25519 {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        let theirs: [u8; 32] = theirs.try_into().map_err(|_| invalid_share())?;
        let shared = Zeroizing::new(x25519(*self.secret, theirs));
        // RFC 8446 section 7.4.2: a share of small order is refused.
        match *shared == [0; 32] {
            true => Err(invalid_share()),
            false => Ok(SharedSecret::from(&shared[..])),
        }
    }

    fn pub_key(&self) -> &[u8] {
        &self.ours
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// secp256r1, which is P-256.
#[derive(Debug)]
pub(super) struct Secp256r1;

impl SupportedKxGroup for Secp256r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = secret_key()?;
        let ours = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Box::new(ActiveSecp256r1 { secret, ours }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp256r1
    }
}

/// A fresh key: of 2^32 draws, less than one is no scalar of the curve.
pub(crate) fn secret_key() -> Result<p256::SecretKey, Error> {
    loop {
        let bytes = Zeroizing::new(random::array::<32>()?);
        if let Ok(secret) = p256::SecretKey::from_slice(&*bytes) {
            return Ok(secret);
        }
    }
}

struct ActiveSecp256r1 {
    secret: p256::SecretKey,
    ours: Vec<u8>,
}

impl ActiveKeyExchange for ActiveSecp256r1 {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        // Uncompressed, and nothing else (RFC 8446 section 4.2.8.2).
        if theirs.first() != Some(&4) {
            return Err(invalid_share());
        }
        // Whether it is a point of the curve is looked at here.
        let theirs = p256::PublicKey::from_sec1_bytes(theirs).map_err(|_| invalid_share())?;
        let shared =
            p256::ecdh::diffie_hellman(self.secret.to_nonzero_scalar(), theirs.as_affine());
        Ok(SharedSecret::from(&shared.raw_secret_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.ours
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp256r1
    }
}

fn invalid_share() -> Error {
    Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare)
}
