//! A certificate that nobody vouches for, made where none was given (RFC 5280).

use crate::provider::secret_key;
use crate::random;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder, Error};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::EncodePem;
use x509_cert::der::asn1::{GeneralizedTime, Ia5String, OctetString, UtcTime};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

/// How long it holds: nobody renews what nobody trusts.
const VALID_S: u64 = 10 * 365 * 24 * 60 * 60;
/// Clocks of clients may be behind.
const EARLIER_S: u64 = 24 * 60 * 60;

/// A certificate and its key, as files have them.
#[derive(Clone)]
pub struct Pem {
    /// The certificate.
    pub certificate: String,
    /// Its key, as PKCS #8.
    pub key: String,
}

/// Makes a key and a certificate of it for `name` and `address`; the clock says `unix_s`.
///
/// # Errors
/// No randomness was seeded, or the name cannot stand in a certificate.
pub fn self_signed(name: &str, address: Option<IpAddr>, unix_s: u64) -> Result<Pem, String> {
    let told = |error: Error| error.to_string();
    let key = SigningKey::from(secret_key().map_err(|error| error.to_string())?);
    let mut serial: [u8; 16] = random::array().map_err(|_| "no randomness".to_string())?;
    // It is to be positive, and as long as it is.
    serial[0] = serial[0] & 0x7f | 0x40;
    let public = SubjectPublicKeyInfo::from_key(key.verifying_key());
    let profile = Named::of(name, address).map_err(told)?;
    let builder = CertificateBuilder::new(
        profile,
        SerialNumber::new(&serial).map_err(|error| error.to_string())?,
        validity(unix_s).map_err(told)?,
        public.map_err(|error| error.to_string())?,
    );
    let certificate = builder
        .map_err(told)?
        .build::<_, DerSignature>(&key)
        .map_err(told)?;
    let certificate = certificate.to_pem(LineEnding::LF);
    let key = key.to_pkcs8_pem(LineEnding::LF);
    Ok(Pem {
        certificate: certificate.map_err(|error| error.to_string())?,
        key: key.map_err(|error| error.to_string())?.to_string(),
    })
}

fn validity(unix_s: u64) -> Result<Validity, Error> {
    let at = |unix_s| {
        let since_epoch = Duration::from_secs(unix_s);
        // Before 2050 it has to be a UTCTime (RFC 5280 section 4.1.2.5).
        match UtcTime::from_unix_duration(since_epoch) {
            Ok(time) => Ok(Time::UtcTime(time)),
            Err(_) => Ok::<Time, Error>(GeneralizedTime::from_unix_duration(since_epoch)?.into()),
        }
    };
    Ok(Validity::new(
        at(unix_s.saturating_sub(EARLIER_S))?,
        at(unix_s.saturating_add(VALID_S))?,
    ))
}

/// What is written in it beside the key.
struct Named {
    subject: Name,
    names: Vec<GeneralName>,
}

impl Named {
    fn of(name: &str, address: Option<IpAddr>) -> Result<Named, Error> {
        let mut names = vec![GeneralName::DnsName(Ia5String::new(name)?)];
        if let Some(address) = address {
            let bytes = match address {
                IpAddr::V4(address) => OctetString::new(address.octets())?,
                IpAddr::V6(address) => OctetString::new(address.octets())?,
            };
            names.push(GeneralName::IpAddress(bytes));
        }
        let subject = alloc::format!("CN={name}").parse()?;
        Ok(Named { subject, names })
    }
}

impl BuilderProfile for Named {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        _of: SubjectPublicKeyInfoRef<'_>,
        _by: SubjectPublicKeyInfoRef<'_>,
        certificate: &TbsCertificate,
    ) -> Result<Vec<Extension>, Error> {
        let subject = certificate.subject();
        let constraints = BasicConstraints {
            ca: false,
            path_len_constraint: None,
        };
        let usage = KeyUsage(KeyUsages::DigitalSignature.into());
        let server = ExtendedKeyUsage(vec![x509_cert::der::oid::db::rfc5280::ID_KP_SERVER_AUTH]);
        let mut all = Vec::new();
        all.push(constraints.to_extension(subject, &all)?);
        all.push(usage.to_extension(subject, &all)?);
        all.push(server.to_extension(subject, &all)?);
        let names = SubjectAltName(self.names.clone());
        all.push(names.to_extension(subject, &all)?);
        Ok(all)
    }
}
