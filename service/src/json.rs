//! JSON out (RFC 8259): strings escaped here, the rest written in place.

use alloc::string::String;
use base64ct::{Base64UrlUnpadded, Encoding};
use core::fmt::Write;

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // DEL and the C1 controls need no escape, but terminals are glad of it.
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Appends `"name":` and a string.
pub(crate) fn push_member(out: &mut String, name: &str, text: &str) {
    push_string(out, name);
    out.push(':');
    push_string(out, text);
}

/// Appends `"name":` and bytes that are text, or `"name64":` and any other as base64url.
pub(crate) fn push_bytes(out: &mut String, name: &str, bytes: &[u8]) {
    match core::str::from_utf8(bytes) {
        Ok(text) => push_member(out, name, text),
        Err(_) => push_base64(out, name, bytes),
    }
}

/// As [`push_bytes`], but any with a control character in it as base64url: so what is appended is
/// at most twice as long as what it is.
pub(crate) fn push_plain_bytes(out: &mut String, name: &str, bytes: &[u8]) {
    let text = core::str::from_utf8(bytes).ok();
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    match text.filter(|text| !text.contains(is_odd)) {
        Some(text) => push_member(out, name, text),
        None => push_base64(out, name, bytes),
    }
}

fn push_base64(out: &mut String, name: &str, bytes: &[u8]) {
    let _ = write!(out, "\"{name}64\":\"");
    out.push_str(&Base64UrlUnpadded::encode_string(bytes));
    out.push('"');
}

/// The members of an object that is being written.
pub struct Members<'o> {
    out: &'o mut String,
    is_first: bool,
}

impl Members<'_> {
    /// Appends an object, whose members `write` adds.
    pub(crate) fn object(out: &mut String, write: impl FnOnce(&mut Members<'_>)) {
        out.push('{');
        write(&mut Members {
            out,
            is_first: true,
        });
        out.push('}');
    }

    fn name(&mut self, name: &str) {
        if !core::mem::replace(&mut self.is_first, false) {
            self.out.push(',');
        }
        push_string(self.out, name);
        self.out.push(':');
    }

    /// A string.
    pub fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        push_string(self.out, text);
    }

    /// A number.
    pub fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        let _ = write!(self.out, "{number}");
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str, flag: bool) {
        self.name(name);
        let _ = write!(self.out, "{flag}");
    }

    /// An object in it.
    pub fn inner(&mut self, name: &str, write: impl FnOnce(&mut Members<'_>)) {
        self.name(name);
        Members::object(self.out, write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        for (text, expect) in [
            ("", r#""""#),
            ("a\"b\\c/", r#""a\"b\\c/""#),
            ("\n\r\t\0\u{1f}\u{7f}", r#""\n\r\t\u0000\u001f\u007f""#),
            ("\u{e9}\u{1f600}", "\"\u{e9}\u{1f600}\""),
        ] {
            let mut out = String::new();
            push_string(&mut out, text);
            assert_eq!(out, expect);
        }
    }

    #[test]
    fn objects_have_commas_between_their_members() {
        let mut out = String::new();
        Members::object(&mut out, |members| {
            members.text("a", "\"");
            members.inner("b", |inner| {
                inner.number("c", 7);
                inner.flag("d", false);
            });
            members.inner("e", |_| {});
        });
        assert_eq!(out, r#"{"a":"\"","b":{"c":7,"d":false},"e":{}}"#);
    }
}
