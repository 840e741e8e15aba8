//! One connection: records in, plain bytes out, and the other way round.

use crate::identity::Identity;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};

/// Longest record, its header with it (RFC 8446 section 5.2).
const RECORD_BYTES_MAX: usize = 5 + (1 << 14) + 256;
/// As much of a handshake is kept that is not whole: clients say less than half of it.
const HELLO_BYTES_MAX: usize = 8 << 10;
/// Plain bytes of one record.
const PLAIN_BYTES_MAX: usize = 1 << 14;
/// What a record has beside its plain bytes: header, content type, and tag.
const OVERHEAD_BYTES: usize = 5 + 1 + 16;

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A server's side of one connection.
pub struct Session {
    connection: UnbufferedServerConnection,
    /// Records that are not whole, or not looked at.
    incoming: Vec<u8>,
    /// What was in records, and is not taken.
    plain: Vec<u8>,
    plain_at: usize,
    /// Records that are to be sent.
    outgoing: Vec<u8>,
    outgoing_at: usize,
    peer_closed: bool,
    failure: Option<Failure>,
}

/// What a turn of the protocol is to do beside going on.
enum Ask<'a> {
    Nothing,
    /// Seals these bytes: at most [`PLAIN_BYTES_MAX`].
    Seal(&'a [u8]),
    /// Says that no more is sent.
    Close,
}

impl Session {
    /// Most that a session holds between two calls, beside the certificate it shows: its keys, and
    /// a record that is not whole or not taken, or a handshake's.
    pub const BYTES_MAX: usize = 24 << 10;

    /// A session that begins now.
    ///
    /// # Errors
    /// What rustls says: no randomness, or no memory.
    pub fn new(identity: &Identity) -> Result<Session, Failure> {
        let config = identity.config.clone();
        let connection = UnbufferedServerConnection::new(config);
        Ok(Session {
            connection: connection.map_err(|error| Failure(error.to_string()))?,
            incoming: Vec::new(),
            plain: Vec::new(),
            plain_at: 0,
            outgoing: Vec::new(),
            outgoing_at: 0,
            peer_closed: false,
            failure: None,
        })
    }

