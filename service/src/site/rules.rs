//! What a directory says about its own pages, in `_redirects` and `_headers`.
//!
//! Netlify, Cloudflare Pages and others read these files, too.
//! Only what is understood whole is taken: a site that is half redirected is worse than a push
//! that is refused with the line that is at fault.

use crate::http::field::Field;
use crate::http::target;
use crate::kv;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use store::Headers;

/// The file of redirects.
pub(crate) const REDIRECTS: &[u8] = b"_redirects";
/// The file of header fields.
pub(crate) const HEADERS: &[u8] = b"_headers";
/// Longest of each.
pub(crate) const RULES_BYTES_MAX: u64 = 32 * 1024;
/// Longest field kept with a page; four of them fit what the store keeps with a value.
const FIELD_BYTES_MAX: usize = 1_000;
/// What stands for `*` in a target.
const SPLAT: &str = ":splat";
/// The page of a directory.
const INDEX: &[u8] = b"index.html";

/// What is wrong with such a file, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadRule {
    pub(crate) line: u64,
    pub(crate) why: &'static str,
}

/// A path, or the beginning of paths (`/old/*`), decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Path(Vec<u8>),
    Below(Vec<u8>),
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, &'static str> {
        if !text.starts_with('/') {
            return Err("a path begins with a slash");
        }
        let (stem, is_open) = match text.strip_suffix('*') {
            Some(stem) if stem.ends_with('/') => (stem, true),
            Some(_) => return Err("`*` stands behind a slash, at the end of a path"),
            None => (text, false),
        };
        if stem.contains('*') {
            return Err("`*` stands at the end of a path only");
        }
        if stem.contains(['?', '#']) {
            return Err("a path ends before `?` and `#`, which are percent-encoded in a name");
        }
        if stem.contains("/:") {
            return Err("parts with names (`/:name`) are not known here: write `*` at the end");
        }
        let Ok(stem) = target::decode(stem) else {
            return Err("a % is followed by two hexadecimal digits");
        };
        Ok(match is_open {
            true => Pattern::Below(stem),
            false => Pattern::Path(stem),
        })
    }

    /// What stands for `*` if it matches: nothing where there is none.
    fn rest<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        match self {
            Pattern::Path(own) => (own == path).then_some(b""),
            Pattern::Below(stem) => match path.strip_prefix(&**stem) {
                // `/old/*` is about `/old`, too.
                None => (stem.strip_suffix(b"/") == Some(path)).then_some(b""),
                found => found,
            },
        }
    }
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// With this status to this target.
    To(u16, String),
    /// This page is shown in its place (200).
    Shown(String),
}

/// One line of `_redirects`.
#[derive(Clone, Debug)]
struct Line {
    from: Pattern,
    to: Box<str>,
    status: u16,
}

/// All of `_redirects`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redirects(Vec<Line>);

impl Redirects {
    /// Reads `FROM TO [STATUS]` lines; one that begins with `#` is a comment.
    ///
    /// # Errors
    /// The first line that is none.
    pub(crate) fn parse(text: &[u8]) -> Result<Redirects, BadRule> {
        let lines = lines(text)?.map(|(line, text)| {
            let read = redirect(text);
            read.map_err(|why| BadRule { line, why })
        });
        lines.collect::<Result<_, _>>().map(Redirects)
    }

    /// Where a decoded path leads, by the first line that is about it.
    pub(crate) fn of(&self, path: &[u8]) -> Option<Redirect> {
        self.0.iter().find_map(|line| {
            let rest = line.from.rest(path)?;
            let mut splat = String::new();
            target::encode(rest, &mut splat);
            let target = line.to.replacen(SPLAT, &splat, 1);
            Some(match line.status {
                200 => Redirect::Shown(target),
                status => Redirect::To(status, target),
            })
        })
    }
}

