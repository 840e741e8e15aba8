//! The certificate that clients of `https.port` are shown, and another in its place.

mod keeping;

use crate::answer::Answer;
use crate::gauge::{Counted, Gauge};
use crate::json;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::service::Service;
use alloc::string::String;
pub(crate) use keeping::Keeping;
use keeping::Queue;
use store::{Batch, BucketName, Change, Condition, Headers, Key};
use tls::{Identity, Session};

/// Longest text: a certificate, those that lead to a root, and a key.
pub(crate) const PEM_BYTES_MAX: usize = 16 << 10;

/// Where it is kept in the appliance's own bucket: certificates and key as one text.
///
/// # Panics
/// Never: it is a short key.
pub fn certificate_key() -> Key {
    Key::new(b"tls.pem").expect("a short key")
}

/// What there is to show, and to whom it is shown.
#[derive(Default)]
pub(crate) struct Certificate {
    identity: Option<Identity>,
    /// It was given in `vm-data/`, or on the command line.
    is_set: bool,
    keeping: Queue,
    sessions: Gauge,
    /// Connections that wait for one of those to end.
    waiting: Gauge,
    /// There is no randomness.
    are_held: bool,
    handshake_steps: u64,
}

/// A session that has begun, counted as long as it is there.
pub(crate) struct Begun {
    pub(crate) session: Session,
    _counted: Counted,
}

impl Service {
    /// Puts a certificate in force.
    pub fn put_certificate_in_force(&mut self, identity: Identity) {
        self.certificate.identity = Some(identity);
    }

    /// The certificate is a setting, good or not: no other takes its place.
    pub fn note_certificate_set(&mut self) {
        self.certificate.is_set = true;
    }

    /// No session is taken up any more that began before: the domain may have gone on twice.
    pub fn forget_tickets(&self) {
        if let Some(identity) = &self.certificate.identity {
            identity.forget_tickets();
        }
    }

    /// Whether there is a certificate to show.
    pub fn has_certificate(&self) -> bool {
        self.certificate.identity.is_some()
    }

    /// How many sessions there are, and how many may be.
    pub fn sessions(&self) -> (u32, u32) {
        let most = self.config.limits.sessions_bytes / Session::BYTES_MAX as u64;
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        (self.certificate.sessions.count(), most)
    }

    /// How many connections wait for a session to end, so that theirs can begin.
    pub fn sessions_wanted(&self) -> u32 {
        self.certificate.waiting.count()
    }

    /// Without good randomness no session begins.
    pub fn hold_sessions(&mut self, are_held: bool) {
        self.certificate.are_held = are_held;
    }

    /// Whether no session begins, since there is no good randomness.
    pub fn sessions_are_held(&self) -> bool {
        self.certificate.are_held
    }

    /// A step of a handshake, and whether it brought anything.
    pub(crate) fn note_handshake(&mut self, has_worked: bool) {
        self.certificate.handshake_steps += u64::from(has_worked);
    }

    /// Steps of handshakes that brought something, ever: each takes as long as many requests.
    pub fn handshake_steps(&self) -> u64 {
        self.certificate.handshake_steps
    }

    /// Waits for a session to end.
    pub(crate) fn wait_for_session(&mut self) -> Counted {
        self.counters.tls_waits += 1;
        self.certificate.waiting.enter()
    }

    /// Connections that had to wait for a session to end, ever.
    pub fn session_waits(&self) -> u64 {
        self.counters.tls_waits
    }

    /// Whether one more session can begin: of who waits already, or beside those who wait.
    pub(crate) fn has_room_for_session(&self, is_waiting: bool) -> bool {
        let (sessions, most) = self.sessions();
        let before = if is_waiting {
            0
        } else {
            self.sessions_wanted()
        };
        sessions.saturating_add(before) < most
    }

    /// A session for a connection; none where none can begin, which is said.
    pub(crate) fn begin_session(&mut self) -> Option<Begun> {
        let session = Session::new(self.certificate.identity.as_ref()?);
        match session {
            Ok(session) => Some(Begun {
                session,
                _counted: self.certificate.sessions.enter(),
            }),
            Err(failure) => {
                log::error!("tls: no session can begin: {failure}");
                None
            }
        }
    }

    /// Tells the certificate's tickets the time.
    pub(crate) fn note_certificate_time(&self, wall_ns: u64) {
        if let Some(identity) = &self.certificate.identity {
            identity.note_time(wall_ns / 1_000_000_000);
        }
    }

    /// What `/-/admin/tls` tells.
    pub(crate) fn told_certificate(&self) -> Result<Answer, Problem> {
        let Some(identity) = &self.certificate.identity else {
            let detail = "There is none yet: the console says why, or https.port is off.";
            return Err(Problem::new(Kind::NoCertificate, detail));
        };
        Ok(told(&identity.fingerprint()))
    }

    /// Keeps another, which comes into force once it is kept.
    ///
    /// # Errors
    /// The refusal to answer with; nothing was changed.
    pub(crate) fn keep_certificate(&mut self, text: &[u8]) -> Result<Keeping, Problem> {
        if self.certificate.is_set {
            let detail = "tls.cert and tls.key are set, as vm-data/tls_cert and vm-data/tls_key: change them there.";
            return Err(Problem::new(Kind::CertificateSet, detail));
        }
        let identity = Identity::of_pem(text, text);
        let identity = identity.map_err(|error| {
            let detail = alloc::format!("Nothing was changed: {error}.");
            Problem::new(Kind::BadCertificate, detail)
        })?;
        let change = Change::Put {
            value: text.to_vec(),
            headers: Headers::default(),
        };
        let (system, key) = (BucketName::system(), certificate_key());
        let changes = alloc::vec![(system, key, Condition::None, change)];
        let ticket = self.store.submit(Batch { changes });
        let ticket = ticket.map_err(refusal::problem)?;
        let keeping = Keeping::default();
        let kept = (ticket, identity, keeping.clone());
        self.certificate.keeping.push_back(kept);
        Ok(keeping)
    }
}

/// A certificate as JSON.
fn told(fingerprint: &str) -> Answer {
    let mut out = String::from("{");
    json::push_member(&mut out, "fingerprint_sha256", fingerprint);
    out.push_str("}\n");
    Answer::text(200, "application/json", out)
}
