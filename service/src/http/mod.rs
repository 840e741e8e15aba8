//! HTTP/1.1 itself: heads, bodies, validators, ranges; nothing of buckets and keys.
//!
//! Every file is a pure function of bytes (RFC 9110 semantics, RFC 9112 syntax).

pub(crate) mod body;
pub(crate) mod coding;
pub(crate) mod date;
pub(crate) mod etag;
pub(crate) mod field;
pub(crate) mod grammar;
pub(crate) mod head;
pub(crate) mod media;
pub(crate) mod method;
pub(crate) mod multipart;
pub(crate) mod plain;
pub(crate) mod precondition;
pub(crate) mod range;
pub(crate) mod response;
pub(crate) mod target;
pub(crate) mod words;
