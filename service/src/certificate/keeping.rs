//! Certificates that are being written, each of which comes into force once it is kept.

use crate::answer::Answer;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::service::Service;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::RefCell;
use core::task::Poll;
use store::{Refusal, Ticket};
use tls::Identity;

/// One that was asked for, and what becomes of it: its fingerprint, or why there is no other.
#[derive(Clone, Default)]
pub(crate) struct Keeping(Rc<RefCell<Option<Result<String, Refusal>>>>);

/// Those that are being written, in the order in which the store takes them.
pub(super) type Queue = VecDeque<(Ticket, Identity, Keeping)>;

impl Keeping {
    /// The answer, once there is one.
    pub(crate) fn outcome(&self) -> Option<Result<Answer, Problem>> {
        let outcome = self.0.borrow();
        Some(match outcome.as_ref()? {
            Ok(fingerprint) => Ok(super::told(fingerprint)),
            Err(Refusal::OutcomeUnknown) => Err(Problem::new(
                Kind::WriteOutcomeUnknown,
                "The disk failed while the new certificate was written. The old one is shown \
                 until the next boot; after it either may be.",
            )),
            Err(refusal) => Err(refusal::problem(refusal.clone())
                .about("The new certificate was not kept, and the old one is shown:")),
        })
    }
}

impl Service {
    /// Puts those in force that are kept, also where nobody waits for the answer any more.
    pub(crate) fn follow_certificates(&mut self) {
        while let Some((ticket, ..)) = self.certificate.keeping.front()
            && let Poll::Ready(outcome) = self.store.outcome(ticket)
            && let Some((_, identity, keeping)) = self.certificate.keeping.pop_front()
        {
            let fingerprint = identity.fingerprint();
            let outcome = match outcome {
                Ok(_) => {
                    log::info!("tls: another certificate: SHA-256 {fingerprint}");
                    self.put_certificate_in_force(identity);
                    Ok(fingerprint)
                }
                Err(Refusal::OutcomeUnknown) => {
                    log::error!(
                        "tls: the disk failed while the certificate {fingerprint} was written; \
                         the old one is shown until the next boot, and after it either may be"
                    );
                    Err(Refusal::OutcomeUnknown)
                }
                Err(refusal) => {
                    log::error!(
                        "tls: the certificate {fingerprint} was not kept ({refusal:?}); the old \
                         one is shown: send it again"
                    );
                    Err(refusal)
                }
            };
            *keeping.0.borrow_mut() = Some(outcome);
        }
    }
}
