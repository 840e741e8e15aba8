//! Another token in the place of the one that was made at first boot, as its owner asks.
//!
//! The roof makes it: it has the randomness, and it brings it into force even where nobody waits
//! for the answer any more.

use crate::answer::Answer;
use crate::config::{AuthMode, Token};
use crate::json;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::service::Service;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::RefCell;
use store::Refusal;

/// One that was asked for, and what becomes of it.
#[derive(Clone, Default)]
pub(crate) struct Rotation(Rc<RefCell<Option<Result<String, Unrotated>>>>);

/// Why the token stays what it was.
pub enum Unrotated {
    /// The CPU has no randomness for secrets.
    NoEntropy,
    /// The store did not keep it.
    Refused(Refusal),
    /// The disk failed while this one was written: after a restart it may be in force.
    Unknown(String),
}

impl Rotation {
    /// The answer, once there is one.
    pub(crate) fn outcome(&self) -> Option<Result<Answer, Problem>> {
        let outcome = self.0.borrow();
        Some(match outcome.as_ref()? {
            Ok(token) => {
                let mut out = String::from("{");
                json::push_member(&mut out, "token", token);
                out.push_str("}\n");
                Ok(Answer::text(200, "application/json", out))
            }
            Err(Unrotated::NoEntropy) => Err(Problem::new(
                Kind::NoEntropy,
                "This CPU has neither RDRAND nor RDSEED, so no token is made: set \
                 vm-data/auth_token.",
            )),
            Err(Unrotated::Unknown(token)) => Err(Problem::new(
                Kind::WriteOutcomeUnknown,
                alloc::format!(
                    "The disk failed while the new token was written. The old one holds until the \
                     next boot; after it either may: the new one is {token}."
                ),
            )),
            Err(Unrotated::Refused(refusal)) => Err(refusal::problem(refusal.clone())
                .about("The new token was not kept, and the old one holds:")),
        })
    }
}

/// Asks the roof for it; who asks while another is made gets that one.
///
/// # Errors
/// [`Kind::TokenSet`] where there is none that was made here.
pub(crate) fn ask(service: &mut Service) -> Result<Rotation, Problem> {
    let detail = match service.config.auth {
        AuthMode::Open => "auth=open is set: no token is asked for.",
        AuthMode::Token if service.is_token_made() => {
            return Ok(service.rotation.get_or_insert_default().clone());
        }
        AuthMode::Token => {
            "auth.token is set, as vm-data/auth_token or on the command line (`status` tells which): change \
             it there."
        }
    };
    Err(Problem::new(Kind::TokenSet, detail))
}

impl Service {
    /// Puts a token in force that was made here, in the place of the one before; what somebody
    /// watches by that one is over.
    pub fn put_in_force(&mut self, token: Token) {
        self.config.token = Some(token);
        self.tokens_made += 1;
    }

    /// Whether the token in force was made here, and not set.
    fn is_token_made(&self) -> bool {
        self.tokens_made > 0
    }

    /// Whether the owner has asked for another token, and the roof does not know.
    pub fn wants_rotation(&self) -> bool {
        self.rotation.is_some() && !self.is_rotating
    }

    /// Whether to make another token, once for each that is asked for: the roof sees to it, and
    /// says how it ended.
    pub fn begin_rotation(&mut self) -> bool {
        let wanted = self.wants_rotation();
        self.is_rotating |= wanted;
        wanted
    }

    /// Tells all who asked: the token that is in force now, or why there is no other.
    pub fn end_rotation(&mut self, outcome: Result<String, Unrotated>) {
        self.is_rotating = false;
        if let Some(rotation) = self.rotation.take() {
            *rotation.0.borrow_mut() = Some(outcome);
        }
    }
}
