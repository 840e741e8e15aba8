//! Records, sealed and opened (RFC 8446 section 5.2).

use aes_gcm::aead::{AeadInOut, KeyInit, KeySizeUser, Nonce as AeadNonce};
use alloc::boxed::Box;
use core::marker::PhantomData;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter,
    Nonce, OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError, make_tls13_aad,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

/// Of both algorithms.
const TAG_BYTES: usize = 16;

/// An algorithm, without a key.
pub(super) struct Algorithm<A>(PhantomData<fn() -> A>);

impl<A> Algorithm<A> {
    pub(super) const NEW: Self = Algorithm(PhantomData);
}

/// What a cipher has to do.
trait Cipher: AeadInOut + KeyInit + Send + Sync + 'static {}

impl<A: AeadInOut + KeyInit + Send + Sync + 'static> Cipher for A {}

impl<A: Cipher> Tls13AeadAlgorithm for Algorithm<A> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Direction::<A>::new(&key, iv))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Direction::<A>::new(&key, iv))
    }

    fn key_len(&self) -> usize {
        <A as KeySizeUser>::key_size()
    }

    fn extract_keys(
        &self,
        _key: AeadKey,
        _iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

/// One direction of a connection.
struct Direction<A> {
    cipher: A,
    iv: Iv,
}

impl<A: Cipher> Direction<A> {
    fn new(key: &AeadKey, iv: Iv) -> Self {
        let cipher = A::new_from_slice(key.as_ref());
        Direction {
            cipher: cipher.expect("rustls gives as long a key as it was asked for"),
            iv,
        }
    }

    fn nonce(&self, seq: u64) -> AeadNonce<A> {
        let Nonce(nonce) = Nonce::new(&self.iv, seq);
        let nonce = AeadNonce::<A>::try_from(&nonce[..]);
        nonce.expect("the nonces of both algorithms have 12 bytes")
    }
}

impl<A: Cipher> MessageEncrypter for Direction<A> {
    fn encrypt(
        &mut self,
        msg: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let sealed_len = self.encrypted_payload_len(msg.payload.len());
        let mut payload = PrefixedPayload::with_capacity(sealed_len);
        payload.extend_from_chunks(&msg.payload);
        payload.extend_from_slice(&[u8::from(msg.typ)]);
        let (nonce, aad) = (self.nonce(seq), make_tls13_aad(sealed_len));
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &aad, payload.as_mut().into());
        payload.extend_from_slice(&tag.map_err(|_| Error::EncryptError)?);
        // Section 5.1: all records are said to be of TLS 1.2.
        let (typ, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
        Ok(OutboundOpaqueMessage::new(typ, version, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1 + TAG_BYTES
    }
}

impl<A: Cipher> MessageDecrypter for Direction<A> {
    fn decrypt<'a>(
        &mut self,
        mut msg: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let (nonce, aad) = (self.nonce(seq), make_tls13_aad(msg.payload.len()));
        let Some((sealed, tag)) = msg.payload.split_last_chunk_mut::<TAG_BYTES>() else {
            return Err(Error::DecryptError);
        };
        let plain_len = sealed.len();
        let tag = aes_gcm::aead::Tag::<A>::try_from(&tag[..]).map_err(|_| Error::DecryptError)?;
        let opened = self
            .cipher
            .decrypt_inout_detached(&nonce, &aad, sealed.into(), &tag);
        opened.map_err(|_| Error::DecryptError)?;
        msg.payload.truncate(plain_len);
        msg.into_tls13_unpadded_message()
    }
}
