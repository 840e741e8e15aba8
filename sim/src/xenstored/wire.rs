//! Messages as bytes, and the types that `xen-sys` does not name.
//!
//! Source: `xen/include/public/io/xs_wire.h`, Xen 4.17.

use xen_sys::io::xs_wire::{XENSTORE_PAYLOAD_MAX, XsdSockmsg};

/// A command to the daemon itself (domain 0 only).
pub const XS_CONTROL: u32 = 0;
/// Who may do what with a node.
pub const XS_GET_PERMS: u32 = 3;
/// A domain's page is handed to the daemon (domain 0 only).
pub const XS_INTRODUCE: u32 = 8;
/// A domain is given up (domain 0 only).
pub const XS_RELEASE: u32 = 9;
/// What relative paths of a domain are below.
pub const XS_GET_DOMAIN_PATH: u32 = 10;
/// Make a node, if it is not there.
pub const XS_MKDIR: u32 = 12;
/// Say who may do what with a node.
pub const XS_SET_PERMS: u32 = 14;
/// Whether the daemon knows a domain (domain 0 only).
pub const XS_IS_DOMAIN_INTRODUCED: u32 = 17;
/// A domain runs again (domain 0 only).
pub const XS_RESUME: u32 = 18;
/// A domain acts for another (domain 0 only).
pub const XS_SET_TARGET: u32 = 19;
/// Drop all watches and transactions.
pub const XS_RESET_WATCHES: u32 = 21;
/// The children of a node from an offset on.
pub const XS_DIRECTORY_PART: u32 = 22;

/// The answer of a request that has nothing else to say.
pub(super) const OK: &[u8] = b"OK\0";

const HEADER_BYTES: usize = size_of::<XsdSockmsg>();

/// Why a request is refused, as the wire says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestError {
    Invalid,
    Denied,
    NotOwner,
    Missing,
    Exists,
    Conflict,
    TooBig,
    NoSpace,
    NoMemory,
    Busy,
    NotImplemented,
}

impl RequestError {
    /// The name that the error's payload carries.
    pub(super) fn name(self) -> &'static str {
        match self {
            RequestError::Invalid => "EINVAL",
            RequestError::Denied => "EACCES",
            RequestError::NotOwner => "EPERM",
            RequestError::Missing => "ENOENT",
            RequestError::Exists => "EEXIST",
            RequestError::Conflict => "EAGAIN",
            RequestError::TooBig => "E2BIG",
            RequestError::NoSpace => "ENOSPC",
            RequestError::NoMemory => "ENOMEM",
            RequestError::Busy => "EBUSY",
            RequestError::NotImplemented => "ENOSYS",
        }
    }
}

/// The bytes are no message, and where the next one begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Cuts the first message off, if it is there as a whole.
pub(super) fn take(input: &mut Vec<u8>) -> Result<Option<(XsdSockmsg, Vec<u8>)>, Malformed> {
    let Some(header) = input.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let header = XsdSockmsg::from_bytes(*header);
    let len = header.len as usize;
    if len > XENSTORE_PAYLOAD_MAX {
        return Err(Malformed);
    }
    if input.len() < HEADER_BYTES + len {
        return Ok(None);
    }
    let rest = input.split_off(HEADER_BYTES + len);
    let message = std::mem::replace(input, rest);
    Ok(Some((header, message[HEADER_BYTES..].into())))
}

/// A message of this kind for this request.
pub(super) fn message(kind: u32, request: XsdSockmsg, payload: &[u8]) -> (XsdSockmsg, Vec<u8>) {
    let len = payload.len() as u32;
    let header = XsdSockmsg {
        kind,
        len,
        ..request
    };
    (header, payload.into())
}

/// As it goes over the ring.
pub(super) fn to_bytes(header: XsdSockmsg, payload: &[u8]) -> Vec<u8> {
    [&header.to_bytes(), payload].concat()
}

/// The strings of a payload; what follows the last NUL is none.
pub(super) fn strings(payload: &[u8]) -> Vec<&[u8]> {
    let mut strings: Vec<_> = payload.split(|byte| *byte == 0).collect();
    strings.pop();
    strings
}

/// The only string of a payload.
pub(super) fn only_string(payload: &[u8]) -> Result<&[u8], RequestError> {
    match payload.split_last() {
        Some((0, string)) if !string.contains(&0) => Ok(string),
        _ => Err(RequestError::Invalid),
    }
}

/// As text; paths with anything else are refused anyway.
pub(super) fn text(string: &[u8]) -> Result<&str, RequestError> {
    str::from_utf8(string).map_err(|_| RequestError::Invalid)
}

/// The number that a string begins with, as `atoi` reads it.
pub(super) fn leading_number(string: &[u8]) -> u32 {
    let digits = string.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u32, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_cut_at_nul() {
        let check = |payload: &[u8], expected: &[&[u8]], only: bool| {
            assert_eq!(strings(payload), expected);
            assert_eq!(only_string(payload).is_ok(), only, "{payload:?}");
        };
        check(b"", &[], false);
        check(b"a", &[], false);
        check(b"\0", &[b""], true);
        check(b"a\0", &[b"a"], true);
        check(b"a\0b", &[b"a"], false);
        check(b"a\0b\0", &[b"a", b"b"], false);
    }
}
