//! The other side of TLS, for tests: rustls's own client, without a socket.
//!
//! It takes every certificate, and looks at who signed the handshake with it.
#![forbid(unsafe_code)]

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
pub use rustls::{Error, HandshakeKind};
use std::io::{Read, Write};
use std::sync::Arc;

/// Clients that share the tickets they are given.
#[derive(Clone, Debug)]
pub struct TlsClients(Arc<ClientConfig>);

/// A client: what it says and hears in the clear, and its records.
#[derive(Debug)]
pub struct TlsClient {
    connection: ClientConnection,
    heard: Vec<u8>,
}

impl Default for TlsClients {
    fn default() -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        TlsClients(Arc::new(config))
    }
}

impl TlsClients {
    /// One that begins now.
    ///
    /// # Panics
    /// Never: its name is one.
    pub fn begin(&self) -> TlsClient {
        let name = ServerName::try_from("lampion.test").expect("it is a name");
        let connection = ClientConnection::new(Arc::clone(&self.0), name);
        let mut connection = connection.expect("the configuration is whole");
        connection.set_buffer_limit(None);
        TlsClient {
            connection,
            heard: Vec::new(),
        }
    }
}

impl TlsClient {
    /// Says something.
    ///
    /// # Panics
    /// When it has said that it says no more.
    pub fn say(&mut self, bytes: &[u8]) {
        let mut writer = self.connection.writer();
        writer.write_all(bytes).expect("there is no limit");
    }

    /// Takes other keys, and asks for others.
    ///
    /// # Panics
    /// Before the handshake is over.
    pub fn renew_keys(&mut self) {
        let renewed = self.connection.refresh_traffic_keys();
        renewed.expect("the handshake is over");
    }

    /// Says that it says no more.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Records to be sent.
    ///
    /// # Panics
    /// Never: a `Vec` takes all.
    pub fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.connection.wants_write() {
            let written = self.connection.write_tls(&mut records);
            written.expect("a Vec takes all");
        }
        records
    }

    /// Takes bytes that came.
    ///
    /// # Errors
    /// What is wrong with them.
    ///
    /// # Panics
    /// Never: what is heard is taken out each time.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes).expect("there is room");
            self.connection.process_new_packets()?;
            // Until it would block, or the end.
            let _ = self.connection.reader().read_to_end(&mut self.heard);
        }
        Ok(())
    }

    /// What was heard since the last call.
    pub fn heard(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard)
    }

    /// How the session began; nothing before it has.
    pub fn kind(&self) -> Option<HandshakeKind> {
        let is_begun = !self.connection.is_handshaking();
        self.connection.handshake_kind().filter(|_| is_begun)
    }

    /// The cipher that was agreed on, by its name.
    ///
    /// # Panics
    /// Before the handshake is over.
    pub fn cipher(&self) -> String {
        let suite = self.connection.negotiated_cipher_suite();
        format!("{:?}", suite.expect("the handshake is over").suite())
    }

    /// Whether the server has said that it says no more.
    pub fn is_closed(&mut self) -> bool {
        let state = self.connection.process_new_packets();
        state.is_ok_and(|state| state.peer_has_closed())
    }
}

/// Takes every certificate.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
