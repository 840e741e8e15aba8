//! The page a new appliance shows while nobody has published one.

use crate::answer::Answer;
use crate::channel::Channel;
use crate::http::head::Request;
use crate::segment::Segment;
use crate::service::Service;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The page; `{{origin}}` is where commands name the appliance.
const PAGE: &str = include_str!("welcome.html");
const MARK: &str = "{{origin}}";
/// What it may do: it has one style sheet within, known by its hash, and nothing else.
const POLICY: &str =
    "default-src 'none'; style-src 'sha256-jR+OpdOh3/h52V2RD+r3YQ93SN1Kj/2eQln4GD945Ho='";

/// The page, with commands that can be pasted.
pub(crate) fn page(service: &Service, request: &Request<'_>) -> Answer {
    let host = host(service, request.authority);
    let scheme = match request.channel {
        Channel::Plain => "http",
        Channel::Secure => "https",
    };
    let origin = format!("{scheme}://{host}");
    let mut content = Vec::new();
    for (index, piece) in PAGE.split(MARK).enumerate() {
        if index > 0 {
            content.push(Segment::Inline(origin.as_bytes().into()));
        }
        content.push(Segment::Static(piece.as_bytes()));
    }
    let mut answer = Answer::segments(200, "text/html; charset=utf-8", content);
    answer.line("Content-Security-Policy", POLICY);
    answer
}

/// What to write after the scheme: what the peer wrote if it is harmless in HTML and in a shell.
fn host(service: &Service, authority: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let harmless = |text: &&str| !text.is_empty() && text.bytes().all(plain);
    let known = service
        .environment
        .addresses
        .first()
        .map(|address| &**address);
    Some(authority)
        .filter(harmless)
        .or(known.filter(harmless))
        .unwrap_or("ADDRESS")
        .into()
}

#[cfg(test)]
mod tests {
    use super::{PAGE, POLICY};
    use alloc::format;
    use base64ct::{Base64, Encoding};
    use sha2::{Digest, Sha256};

    /// A browser would leave a sheet out that has another hash than it is told.
    #[test]
    fn its_style_is_the_one_that_its_policy_names() {
        let (_, rest) = PAGE.split_once("<style>").expect("it has a sheet");
        let (sheet, rest) = rest.split_once("</style>").expect("which ends");
        let hash = Base64::encode_string(&Sha256::digest(sheet));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
        assert!(!rest.contains("<style>") && !PAGE.contains("style="));
    }
}
