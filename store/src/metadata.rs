//! The headers kept with a value, as bytes.

use crate::format::codec::{Cursor, put_varint};
use crate::request::Headers;
use alloc::boxed::Box;
use alloc::vec::Vec;

const CONTENT_TYPE: u8 = 1;
const CONTENT_ENCODING: u8 = 2;
const CACHE_CONTROL: u8 = 3;
const CONTENT_DISPOSITION: u8 = 4;

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
    out
}

/// The headers; unknown ones are left out, and `None` means that this is no metadata.
pub(crate) fn decode(bytes: &[u8]) -> Option<Headers> {
    let mut headers = Headers::default();
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
            _ => continue,
        };
        *field = Some(Box::from(core::str::from_utf8(value).ok()?));
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
        };
        let mut bytes = encode(&headers);
        assert_eq!(decode(&bytes), Some(headers.clone()));
        bytes.extend_from_slice(&[99, 1, 0]);
        assert_eq!(decode(&bytes), Some(headers));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode(&[]), Some(Headers::default()));
    }
}
