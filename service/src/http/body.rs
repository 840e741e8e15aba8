//! Request bodies: bytes of the wire in, bytes of the content out.
//!
//! Chunked coding is RFC 9112 section 7.1. Extensions and trailers are checked
//! for their syntax, bounded, and dropped.
//!
//! # Invariants
//!
//! - Content is handed on in place; nothing is kept but where the decoder is.
//! - What a sink does not take is not consumed.

use crate::http::head::Framing;

/// Most bytes of chunk extensions and leading zeros in one body, beyond what its content allows:
/// as many as twice its bytes, and so many more for each chunk.
const EXTENSION_BYTES_MAX: u16 = 16_384;
/// Allowed for each chunk.
const EXTENSION_BYTES_FREE: u64 = 16;
/// Most bytes of trailers.
const TRAILER_BYTES_MAX: u16 = 4_096;

/// How far a body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// This many bytes are left.
    Length(u64),
    /// In chunks.
    Chunked(Chunked),
    /// Nothing is left.
    Complete,
}

/// How far a chunked body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunked {
    at: At,
    /// The chunk's size so far, then what is left of it.
    chunk_left: u64,
    extension_bytes: u16,
    trailer_bytes: u16,
}

/// Where in the grammar of RFC 9112 section 7.1 the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The first digit of a chunk's size.
    SizeStart,
    /// More digits, or what ends them.
    Size,
    /// White space that a `;` must follow.
    SizeSpace,
    /// After a `;`.
    Extension,
    /// The LF of the line with the size.
    SizeLf,
    /// Content.
    Data,
    /// The CR after a chunk's content.
    DataCr,
    /// Its LF.
    DataLf,
    /// A trailer's name, or the CR of the last line.
    TrailerStart,
    /// In a trailer's name.
    TrailerName,
    /// After its colon.
    TrailerValue,
    /// The LF of a trailer line.
    TrailerLf,
    /// The last LF.
    EndLf,
}

/// Why a body was refused; where the message ends is unknown then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Not chunked coding.
    Chunk,
    /// Too many bytes of chunk extensions.
    ExtensionsTooLong,
    /// Too many bytes of trailers.
    TrailersTooLong,
}

impl Body {
    /// Before the first byte of a body.
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Body::Complete,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Chunked {
                at: At::SizeStart,
                chunk_left: 0,
                extension_bytes: 0,
                trailer_bytes: 0,
            }),
        }
    }

    /// Reads from `input`, handing content to `sink`, which says how much it took.
    ///
    /// Returns how much of `input` was used; it stops at the body's end and
    /// where the sink takes less than it was offered.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Result<usize, BodyError> {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            match self {
                Body::Complete => break,
                Body::Length(left) => {
                    let (taken, all) = offer(rest, *left, sink);
                    used += taken;
                    *left -= taken as u64;
                    if *left == 0 {
                        *self = Body::Complete;
                    } else if !all {
                        break;
                    }
                }
                Body::Chunked(chunked) if chunked.at == At::Data => {
                    let (taken, all) = offer(rest, chunked.chunk_left, sink);
                    used += taken;
                    chunked.chunk_left -= taken as u64;
                    if chunked.chunk_left == 0 {
                        chunked.at = At::DataCr;
                    } else if !all {
                        break;
                    }
                }
                Body::Chunked(chunked) => {
                    used += 1;
                    if chunked.step(rest[0])? {
                        *self = Body::Complete;
                    }
                }
            }
        }
        Ok(used)
    }
}

/// Offers at most `left` bytes of `rest`; how many were taken, and whether that is all offered.
fn offer(rest: &[u8], left: u64, sink: &mut dyn FnMut(&[u8]) -> usize) -> (usize, bool) {
    let len = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
    let taken = sink(&rest[..len]);
    assert!(taken <= len, "a sink takes at most what it is offered");
    (taken, taken == len)
}

impl Chunked {
    /// Takes one byte that is not content; whether it was the body's last.
    fn step(&mut self, byte: u8) -> Result<bool, BodyError> {
        self.at = match (self.at, byte) {
            (At::SizeStart | At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.push_digit(byte)?
            }
            (At::Size, b'\r') | (At::Extension, b'\r') => At::SizeLf,
            (At::Size | At::SizeSpace, b';') => At::Extension,
            (At::Size | At::SizeSpace, b' ' | b'\t') => self.count_extension(At::SizeSpace)?,
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.count_extension(At::Extension)?,
            (At::SizeLf, b'\n') if self.chunk_left == 0 => At::TrailerStart,
            (At::SizeLf, b'\n') => {
                let allowed =
                    EXTENSION_BYTES_FREE.saturating_add(self.chunk_left.saturating_mul(2));
                let allowed = u16::try_from(allowed).unwrap_or(u16::MAX);
                self.extension_bytes = self.extension_bytes.saturating_sub(allowed);
                At::Data
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::SizeStart,
            (At::TrailerStart, b'\r') => At::EndLf,
            (At::TrailerStart | At::TrailerName, byte) if is_token(byte) => {
                self.count_trailer(At::TrailerName)?
            }
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerValue, b'\r') => At::TrailerLf,
            (At::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                self.count_trailer(At::TrailerValue)?
            }
            (At::TrailerLf, b'\n') => At::TrailerStart,
            (At::EndLf, b'\n') => return Ok(true),
            _ => return Err(BodyError::Chunk),
        };
        Ok(false)
    }

