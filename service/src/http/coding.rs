//! In which content coding a peer wants what there is in several (RFC 9110 section 12.5.3).

use crate::http::field::{Field, Fields};

/// The coding of what there is, among those offered, that the peer wants most; the first of those
/// it wants alike. `None` is none: what nobody asked for is not coded.
pub(crate) fn preferred<'o>(fields: &Fields<'_>, offered: &[&'o str]) -> Option<&'o str> {
    let identity = weight(fields, "identity").unwrap_or(0);
    let mut best = None;
    for coding in offered {
        let wanted = weight(fields, coding).or_else(|| weight(fields, "*"));
        let wanted = wanted.unwrap_or(0);
        if wanted > best.map_or(0, |(_, most)| most) {
            best = Some((*coding, wanted));
        }
    }
    best.filter(|(_, most)| *most >= identity)
        .map(|(coding, _)| coding)
}

/// How much a coding is wanted, in thousandths, if something is said of it.
fn weight(fields: &Fields<'_>, coding: &str) -> Option<u32> {
    let mut elements = fields.elements(Field::AcceptEncoding);
    elements.find_map(|element| {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next()?;
        // RFC 9110 section 8.4.1.3: an older name of it.
        let name = if name.eq_ignore_ascii_case(b"x-gzip") {
            b"gzip"
        } else {
            name
        };
        if !name.eq_ignore_ascii_case(coding.as_bytes()) {
            return None;
        }
        match parts.next() {
            None => Some(1_000),
            Some(weight) => thousandths(weight),
        }
    })
}

/// `q=0.5` (RFC 9110 section 12.4.2).
fn thousandths(weight: &[u8]) -> Option<u32> {
    let (name, value) = weight.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, rest) = value.split_first()?;
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1_000,
        _ => return None,
    };
    for (digit, unit) in digits.iter().zip([100, 10, 1]) {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        thousandths += digit * unit;
    }
    (thousandths <= 1_000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred_of(value: &str) -> Option<&'static str> {
        let header = httparse::Header {
            name: "accept-encoding",
            value: value.as_bytes(),
        };
        let headers = [header];
        let fields = Fields::new(&headers).expect("one line");
        preferred(&fields, &["br", "zstd", "gzip"])
    }

    #[test]
    fn the_most_wanted_is_taken() {
        for (value, coding) in [
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip", Some("gzip")),
            ("X-GZip", Some("gzip")),
            ("gzip;q=1.0, br;q=0.9", Some("gzip")),
            ("br;q=0, *;q=0.1", Some("zstd")),
            ("*", Some("br")),
            ("deflate", None),
            ("", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some("gzip")),
            ("gzip;q=0", None),
            ("gzip;q=2, br;q=0.0001, zstd;x", None),
            ("gzip ; Q=0.001", Some("gzip")),
        ] {
            assert_eq!(preferred_of(value), coding, "{value}");
        }
    }
}
