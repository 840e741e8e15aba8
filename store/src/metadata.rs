//! The headers kept with a value, and when it is over, as bytes.

use crate::format::codec::{Cursor, put_varint};
use crate::request::{Headers, KeptHeaders};
use alloc::vec::Vec;

const CONTENT_TYPE: u8 = 1;
const CONTENT_ENCODING: u8 = 2;
const CACHE_CONTROL: u8 = 3;
const CONTENT_DISPOSITION: u8 = 4;
const EXPIRES: u8 = 5;
/// The last millisecond a value can end in, as the index keeps it.
const EXPIRES_MS_MAX: u64 = (1 << 48) - 1;

/// The bytes kept on disk.
pub(crate) fn encode(headers: &Headers) -> Vec<u8> {
    let mut out = Vec::new();
    let fields = [
        (CONTENT_TYPE, &headers.content_type),
        (CONTENT_ENCODING, &headers.content_encoding),
        (CACHE_CONTROL, &headers.cache_control),
        (CONTENT_DISPOSITION, &headers.content_disposition),
    ];
    for (kind, value) in fields {
        if let Some(value) = value {
            out.push(kind);
            put_varint(&mut out, value.len() as u64);
            out.extend_from_slice(value.as_bytes());
        }
    }
    if let Some(expires_ms) = headers.expires_wall_ms {
        let expires_ms = expires_ms.clamp(1, EXPIRES_MS_MAX);
        out.extend_from_slice(&[EXPIRES, 8]);
        out.extend_from_slice(&expires_ms.to_le_bytes());
    }
    out
}

/// When the value is over, milliseconds since 1970; 0 if it never is, or if nobody can tell.
pub(crate) fn expires_ms(bytes: &[u8]) -> u64 {
    let headers = || {
        let mut c = Cursor::new(bytes);
        while c.position() < bytes.len() {
            let kind = c.u8()?;
            let len = c.length()?;
            let value = c.take(len)?;
            if kind == EXPIRES {
                return end_of(value);
            }
        }
        None
    };
    headers().unwrap_or(0)
}

fn end_of(value: &[u8]) -> Option<u64> {
    let expires_ms = u64::from_le_bytes(value.try_into().ok()?);
    (1..=EXPIRES_MS_MAX)
        .contains(&expires_ms)
        .then_some(expires_ms)
}

/// The headers; unknown ones are left out, and `None` means that this is no metadata.
pub(crate) fn decode(bytes: &[u8]) -> Option<Headers> {
    borrowed(bytes).map(KeptHeaders::to_owned)
}

/// The same, borrowed.
pub(crate) fn borrowed(bytes: &[u8]) -> Option<KeptHeaders<'_>> {
    let mut headers = KeptHeaders::default();
    let mut c = Cursor::new(bytes);
    while c.position() < bytes.len() {
        let kind = c.u8()?;
        let len = c.length()?;
        let value = c.take(len)?;
        let field = match kind {
            CONTENT_TYPE => &mut headers.content_type,
            CONTENT_ENCODING => &mut headers.content_encoding,
            CACHE_CONTROL => &mut headers.cache_control,
            CONTENT_DISPOSITION => &mut headers.content_disposition,
            EXPIRES => {
                headers.expires_wall_ms = end_of(value);
                continue;
            }
            _ => continue,
        };
        *field = Some(core::str::from_utf8(value).ok()?);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_both_ways() {
        let headers = Headers {
            content_type: Some("text/html".into()),
            content_encoding: None,
            cache_control: Some("".into()),
            content_disposition: Some("attachment".into()),
            expires_wall_ms: Some(1_700_000_000_000),
        };
        let mut bytes = encode(&headers);
        assert_eq!(expires_ms(&bytes), 1_700_000_000_000);
        assert_eq!(decode(&bytes), Some(headers.clone()));
        bytes.extend_from_slice(&[99, 1, 0]);
        assert_eq!(decode(&bytes), Some(headers));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode(&[]), Some(Headers::default()));
        assert_eq!(expires_ms(&[]), 0);
        assert_eq!(expires_ms(&[EXPIRES, 2, 1, 1]), 0, "no time at all");
    }
}
