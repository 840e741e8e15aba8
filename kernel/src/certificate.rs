//! The certificate of `https.port`: given, kept, or made at first boot.
//!
//! One that is a setting is shown as it is. Else the one that is kept in the store is; where there
//! is none, one is made that nobody vouches for, and kept.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::task::Poll;
use service::{Service, certificate_key};
use store::{
    At, Batch, BucketName, Change, Condition, Headers, Reader, State, Store, Ticket, Unavailable,
};
use tls::{Identity, self_signed};

/// How a certificate can be given.
const GIVE: &str = "give one: `curl -T PEM http://ADMIN:8081/-/admin/tls`, or vm-data/tls_cert and vm-data/tls_key";

/// How far it is.
pub(crate) enum FirstCertificate {
    /// The store is not open yet, or there is no address yet.
    Waiting,
    /// It is being read.
    Reading(Box<Reader>, Vec<u8>),
    /// It is being written.
    Writing(Ticket, Box<Identity>),
    /// Nothing more to do.
    Settled,
}

/// What a first certificate is made of.
pub(crate) struct Maker<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) address: Option<IpAddr>,
    pub(crate) unix_s: u64,
}

impl FirstCertificate {
    /// Puts in force what was set, if something was: a certificate and its key.
    pub(crate) fn begin(service: &mut Service, set: [Option<&str>; 2]) -> FirstCertificate {
        let [certificate, key] = match set {
            [None, None] => return FirstCertificate::Waiting,
            set => set,
        };
        service.note_certificate_set();
        let (Some(certificate), Some(key)) = (certificate, key) else {
            log::error!("tls: set both tls.cert and tls.key; https.port is not served until then");
            return FirstCertificate::Settled;
        };
        match Identity::of_pem(certificate.as_bytes(), key.as_bytes()) {
            Ok(identity) => {
                said(&identity, "of tls.cert");
                service.put_certificate_in_force(identity);
            }
            Err(error) => log::error!(
                "tls: tls.cert and tls.key: {error}; https.port is not served until then"
            ),
        }
        FirstCertificate::Settled
    }

    /// Whether the store has to do with it.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(
            self,
            FirstCertificate::Reading(..) | FirstCertificate::Writing(..)
        )
    }

    /// Advances.
    pub(crate) fn step(&mut self, service: &mut Service, maker: Maker<'_>) {
        let is_written = matches!(self, FirstCertificate::Writing(..));
        if service.has_certificate() && !is_written {
            // The owner was first.
            *self = FirstCertificate::Settled;
        }
        *self = match core::mem::replace(self, FirstCertificate::Settled) {
            FirstCertificate::Settled => return,
            FirstCertificate::Waiting => look(service, maker),
            FirstCertificate::Reading(reader, text) => read(*reader, text, service),
            FirstCertificate::Writing(ticket, identity) => {
                match service.store_mut().outcome(&ticket) {
                    Poll::Pending => FirstCertificate::Writing(ticket, identity),
                    Poll::Ready(result) => {
                        if let Err(refusal) = result {
                            log::warn!(
                                "tls: the certificate that was made is perhaps not kept \
                                 ({refusal:?}); it holds until the next boot"
                            );
                        }
                        put_in_force(service, *identity)
                    }
                }
            }
        };
    }
}

fn look(service: &mut Service, maker: Maker<'_>) -> FirstCertificate {
    let is_opening = matches!(service.store().state(), State::Opening);
    if is_opening || maker.address.is_none() {
        return FirstCertificate::Waiting;
    }
    let (system, key) = (BucketName::system(), certificate_key());
    match service.store_mut().open_value(At::NOW, &system, &key) {
        Ok(Some((_, reader))) => read(reader, Vec::new(), service),
        // Where the store is not open, one is made for this boot.
        Ok(None) | Err(Unavailable::Refused(_)) => make(service, maker),
        Err(_) => FirstCertificate::Waiting,
    }
}

fn read(mut reader: Reader, mut text: Vec<u8>, service: &mut Service) -> FirstCertificate {
    loop {
        match service.store_mut().read(&mut reader) {
            Poll::Pending => return FirstCertificate::Reading(Box::new(reader), text),
            Poll::Ready(Ok(Some(piece))) => text.extend_from_slice(&piece),
            Poll::Ready(Ok(None)) => break,
            Poll::Ready(Err(error)) => {
                log::error!("tls: the certificate that is kept cannot be read ({error:?}); {GIVE}");
                return FirstCertificate::Settled;
            }
        }
    }
    match Identity::of_pem(&text, &text) {
        Ok(identity) => {
            said(&identity, "that is kept");
            put_in_force(service, identity)
        }
        Err(error) => {
            log::error!("tls: the certificate that is kept: {error}; {GIVE}");
            FirstCertificate::Settled
        }
    }
}

fn make(service: &mut Service, maker: Maker<'_>) -> FirstCertificate {
    let pem = match self_signed(maker.hostname, maker.address, maker.unix_s) {
        Ok(pem) => pem,
        Err(why) => {
            log::error!("tls: no certificate can be made ({why}); {GIVE}");
            return FirstCertificate::Settled;
        }
    };
    let text = [pem.certificate, pem.key].concat();
    let identity = Identity::of_pem(text.as_bytes(), text.as_bytes());
    let identity = identity.expect("what is made here is taken here");
    said(&identity, "that was made here, which no client trusts");
    match keep(service.store_mut(), text) {
        Ok(ticket) => FirstCertificate::Writing(ticket, Box::new(identity)),
        Err(refusal) => {
            log::warn!("tls: it could not be kept ({refusal:?}); it holds until the next boot");
            put_in_force(service, identity)
        }
    }
}

fn keep(store: &mut Store, text: String) -> Result<Ticket, store::Refusal> {
    let change = Change::Put {
        value: text.into_bytes(),
        headers: Headers::default(),
    };
    let key = certificate_key();
    let changes = alloc::vec![(BucketName::system(), key, Condition::Absent, change)];
    store.submit(Batch { changes })
}

fn put_in_force(service: &mut Service, identity: Identity) -> FirstCertificate {
    // That of the owner came later, and is kept.
    if !service.has_certificate() {
        service.put_certificate_in_force(identity);
    }
    FirstCertificate::Settled
}

fn said(identity: &Identity, which: &str) {
    let fingerprint = identity.fingerprint();
    log::info!("tls: the certificate {which}: SHA-256 {fingerprint}");
}