    /// One more digit of a size; sizes of 2^60 and more are refused.
    fn push_digit(&mut self, digit: u8) -> Result<At, BodyError> {
        if self.chunk_left >> 56 != 0 {
            return Err(BodyError::Chunk);
        }
        let value = char::from(digit).to_digit(16).ok_or(BodyError::Chunk)?;
        self.chunk_left = self.chunk_left << 4 | u64::from(value);
        // Leading zeros are bounded like an extension, or a size line would have no end.
        if self.chunk_left == 0 {
            self.count_extension(At::Size)
        } else {
            Ok(At::Size)
        }
    }

    fn count_extension(&mut self, at: At) -> Result<At, BodyError> {
        self.extension_bytes += 1;
        let fits = self.extension_bytes <= EXTENSION_BYTES_MAX;
        if fits {
            Ok(at)
        } else {
            Err(BodyError::ExtensionsTooLong)
        }
    }

    fn count_trailer(&mut self, at: At) -> Result<At, BodyError> {
        self.trailer_bytes += 1;
        let fits = self.trailer_bytes <= TRAILER_BYTES_MAX;
        if fits {
            Ok(at)
        } else {
            Err(BodyError::TrailersTooLong)
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;

    /// Reads `input` in two parts, through a sink that takes at most `gulp` bytes at a time.
    fn read(input: &[u8], split: usize, gulp: usize) -> Result<(Vec<u8>, usize, bool), BodyError> {
        let mut body = Body::new(Framing::Chunked);
        let mut content = Vec::new();
        let mut used = 0;
        for end in [split, input.len()] {
            loop {
                let taken = body.read(&input[used..end], &mut |bytes| {
                    let take = bytes.len().min(gulp);
                    content.extend_from_slice(&bytes[..take]);
                    take
                })?;
                used += taken;
                if taken == 0 {
                    break;
                }
            }
        }
        Ok((content, used, body == Body::Complete))
    }

    #[test]
    fn chunked_bodies_at_every_split() {
        let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(20_000));
        let zeros = format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(20_000));
        let each = |chunk: &str| format!("{}0\r\n\r\n", chunk.repeat(3_000));
        let (wide, wordy) = (
            each("0000001;aaaa=bbbbb\r\nx\r\n"),
            each("1;aaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n"),
        );
        let many = "x".repeat(3_000);
        let trailers = format!("0\r\na: {}\r\n\r\n", "e".repeat(5000));
        for (input, expect) in [
            ("0\r\n\r\n", Ok("")),
            ("5\r\nhello\r\n0\r\n\r\n", Ok("hello")),
            ("2\r\nhe\r\n003\r\nllo\r\n00\r\n\r\n", Ok("hello")),
            ("A\r\n0123456789\r\n0\r\n\r\n", Ok("0123456789")),
            ("1;a=b;c=\"d\"\r\nx\r\n0;last\r\n\r\n", Ok("x")),
            ("1 ;a\r\nx\r\n0\r\n\r\n", Ok("x")),
            ("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", Ok("x")),
            ("g\r\n", Err(BodyError::Chunk)),
            ("\r\n", Err(BodyError::Chunk)),
            ("-1\r\n", Err(BodyError::Chunk)),
            ("+1\r\nx\r\n", Err(BodyError::Chunk)),
            ("0x1\r\nx\r\n", Err(BodyError::Chunk)),
            ("1\nx\r\n", Err(BodyError::Chunk)),
            ("1 \r\nx\r\n", Err(BodyError::Chunk)),
            ("1\r\nxy\r\n", Err(BodyError::Chunk)),
            ("1\r\nx\n", Err(BodyError::Chunk)),
            ("1\r\nx0\r\n", Err(BodyError::Chunk)),
            ("1;a\nb\r\nx\r\n", Err(BodyError::Chunk)),
            ("1;\0\r\nx\r\n", Err(BodyError::Chunk)),
            ("0\r\n folded\r\n\r\n", Err(BodyError::Chunk)),
            ("0\r\na b: c\r\n\r\n", Err(BodyError::Chunk)),
            ("0\r\na\r\n\r\n", Err(BodyError::Chunk)),
            ("ffffffffffffffffff\r\n", Err(BodyError::Chunk)),
            (&wide, Ok(&*many)),
            (&wordy, Err(BodyError::ExtensionsTooLong)),
            (&long, Err(BodyError::ExtensionsTooLong)),
            (&zeros, Err(BodyError::ExtensionsTooLong)),
            (&trailers, Err(BodyError::TrailersTooLong)),
        ] {
            let splits = if input.len() > 100 {
                1
            } else {
                input.len() + 1
            };
            for (split, gulp) in (0..splits).flat_map(|split| [(split, 1), (split, 100)]) {
                let expect = expect.map(|text| (text.into(), input.len(), true));
                assert_eq!(
                    read(input.as_bytes(), split, gulp),
                    expect,
                    "{input} at {split}"
                );
            }
        }
    }

    #[test]
    fn the_next_request_is_left_alone() {
        let mut body = Body::new(Framing::Length(3));
        assert_eq!(body.read(b"abcGET", &mut <[u8]>::len), Ok(3));
        assert_eq!(body, Body::Complete);
        assert_eq!(body.read(b"GET", &mut <[u8]>::len), Ok(0));
        let (content, used, complete) = read(b"0\r\n\r\nGET", 4, 9).unwrap();
        assert_eq!((content.len(), used, complete), (0, 5, true));
    }

    #[test]
    fn what_the_sink_does_not_take_stays() {
        let mut body = Body::new(Framing::Length(3));
        assert_eq!(body.read(b"abc", &mut |_| 0), Ok(0));
        assert_eq!(body, Body::Length(3));
    }
}