fn redirect(text: &str) -> Result<Line, &'static str> {
    let mut words = text.split_ascii_whitespace();
    let (Some(from), Some(to)) = (words.next(), words.next()) else {
        return Err("a redirect is `FROM TO [STATUS]`");
    };
    let status = match words.next() {
        None | Some("301") => 301,
        Some("200") => 200,
        Some("302") => 302,
        Some("303") => 303,
        Some("307") => 307,
        Some("308") => 308,
        Some(_) => {
            return Err("a redirect's status is 301, 302, 303, 307, 308, or 200 to show a page");
        }
    };
    if words.next().is_some() {
        return Err("nothing stands behind a redirect's status: conditions are not known here");
    }
    let from = Pattern::parse(from)?;
    let is_far = ["http://", "https://"]
        .iter()
        .any(|far| to.starts_with(far));
    // `//HOST/` would lead to another host, as would `/:splat` where that begins with a slash.
    let is_here = to.starts_with('/') && !to.starts_with("//");
    if !is_here && (!is_far || status == 200) {
        return Err(
            "a redirect leads to a path or to http:// or https://, and what is shown is here",
        );
    }
    // A browser takes a backslash for a slash.
    if !to.bytes().all(|byte| matches!(byte, b'!'..=b'~')) || to.contains('\\') {
        return Err("a target's characters are percent-encoded");
    }
    if status == 200 && to.contains(['?', '#']) {
        return Err("what is shown is a path, without `?` and `#`");
    }
    if let Some((before, behind)) = to.split_once(SPLAT) {
        if !matches!(from, Pattern::Below(_)) {
            return Err("`:splat` is what `*` stands for, and there is none");
        }
        let host = before.split_once("://").map(|(_, host)| host);
        if host.is_some_and(|host| !host.contains('/')) {
            return Err("`:splat` stands in a path: else a visitor would choose the host");
        }
        if behind.contains(SPLAT) {
            return Err("`:splat` stands in a target once");
        }
    }
    Ok(Line {
        from,
        to: to.into(),
        status,
    })
}

/// All of `_headers`: paths, and the fields that are kept with their pages.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageHeaders(Vec<(Pattern, Headers)>);

impl PageHeaders {
    /// Reads paths, each followed by indented `NAME: VALUE` lines.
    ///
    /// # Errors
    /// The first line that is neither, or a field that is not kept.
    pub(crate) fn parse(text: &[u8]) -> Result<PageHeaders, BadRule> {
        let mut all: Vec<(Pattern, Headers)> = Vec::new();
        for (line, text) in lines(text)? {
            let bad = |why| BadRule { line, why };
            if !text.starts_with([' ', '\t']) {
                let pattern = Pattern::parse(text.trim_ascii()).map_err(bad)?;
                all.push((pattern, Headers::default()));
                continue;
            }
            let (_, headers) = all.last_mut().ok_or(bad("a path comes first"))?;
            field(headers, text).map_err(bad)?;
        }
        Ok(PageHeaders(all))
    }

    /// What is kept with a page: of two lines about a field the later one counts.
    pub(crate) fn of(&self, path: &[u8]) -> Headers {
        let mut kept = Headers::default();
        // What is said of a page is said of its compressed copies, and of a directory of its page.
        let endings: [&[u8]; 3] = [b".br", b".zst", b".gz"];
        let plain = endings.iter().find_map(|ending| path.strip_suffix(*ending));
        let directory = plain.unwrap_or(path).strip_suffix(INDEX);
        let directory = directory.filter(|directory| directory.ends_with(b"/"));
        let names = [Some(path), plain, directory];
        for (pattern, headers) in &self.0 {
            let mut names = names.iter().flatten();
            if names.any(|name| pattern.rest(name).is_some()) {
                let of = |field: &mut Option<Box<str>>, said: &Option<Box<str>>| {
                    if said.is_some() {
                        field.clone_from(said);
                    }
                };
                of(&mut kept.content_type, &headers.content_type);
                of(&mut kept.cache_control, &headers.cache_control);
                of(&mut kept.content_disposition, &headers.content_disposition);
            }
        }
        kept
    }
}

fn field(headers: &mut Headers, text: &str) -> Result<(), &'static str> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("a field is `NAME: VALUE`");
    };
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    let (field, place) = match name.to_ascii_lowercase().as_str() {
        "cache-control" => (Field::CacheControl, &mut headers.cache_control),
        "content-type" => (Field::ContentType, &mut headers.content_type),
        "content-disposition" => (Field::ContentDisposition, &mut headers.content_disposition),
        _ => {
            return Err(
                "the fields that can be set are Cache-Control, Content-Type and \
                 Content-Disposition",
            );
        }
    };
    if value.is_empty() || value.len() > FIELD_BYTES_MAX {
        return Err("a field's value is 1 to 1000 characters");
    }
    if !kv::is_keepable(field, value) {
        return Err("that is no value of this field (RFC 9110, RFC 9111)");
    }
    *place = Some(value.into());
    Ok(())
}

