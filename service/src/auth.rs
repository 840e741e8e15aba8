//! Who may do what: tokens, the read token, and pages of other sites.
//!
//! # Invariants
//!
//! - A presented secret is compared in constant time, with both tokens, always.
//! - What everybody may do is decided without looking at a presented secret,
//!   so that guesses cannot be tried there.

use crate::channel::Channel;
use crate::config::{AuthMode, Config, Plaintext, Token};
use crate::cors;
use crate::http::field::{Field, Fields};
use crate::http::head::Request;
use crate::problem::{Kind, Problem};
use base64ct::{Base64, Encoding};
use subtle::Choice;

/// Longest `Authorization` value looked at: a user name, a token, and base64 around them.
const CREDENTIALS_BYTES_MAX: usize = 512;

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Read what everybody may read.
    ReadPublic,
    /// Read what the owner may read.
    ReadPrivate,
    /// See what concerns the owner alone.
    Administer,
    /// Change something.
    Write,
}

/// Who asks, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nobody known; no token was needed.
    Anyone,
    /// Somebody with the token for reading.
    Reader,
    /// Somebody with the token.
    Owner,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    All,
    Read,
}

impl Rights {
    fn caller(self) -> Caller {
        match self {
            Rights::All => Caller::Owner,
            Rights::Read => Caller::Reader,
        }
    }
}

/// How a secret was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    /// A script said so.
    Bearer,
    /// A browser may have added it by itself.
    Basic,
}

/// Whether the request may do what it intends.
///
/// # Errors
/// The refusal to answer with.
pub(crate) fn judge(
    config: &Config,
    request: &Request<'_>,
    intent: Intent,
) -> Result<Caller, Problem> {
    if intent == Intent::ReadPublic {
        return Ok(Caller::Anyone);
    }
    if config.auth == AuthMode::Open {
        let origin = request.fields.get(Field::Origin).unwrap_or_default();
        if intent == Intent::Write && !cors::may_change(config.cors.as_deref(), origin) {
            refuse_other_sites(request)?;
        }
        return Ok(Caller::Anyone);
    }
    let (scheme, rights) = presented(
        config,
        request.channel,
        request.fields.get(Field::Authorization),
    )?;
    if matches!(intent, Intent::Administer | Intent::Write) && rights == Rights::Read {
        return Err(Problem::new(
            Kind::ReadTokenOnly,
            "The token sent is the read token (auth.read-token); changes and administration \
             need auth.token.",
        ));
    }
    if intent == Intent::Write && scheme == Scheme::Basic {
        refuse_other_sites(request)?;
    }
    Ok(rights.caller())
}

/// The same of a request that only reads, by its `Authorization`.
///
/// # Errors
/// The refusal to answer with.
pub(crate) fn judge_reader(
    config: &Config,
    channel: Channel,
    authorization: Option<&[u8]>,
    intent: Intent,
) -> Result<Caller, Problem> {
    if intent == Intent::ReadPublic || config.auth == AuthMode::Open {
        return Ok(Caller::Anyone);
    }
    presented(config, channel, authorization).map(|(_, rights)| rights.caller())
}

/// How a token was presented that is one of ours, and what it is good for.
fn presented(
    config: &Config,
    channel: Channel,
    authorization: Option<&[u8]>,
) -> Result<(Scheme, Rights), Problem> {
    if config.plaintext == Plaintext::Refuse && channel == Channel::Plain {
        return Err(Problem::new(
            Kind::PlaintextRefused,
            "auth.plaintext=refuse is set: send the token over https:// only. If it was sent \
             with this request, it has been seen on the wire: replace it.",
        ));
    }
    let Some(value) = authorization else {
        return Err(Problem::new(
            Kind::TokenMissing,
            "Send `Authorization: Bearer TOKEN`, or the token as the password of Basic \
             authentication (curl -u lampion:TOKEN).",
        ));
    };
    let mut buffer = [0; CREDENTIALS_BYTES_MAX];
    let Some((scheme, secret)) = credentials(value, &mut buffer) else {
        return Err(wrong(
            "The Authorization field is neither `Bearer TOKEN` nor Basic.",
        ));
    };
    let matches = |token: &Option<Token>| {
        token
            .as_ref()
            .map_or(Choice::from(0), |token| token.matches(secret))
    };
    let (full, read) = (matches(&config.token), matches(&config.read_token));
    if !bool::from(full | read) {
        return Err(wrong("The token sent is not the one this appliance has."));
    }
    let rights = match bool::from(full) {
        true => Rights::All,
        false => Rights::Read,
    };
    Ok((scheme, rights))
}

fn wrong(detail: &str) -> Problem {
    Problem::new(Kind::TokenWrong, detail)
}

/// The scheme and the secret of an `Authorization` value (RFC 9110 section 11.6.2).
fn credentials<'b>(
    value: &'b [u8],
    buffer: &'b mut [u8; CREDENTIALS_BYTES_MAX],
) -> Option<(Scheme, &'b [u8])> {
    let space = value.iter().position(|&b| b == b' ')?;
    let (scheme, rest) = (&value[..space], value[space + 1..].trim_ascii());
    if rest.len() > CREDENTIALS_BYTES_MAX {
        return None;
    }
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return Some((Scheme::Bearer, rest));
    }
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return None;
    }
    // RFC 7617: user:password in base64; a user name has no colon.
    let decoded: &[u8] = Base64::decode(rest, buffer).ok()?;
    let colon = decoded.iter().position(|&b| b == b':')?;
    Some((Scheme::Basic, &decoded[colon + 1..]))
}

/// Refuses a change that a page of another site asks for.
///
/// # Errors
/// [`Kind::CrossSite`].
///
/// A browser adds Basic credentials to any page's request; only our own pages may use them so.
pub(crate) fn refuse_other_sites(request: &Request<'_>) -> Result<(), Problem> {
    let refused = || {
        Err(Problem::new(
            Kind::CrossSite,
            "The browser says that a page of another site sent this (Origin or Sec-Fetch-Site). \
             Use `Authorization: Bearer TOKEN`.",
        ))
    };
    if !same_site(&request.fields) {
        return refused();
    }
    match request.fields.get(Field::Origin) {
        Some(origin) if !same_origin(origin, request.authority) => refused(),
        _ => Ok(()),
    }
}

/// Whether `Sec-Fetch-Site` is absent or says that no other site is behind the request.
fn same_site(fields: &Fields<'_>) -> bool {
    matches!(
        fields.get(Field::SecFetchSite),
        None | Some(b"same-origin" | b"none")
    )
}

/// Whether `Origin` names the host that was asked (RFC 6454 section 7).
fn same_origin(origin: &[u8], authority: &str) -> bool {
    let host = origin
        .strip_prefix(b"http://")
        .or_else(|| origin.strip_prefix(b"https://"));
    host.is_some_and(|host| !host.is_empty() && host.eq_ignore_ascii_case(authority.as_bytes()))
}
