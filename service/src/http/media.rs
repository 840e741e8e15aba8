//! Media types by file ending, for values stored without one.

/// Endings in lower case, and what they usually hold.
const ENDINGS: [(&str, &str); 37] = [
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("txt", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("ics", "text/calendar; charset=utf-8"),
    ("xml", "application/xml"),
    ("rss", "application/rss+xml"),
    ("atom", "application/atom+xml"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("ico", "image/vnd.microsoft.icon"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("wasm", "application/wasm"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tar", "application/x-tar"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("wav", "audio/wav"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
];

/// What is said of bytes nobody knows anything about.
pub(crate) const UNKNOWN: &str = "application/octet-stream";

/// The media type for a key that ends like this.
pub(crate) fn by_ending(key: &[u8]) -> &'static str {
    let name = key.rsplit(|&b| b == b'/').next().unwrap_or(key);
    let Some(dot) = name.iter().rposition(|&b| b == b'.') else {
        return UNKNOWN;
    };
    let ending = &name[dot + 1..];
    let mut known = ENDINGS.iter();
    let found = known.find(|(text, _)| text.as_bytes().eq_ignore_ascii_case(ending));
    found.map_or(UNKNOWN, |(_, media)| media)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings() {
        for (key, media) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.c/LOGO.SVG", "image/svg+xml"),
            ("a.tar.gz", "application/gzip"),
            ("a.html/b", UNKNOWN),
            ("html", UNKNOWN),
            ("a.", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(by_ending(key.as_bytes()), media, "{key}");
        }
    }
}
