//! Entity tags (RFC 9110 section 8.8.3): written from a version, read from lists.
//!
//! A tag is `"SEQ-CHECKSUM"` in hexadecimal. It is strong: a sequence number
//! is one version of one key, and never comes twice.

use alloc::string::String;
use core::ops::Deref;
use store::{Metadata, Seq};

/// Of a tag of ours, quotes included.
const TAG_BYTES_MAX: usize = 27;

/// A tag somebody sent; its text is opaque unless it is one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag<'h> {
    /// `W/` was before it.
    pub(crate) weak: bool,
    /// Between the quotes.
    pub(crate) opaque: &'h [u8],
}

/// Not a list of entity tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadTag;

/// The tag of a version, quotes included.
pub(crate) fn write(version: &Metadata) -> String {
    String::from_utf8_lossy(&of(version)).into_owned()
}

/// The same, as bytes.
pub(crate) fn of(version: &Metadata) -> impl Deref<Target = [u8]> + use<> {
    let mut tag = [b'"'; TAG_BYTES_MAX];
    let seq = version.seq.0;
    let dash = 1 + seq.max(1).ilog2() as usize / 4 + 1;
    put_hex(&mut tag[1..dash], seq);
    tag[dash] = b'-';
    put_hex(&mut tag[dash + 1..dash + 9], version.checksum.into());
    Tag {
        bytes: tag,
        len: dash + 10,
    }
}

/// A tag that was written.
struct Tag {
    bytes: [u8; TAG_BYTES_MAX],
    len: usize,
}

impl Deref for Tag {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Fills `out` with the last digits of a number.
fn put_hex(out: &mut [u8], mut number: u64) {
    for place in out.iter_mut().rev() {
        *place = b"0123456789abcdef"[number as usize & 15];
        number >>= 4;
    }
}

/// The sequence number and checksum of a tag of ours.
fn parts(opaque: &[u8]) -> Option<(Seq, u32)> {
    let text = core::str::from_utf8(opaque).ok()?;
    let (seq, checksum) = text.split_once('-')?;
    let plain = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if checksum.len() != 8 || !plain(seq) || !plain(checksum) || seq.starts_with('0') && seq != "0"
    {
        return None;
    }
    let seq = u64::from_str_radix(seq, 16).ok()?;
    Some((Seq(seq), u32::from_str_radix(checksum, 16).ok()?))
}

impl EntityTag<'_> {
    /// Whether this is the tag of `version`, `W/` aside.
    pub(crate) fn names(&self, version: &Metadata) -> bool {
        parts(self.opaque) == Some((version.seq, version.checksum))
    }

    /// The sequence number, if the tag is one of ours.
    pub(crate) fn seq(&self) -> Option<Seq> {
        parts(self.opaque).map(|(seq, _)| seq)
    }
}

/// Takes the first element off a list; `None` at its end.
pub(crate) fn next<'h>(list: &mut &'h [u8]) -> Result<Option<EntityTag<'h>>, BadTag> {
    let mut rest = *list;
    while let [b' ' | b'\t' | b',', tail @ ..] = rest {
        rest = tail;
    }
    if rest.is_empty() {
        *list = rest;
        return Ok(None);
    }
    let (weak, quoted) = match rest {
        [b'W', b'/', tail @ ..] => (true, tail),
        _ => (false, rest),
    };
    let [b'"', text @ ..] = quoted else {
        return Err(BadTag);
    };
    let end = text.iter().position(|&b| b == b'"').ok_or(BadTag)?;
    let opaque = &text[..end];
    if !opaque
        .iter()
        .all(|&b| b == 0x21 || (0x23..=0x7e).contains(&b) || b >= 0x80)
    {
        return Err(BadTag);
    }
    let rest = text[end + 1..].trim_ascii_start();
    if !rest.is_empty() && rest[0] != b',' {
        return Err(BadTag);
    }
    *list = rest;
    Ok(Some(EntityTag { weak, opaque }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn all(mut list: &[u8]) -> Result<Vec<(bool, &[u8])>, BadTag> {
        let mut tags = Vec::new();
        while let Some(tag) = next(&mut list)? {
            tags.push((tag.weak, tag.opaque));
        }
        Ok(tags)
    }

    #[test]
    fn lists_are_taken_apart() {
        assert_eq!(all(b"\"a\""), Ok(Vec::from([(false, &b"a"[..])])));
        assert_eq!(
            all(b" , \"a\" ,W/\"b,c\", \"\""),
            Ok(Vec::from([
                (false, &b"a"[..]),
                (true, b"b,c"),
                (false, b"")
            ]))
        );
        for bad in [&b"a"[..], b"\"a", b"\"a\"b", b"w/\"a\"", b"\"a b\"", b"*"] {
            assert_eq!(all(bad), Err(BadTag));
        }
    }

    #[test]
    fn our_tags_come_back() {
        let version = Metadata {
            expires_wall_ms: None,
            seq: Seq(0x1f),
            len_bytes: 0,
            checksum: 0xabc,
            modified_wall_ns: 0,
        };
        let text = write(&version);
        assert_eq!(text, "\"1f-00000abc\"");
        let tag = next(&mut text.as_bytes()).unwrap().unwrap();
        assert!(tag.names(&version));
        for other in [
            "\"1f-00000abd\"",
            "\"01f-00000abc\"",
            "\"1F-00000abc\"",
            "\"1f-abc\"",
            "\"+1f-00000abc\"",
        ] {
            assert!(
                !next(&mut other.as_bytes())
                    .unwrap()
                    .unwrap()
                    .names(&version),
                "{other}"
            );
        }
    }
}
