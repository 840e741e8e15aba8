//! Who this server is: a certificate and its key, and what sessions are begun with.

use crate::provider::{self, EcdsaKey};
use crate::tickets::{Clock, Tickets};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use rustls::version::TLS13;
use sha2::{Digest, Sha256};

/// The only protocol that is spoken (RFC 7301, RFC 9112).
const ALPN: &[u8] = b"http/1.1";

/// A certificate that clients are shown, with its key.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    tickets: Arc<Tickets>,
    clock: Arc<Clock>,
    fingerprint: [u8; 32],
}

/// Why a certificate or its key is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// There is no certificate in the PEM text, or one of them cannot be read.
    Certificate,
    /// There is no key in the PEM text that is on P-256.
    Key,
    /// The key is another than that of the first certificate.
    Mismatch,
    /// What rustls says.
    Refused(String),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdentityError::Certificate => {
                "the certificate is not PEM: it begins with `-----BEGIN CERTIFICATE-----`"
            }
            IdentityError::Key => {
                "the key is not PEM of a key on P-256: make one with `openssl genpkey -algorithm \
                 EC -pkeyopt ec_paramgen_curve:P-256`"
            }
            IdentityError::Mismatch => {
                "the key does not belong to the first certificate: give the certificate of the \
                 server first, then those of its issuers"
            }
            IdentityError::Refused(why) => return write!(f, "the certificate is refused: {why}"),
        })
    }
}

impl Identity {
    /// An identity from PEM: the certificate first, then those that lead to a root; the key as
    /// PKCS #8 or SEC 1.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn of_pem(certificates: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificates).collect();
        let certificates = certificates.map_err(|_| IdentityError::Certificate)?;
        let Some(first) = certificates.first() else {
            return Err(IdentityError::Certificate);
        };
        let fingerprint = Sha256::digest(first).into();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::Key)?;
        EcdsaKey::of(&key).map_err(|_| IdentityError::Key)?;
        let clock = Arc::<Clock>::default();
        let refused = |error: rustls::Error| match error {
            rustls::Error::InconsistentKeys(_) => IdentityError::Mismatch,
            error => IdentityError::Refused(error.to_string()),
        };
        let config = ServerConfig::builder_with_details(provider::provider(), clock.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(certificates, key);
        let mut config = config.map_err(refused)?;
        config.ignore_client_order = true;
        config.alpn_protocols = vec![ALPN.to_vec()];
        let tickets = Arc::new(Tickets::new(Arc::clone(&clock)));
        config.ticketer = Arc::clone(&tickets) as Arc<dyn ProducesTickets>;
        Ok(Identity {
            config: Arc::new(config),
            tickets,
            clock,
            fingerprint,
        })
    }

    /// Tells the wall clock, in seconds since 1970: tickets age by it.
    pub fn note_time(&self, unix_s: u64) {
        self.clock.set(unix_s);
    }

    /// Takes no ticket any more that was given out before.
    pub fn forget_tickets(&self) {
        self.tickets.forget();
    }

    /// SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` writes it.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for byte in self.fingerprint {
            let colon = if text.is_empty() { "" } else { ":" };
            let written = write!(text, "{colon}{byte:02X}");
            written.expect("a string takes all");
        }
        text
    }
}
