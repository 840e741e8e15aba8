//! The key of the certificate: ECDSA on P-256 with SHA-256.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey as P256};
use p256::pkcs8::{DecodePrivateKey, EncodePublicKey};
use rustls::crypto::KeyProvider;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// Makes keys of what files have.
#[derive(Debug)]
pub(super) struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, der: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Ok(Arc::new(EcdsaKey::of(&der)?))
    }
}

/// A private key on P-256.
#[derive(Clone)]
pub(crate) struct EcdsaKey {
    key: Arc<P256>,
    public: Arc<[u8]>,
}

impl core::fmt::Debug for EcdsaKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("EcdsaKey")
    }
}

impl EcdsaKey {
    /// A key as PKCS #8 or SEC 1 write it.
    pub(crate) fn of(der: &PrivateKeyDer<'_>) -> Result<EcdsaKey, Error> {
        let key = match der {
            PrivateKeyDer::Pkcs8(der) => P256::from_pkcs8_der(der.secret_pkcs8_der()).ok(),
            PrivateKeyDer::Sec1(der) => p256::SecretKey::from_sec1_der(der.secret_sec1_der())
                .ok()
                .map(P256::from),
            _ => None,
        };
        let key = key.ok_or_else(|| Error::General("it is no key on the curve P-256".into()))?;
        let public = key.verifying_key().to_public_key_der();
        let public = public.map_err(|error| Error::General(error.to_string()))?;
        Ok(EcdsaKey {
            public: public.as_bytes().into(),
            key: Arc::new(key),
        })
    }
}

impl SigningKey for EcdsaKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let is_offered = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        is_offered.then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(&self.public[..]))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for EcdsaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature: DerSignature = self.key.sign(message);
        Ok(signature.as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
