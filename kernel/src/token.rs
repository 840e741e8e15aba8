//! The first token: made at first boot, kept in the store, shown where only the owner looks.
//!
//! It is written to `data/lampion/token`, which dom0 can read, and removed
//! once somebody has sent it, or after an hour; the console says where to read
//! it, and prints it only where there is no dom0 that could.

use crate::entropy::Entropy;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use core::task::Poll;
use service::{AuthMode, Service, Token};
use store::{
    At, Batch, BucketName, Change, Condition, Headers, Key, Reader, Refusal, State, Store, Ticket,
};

/// How long the token can be read in xenstore.
pub(crate) const SHOWN_NS: u64 = 3600 * 1_000_000_000;

/// How far the token is.
pub(crate) enum FirstToken {
    /// The store is not open yet.
    Waiting,
    /// It is being read.
    Reading(Box<Reader>, String),
    /// It is being written.
    Writing(Ticket, String),
    /// Nothing more to do.
    Settled,
}

impl FirstToken {
    /// Whether the store has to do with it.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self, FirstToken::Reading(..) | FirstToken::Writing(..))
    }

    /// Advances; the token, when one of ours has come into force and should be shown.
    pub(crate) fn step(&mut self, service: &mut Service, entropy: &mut Entropy) -> Option<String> {
        match core::mem::replace(self, FirstToken::Settled) {
            FirstToken::Settled => None,
            FirstToken::Waiting => self.begin(service, entropy),
            FirstToken::Reading(reader, text) => self.read(*reader, text, service),
            FirstToken::Writing(ticket, text) => match service.store_mut().outcome(&ticket) {
                Poll::Pending => {
                    *self = FirstToken::Writing(ticket, text);
                    None
                }
                Poll::Ready(result) => put_in_force(service, text, result.err()),
            },
        }
    }

    /// What to do once the store is open.
    fn begin(&mut self, service: &mut Service, entropy: &mut Entropy) -> Option<String> {
        if service.config().auth == AuthMode::Open {
            log::warn!("auth: open: whoever reaches this appliance may read and write all of it");
            return None;
        }
        if service.config().token.is_some() {
            return None;
        }
        if matches!(service.store().state(), State::Opening) {
            *self = FirstToken::Waiting;
            return None;
        }
        let stored = service
            .store_mut()
            .open_value(At::NOW, &BucketName::system(), &key());
        if let Ok(Some((_, reader))) = stored {
            return self.read(reader, String::new(), service);
        }
        if !entropy.is_strong() {
            log::error!(
                "auth: this CPU has neither RDRAND nor RDSEED, so no token is made; set \
                 vm-data/auth_token"
            );
            return None;
        }
        let text = draw(entropy);
        match keep(service.store_mut(), &text, Condition::Absent) {
            Ok(ticket) => {
                *self = FirstToken::Writing(ticket, text);
                None
            }
            Err(refusal) => put_in_force(service, text, Some(refusal)),
        }
    }

    fn read(
        &mut self,
        mut reader: Reader,
        mut text: String,
        service: &mut Service,
    ) -> Option<String> {
        loop {
            match service.store_mut().read(&mut reader) {
                Poll::Pending => {
                    *self = FirstToken::Reading(Box::new(reader), text);
                    return None;
                }
                Poll::Ready(Ok(Some(piece))) => {
                    text.push_str(core::str::from_utf8(&piece).unwrap_or_default());
                }
                Poll::Ready(Ok(None)) => return put_in_force(service, text, None),
                Poll::Ready(Err(error)) => {
                    log::error!(
                        "auth: the stored token cannot be read ({error:?}); set \
                         vm-data/auth_token"
                    );
                    return None;
                }
            }
        }
    }
}

fn put_in_force(service: &mut Service, text: String, refused: Option<Refusal>) -> Option<String> {
    if let Some(refusal) = refused {
        log::warn!(
            "auth: the new token could not be kept ({refusal:?}); it holds until the next boot"
        );
    }
    match text.parse::<Token>() {
        Ok(token) => {
            service.put_in_force(token);
            Some(text)
        }
        Err(error) => {
            log::error!("auth: the stored token is not usable ({error}); set vm-data/auth_token");
            None
        }
    }
}

/// Hands a token in to be kept on the disk.
pub(crate) fn keep(store: &mut Store, text: &str, on: Condition) -> Result<Ticket, Refusal> {
    let change = Change::Put {
        value: text.as_bytes().to_vec(),
        headers: Headers::default(),
    };
    let changes = alloc::vec![(BucketName::system(), key(), on, change)];
    store.submit(Batch { changes })
}

fn key() -> Key {
    Key::new(b"auth.token").expect("a short key")
}

/// A token that nobody guesses, where the entropy is strong.
pub(crate) fn draw(entropy: &mut Entropy) -> String {
    let bytes = &entropy.draw()[..16];
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What the console says about a token that has come into force.
pub(crate) fn announce(token: &str, domid: Option<u32>) -> String {
    match domid {
        Some(domid) => format!(
            "auth: read the token in dom0, within an hour, by: xenstore-read \
             /local/domain/{domid}/data/lampion/token"
        ),
        None => format!("auth: the token is {token}"),
    }
}
