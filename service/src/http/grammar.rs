//! Field values that are given out again: whether they are in their grammar.
//!
//! RFC 9110 sections 5.6 and 8.3, RFC 6266 section 4.1, RFC 9111 section 5.2.

/// A value that is being read; what is left of it.
#[derive(Clone, Copy)]
struct Rest<'v>(&'v [u8]);

/// `TYPE/SUBTYPE` and parameters.
pub(crate) fn is_media_type(value: &str) -> bool {
    let mut rest = Rest(value.as_bytes());
    rest.token() && rest.byte(b'/') && rest.token() && rest.parameters()
}

/// A disposition's type and parameters.
pub(crate) fn is_disposition(value: &str) -> bool {
    let mut rest = Rest(value.as_bytes());
    rest.token() && rest.parameters()
}

/// Tokens with commas between them.
pub(crate) fn is_token_list(value: &str) -> bool {
    is_list(value, |rest| rest.token())
}

/// `TOKEN` or `TOKEN=VALUE`, with commas between them.
pub(crate) fn is_directive_list(value: &str) -> bool {
    is_list(value, |rest| {
        rest.token() && (!rest.byte(b'=') || rest.value())
    })
}

/// Elements with commas between them, none of them empty (section 5.6.1.1).
fn is_list(value: &str, element: impl Fn(&mut Rest<'_>) -> bool) -> bool {
    let mut rest = Rest(value.as_bytes());
    loop {
        rest.space();
        if !element(&mut rest) {
            return false;
        }
        rest.space();
        if rest.0.is_empty() {
            return true;
        }
        if !rest.byte(b',') {
            return false;
        }
    }
}

impl Rest<'_> {
    fn take_while(&mut self, is_in: impl Fn(u8) -> bool) -> usize {
        let len = self.0.iter().take_while(|&&byte| is_in(byte)).count();
        self.0 = &self.0[len..];
        len
    }

    fn byte(&mut self, byte: u8) -> bool {
        let is_next = self.0.first() == Some(&byte);
        if is_next {
            self.0 = &self.0[1..];
        }
        is_next
    }

    fn space(&mut self) {
        self.take_while(|byte| byte == b' ' || byte == b'\t');
    }

    fn token(&mut self) -> bool {
        self.take_while(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
            > 0
    }

    /// A token, or a quoted string.
    fn value(&mut self) -> bool {
        if !self.byte(b'"') {
            return self.token();
        }
        loop {
            self.take_while(|byte| {
                matches!(byte, b'\t' | b' '..=b'~' | 0x80..) && byte != b'"' && byte != b'\\'
            });
            if self.byte(b'"') {
                return true;
            }
            let escaped = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
            if !self.byte(b'\\') || !self.0.first().is_some_and(escaped) {
                return false;
            }
            self.0 = &self.0[1..];
        }
    }

    /// `; NAME=VALUE` any number of times, up to the end.
    fn parameters(&mut self) -> bool {
        loop {
            self.space();
            if self.0.is_empty() {
                return true;
            }
            if !self.byte(b';') {
                return false;
            }
            self.space();
            // Section 5.6.6: there may be nothing between two semicolons.
            if self.0.is_empty() || self.0.first() == Some(&b';') {
                continue;
            }
            let is_one = self.token() && self.byte(b'=') && self.value();
            if !is_one {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grammar, what is in it, and what is not.
    type Grammar = (
        fn(&str) -> bool,
        &'static [&'static str],
        &'static [&'static str],
    );

    #[test]
    fn values_are_in_their_grammar_or_not() {
        let all: [Grammar; 4] = [
            (
                is_media_type,
                &[
                    "text/html",
                    "text/html;charset=utf-8",
                    "text/html ; charset=\"u t;f\\\"-8\" ;",
                    "image/svg+xml",
                    "a/b;;c=d",
                ],
                &[
                    "",
                    "text",
                    "text/",
                    "/html",
                    "text/html charset",
                    "text/html;charset",
                    "text/html;charset=",
                    "text/html;a=\"b",
                    "@@;;",
                    "a/b, c/d",
                    "a/b\u{e9}",
                ],
            ),
            (
                is_disposition,
                &[
                    "inline",
                    "attachment; filename=\"a b.txt\"",
                    "attachment; filename*=UTF-8''%e2%82%ac",
                ],
                &["", "attachment filename=a", "attachment; filename=a b"],
            ),
            (
                is_token_list,
                &["gzip", "gzip, br", "gzip ,br"],
                &["", "gzip,", ",gzip", "gzip,,br", "a b", "a=b"],
            ),
            (
                is_directive_list,
                &[
                    "no-cache",
                    "max-age=60, public",
                    "private=\"set-cookie, x\"",
                    "s-maxage=5,immutable",
                ],
                &["", "no-cache, ", "max-age=", "max-age 60", "a=b=c", "=1"],
            ),
        ];
        for (is_one, good, bad) in all {
            for value in good {
                assert!(is_one(value), "{value}");
            }
            for value in bad {
                assert!(!is_one(value), "{value}");
            }
        }
    }
}