/// The lines that say something, with their numbers.
fn lines(text: &[u8]) -> Result<impl Iterator<Item = (u64, &str)>, BadRule> {
    let text = core::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        BadRule {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64,
            why: "this is not UTF-8",
        }
    })?;
    let said = |line: &'_ str| {
        let is_comment = line.trim_ascii_start().starts_with('#');
        !is_comment && !line.trim_ascii().is_empty()
    };
    let numbered = text.lines().zip(1..).map(|(line, number)| (number, line));
    Ok(numbered.filter(move |(_, line)| said(line)))
}

/// The sentence about such a file.
pub(crate) fn sentence(file: &[u8], bad: &BadRule) -> String {
    format!(
        "Line {} of `{}`: {}.",
        bad.line,
        file.escape_ascii(),
        bad.why
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(status: u16, target: &str) -> Option<Redirect> {
        Some(Redirect::To(status, target.into()))
    }

    #[test]
    fn the_first_redirect_about_a_path_counts() {
        let text = b"# moved\n/a /b\n/a /never 302\r\n\n/old/* /new/:splat 308\n\
                     /far  https://shop.example/:x  307\n/app/* /app/index.html 200\n";
        let redirects = Redirects::parse(text).expect("redirects");
        assert_eq!(redirects.of(b"/a"), to(301, "/b"));
        assert_eq!(redirects.of(b"/old/x/y z"), to(308, "/new/x/y%20z"));
        assert_eq!(redirects.of(b"/old"), to(308, "/new/"));
        assert_eq!(redirects.of(b"/far"), to(307, "https://shop.example/:x"));
        let shown = Redirect::Shown("/app/index.html".into());
        assert_eq!(redirects.of(b"/app/user/7"), Some(shown));
        for path in ["/b", "/a/", "/older", "/"] {
            assert_eq!(redirects.of(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn a_line_that_is_no_redirect_is_named() {
        for line in [
            "/a",
            "a /b",
            "/a b",
            "/a //evil.example/",
            "/a /b 404",
            "/a /b 301!",
            "/a /b 301 Country=ch",
            "/a* /b",
            "/*/a /b",
            "/:id /b",
            "/a /b/:splat",
            "/a https://x.example/ 200",
            "/a /b\\c",
            "/a ftp://x.example/",
            "/a/* https://x.example:splat",
            "/a/* https://:splat/",
            "/a/* /b/:splat/:splat",
            "/a?b /c",
            "/a%2 /c",
            "/a /b?c 200",
        ] {
            let text = format!("/x /y\n\n{line}\n");
            let bad = Redirects::parse(text.as_bytes()).expect_err(line);
            assert_eq!(bad.line, 3, "{line}");
        }
        assert_eq!(Redirects::parse(b"/a /b\n\xff").expect_err("text").line, 2);
    }

    #[test]
    fn fields_are_kept_by_paths() {
        let text = b"/*\n  Cache-Control: no-cache\n# hashed\n/assets/*\n\
                     \tcache-control:  public, max-age=31536000, immutable\n\
                     /feed\n  Content-Type: application/rss+xml\n\
                     /docs/\n  Cache-Control: max-age=1\n";
        let headers = PageHeaders::parse(text).expect("headers");
        let control = |path: &str| {
            let kept = headers.of(path.as_bytes());
            kept.cache_control.expect("one for all")
        };
        assert_eq!(&*control("/index.html"), "no-cache");
        assert_eq!(
            &*control("/assets/app.js"),
            "public, max-age=31536000, immutable"
        );
        for path in ["/feed", "/feed.gz"] {
            let media = headers.of(path.as_bytes()).content_type;
            assert_eq!(media.as_deref(), Some("application/rss+xml"), "{path}");
        }
        assert_eq!(headers.of(b"/feeds").content_type, None);
        assert_eq!(&*control("/docs/index.html"), "max-age=1");
        assert_eq!(&*control("/docs/myindex.html"), "no-cache");
    }

    #[test]
    fn a_line_that_is_no_field_is_named() {
        for text in [
            "/a\n  X-Frame-Options: DENY\n",
            "/a\n  Cache-Control\n",
            "/a\n  Cache-Control:\n",
            "/a\n  Cache-Control: a\tb\n",
            "/a\n  Content-Type: none\n",
            "/a\nCache-Control: no-cache\n",
        ] {
            assert_eq!(
                PageHeaders::parse(text.as_bytes()).expect_err(text).line,
                2,
                "{text:?}"
            );
        }
        let text = b"  Cache-Control: no-cache\n";
        assert_eq!(PageHeaders::parse(text).expect_err("no path").line, 1);
    }
}