    /// Takes bytes as they come from the network; how many. None while plain bytes wait.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        if !self.plain().is_empty() {
            return 0;
        }
        if self.is_over() {
            return bytes.len();
        }
        let bytes_max = match self.is_established() {
            true => RECORD_BYTES_MAX,
            false => HELLO_BYTES_MAX,
        };
        let room = bytes_max.saturating_sub(self.incoming.len());
        let taken = room.min(bytes.len());
        self.incoming.reserve_exact(taken);
        self.incoming.extend_from_slice(&bytes[..taken]);
        self.turn(Ask::Nothing);
        if self.incoming.len() >= bytes_max && !self.is_over() && self.plain().is_empty() {
            self.fail("what has come is longer than any record");
        }
        taken
    }

    /// What has come and was not dropped yet.
    pub fn plain(&self) -> &[u8] {
        &self.plain[self.plain_at..]
    }

    /// These many of the plain bytes are done with.
    pub fn drop_plain(&mut self, bytes: usize) {
        self.plain_at += bytes;
        assert!(
            self.plain_at <= self.plain.len(),
            "only what is there is dropped"
        );
        if self.plain_at == self.plain.len() {
            (self.plain, self.plain_at) = (Vec::new(), 0);
            self.turn(Ask::Nothing);
        }
    }

    /// Seals bytes of an answer, as many as fit one record and `room_bytes` of the network.
    pub fn seal(&mut self, segments: &[&[u8]], room_bytes: usize) -> usize {
        let room = room_bytes
            .saturating_sub(OVERHEAD_BYTES)
            .min(PLAIN_BYTES_MAX);
        let mut bytes = Vec::with_capacity(room.min(segments.iter().map(|s| s.len()).sum()));
        for segment in segments {
            let count = segment.len().min(room - bytes.len());
            bytes.extend_from_slice(&segment[..count]);
        }
        if bytes.is_empty() || self.turn(Ask::Seal(&bytes)) {
            return bytes.len();
        }
        if self.failure.is_none() {
            // There would be a hole in what the peer reads.
            self.fail("bytes could not be sealed");
        }
        0
    }

    /// Says that no more is sent (`close_notify`).
    pub fn close(&mut self) {
        self.turn(Ask::Close);
    }

    /// Records that are to be sent.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing[self.outgoing_at..]
    }

    /// These many of them are on their way.
    pub fn drop_outgoing(&mut self, bytes: usize) {
        self.outgoing_at += bytes;
        assert!(
            self.outgoing_at <= self.outgoing.len(),
            "only what is there is dropped"
        );
        if self.outgoing_at == self.outgoing.len() {
            (self.outgoing, self.outgoing_at) = (Vec::new(), 0);
        }
    }

    /// Whether answers may be sent already.
    pub fn is_established(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Whether nothing more comes: the peer said so, or the session has failed.
    pub fn is_over(&self) -> bool {
        self.peer_closed || self.failure.is_some()
    }

    /// Why it has failed, if it has.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Goes on until the peer has to move, or plain bytes are to be taken; whether it has done
    /// what was asked.
    fn turn(&mut self, mut ask: Ask<'_>) -> bool {
        if self.failure.is_some() {
            return false;
        }
        let (mut at, mut is_done) = (0, false);
        while self.plain_at == self.plain.len() || !matches!(ask, Ask::Nothing) {
            let records = &mut self.incoming[at..];
            let UnbufferedStatus { discard, state, .. } =
                self.connection.process_tls_records(records);
            at += discard;
            let goes_on = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        self.plain.extend_from_slice(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut self.outgoing, &mut data);
                    true
                }
                // What is encoded waits here, and goes out in order.
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let ask = core::mem::replace(&mut ask, Ask::Nothing);
                    is_done = write(&mut self.outgoing, &mut traffic, ask);
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    true
                }
                // Early data is never offered; and a peer has to move, or never will.
                Ok(_) => false,
                Err(error) => {
                    self.fail(&error.to_string());
                    return false;
                }
            };
            if !goes_on {
                break;
            }
        }
        self.incoming.drain(..at);
        let is_wide = self.incoming.capacity() > 2 * self.incoming.len();
        if is_wide || !self.plain().is_empty() {
            self.incoming.shrink_to_fit();
        }
        is_done
    }

    /// It is over. The alert that tells why is still to be encoded, and nothing that has come is
    /// looked at any more: rustls remembers places in it.
    fn fail(&mut self, why: &str) {
        self.failure = Some(Failure(why.into()));
        self.incoming = Vec::new();
        while self.connection.wants_write() {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut self.outgoing, &mut data);
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while traffic.next_record().is_some() {}
                }
                _ => break,
            }
        }
    }
}

fn encode(outgoing: &mut Vec<u8>, data: &mut EncodeTlsData<'_, ServerConnectionData>) {
    put(outgoing, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(size) => Some(size),
            EncodeError::AlreadyEncoded => None,
        })
    });
}

fn write(
    outgoing: &mut Vec<u8>,
    traffic: &mut WriteTraffic<'_, ServerConnectionData>,
    ask: Ask<'_>,
) -> bool {
    let told = |error| match error {
        EncryptError::InsufficientSize(size) => Some(size),
        EncryptError::EncryptExhausted => None,
    };
    match ask {
        Ask::Nothing => true,
        Ask::Seal(bytes) => put(outgoing, |room| traffic.encrypt(bytes, room).map_err(told)),
        Ask::Close => put(outgoing, |room| {
            traffic.queue_close_notify(room).map_err(told)
        }),
    }
}

/// Has `encode` write behind `outgoing`, in as much room as it says it wants; whether it has.
fn put(
    outgoing: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> bool {
    let before = outgoing.len();
    let mut written = encode(&mut []);
    if let Err(Some(InsufficientSizeError { required_size })) = written {
        outgoing.resize(before + required_size, 0);
        written = encode(&mut outgoing[before..]);
    }
    outgoing.truncate(before + written.as_ref().map_or(0, |written| *written));
    written.is_ok()
}
