//! Another token in the place of the one that was made, when its owner asks for it.

use crate::entropy::Entropy;
use crate::token;
use alloc::string::String;
use core::task::Poll;
use service::{Service, Unrotated};
use store::{Condition, Refusal, Ticket};

/// A token that is being kept.
pub(crate) struct Rotating {
    ticket: Ticket,
    text: String,
}

/// Advances; the new token, when it has come into force.
pub(crate) fn step(
    rotating: &mut Option<Rotating>,
    service: &mut Service,
    entropy: &mut Entropy,
) -> Option<String> {
    if rotating.is_none() {
        *rotating = begin(service, entropy);
    }
    let Rotating { ticket, text } = rotating.take()?;
    match service.store_mut().outcome(&ticket) {
        Poll::Pending => {
            *rotating = Some(Rotating { ticket, text });
            None
        }
        Poll::Ready(Err(Refusal::OutcomeUnknown)) => {
            log::error!(
                "auth: the disk failed while a new token was written; the old one holds until the \
                 next boot, and after it either may"
            );
            service.end_rotation(Err(Unrotated::Unknown(text)));
            None
        }
        Poll::Ready(Err(refusal)) => {
            log::error!("auth: the new token was not kept ({refusal:?}); the old one holds");
            service.end_rotation(Err(Unrotated::Refused(refusal)));
            None
        }
        Poll::Ready(Ok(_)) => {
            service.put_in_force(text.parse().expect("32 digits are a token"));
            log::warn!("auth: there is a new token, as was asked for; the old one holds no more");
            service.end_rotation(Ok(text.clone()));
            Some(text)
        }
    }
}

fn begin(service: &mut Service, entropy: &mut Entropy) -> Option<Rotating> {
    if !service.begin_rotation() {
        return None;
    }
    if !entropy.is_strong() {
        service.end_rotation(Err(Unrotated::NoEntropy));
        return None;
    }
    let text = token::draw(entropy);
    match token::keep(service.store_mut(), &text, Condition::None) {
        Ok(ticket) => Some(Rotating { ticket, text }),
        Err(refusal) => {
            service.end_rotation(Err(Unrotated::Refused(refusal)));
            None
        }
    }
}
