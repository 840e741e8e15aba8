//! Pages of other sites that may use the users' port (`cors`): the Fetch Standard's CORS protocol.
//!
//! The origin that may is the same in every answer, so that caches need not tell them apart.
//! Nothing is allowed with credentials: a page sends the token itself, as `Bearer`.

use crate::answer::Answer;
use crate::http::response::{HeadWriter, line};

/// Fields that a page may read beside the simple ones.
const EXPOSED: &[u8] = b"ETag, Last-Modified, Content-Range, Accept-Ranges, Retry-After";
/// Fields that a page may send beside the simple ones.
const SENT: &str = "Authorization, Content-Type, Content-Encoding, Content-Disposition, \
                    Cache-Control, Range, If-Match, If-None-Match, If-Modified-Since, \
                    If-Unmodified-Since, If-Range, Last-Event-ID";
/// How long a browser need not ask again, in seconds.
const MAX_AGE_S: &str = "600";

/// What every answer says.
pub(crate) fn allow(origin: Option<&str>, head: &mut HeadWriter) {
    if let Some(origin) = origin {
        head.field(line!("Access-Control-Allow-Origin"), origin.as_bytes());
        head.field(line!("Access-Control-Expose-Headers"), EXPOSED);
    }
}

/// What the answer to OPTIONS says besides: a browser asks before it sends what is not simple.
pub(crate) fn preflight(origin: Option<&str>, methods: &str, answer: &mut Answer) {
    if origin.is_some() {
        answer.line("Access-Control-Allow-Methods", methods);
        answer.line("Access-Control-Allow-Headers", SENT);
        answer.line("Access-Control-Max-Age", MAX_AGE_S);
    }
}

/// Whether a page of this origin may change something where no token is asked for.
pub(crate) fn may_change(allowed: Option<&str>, origin: &[u8]) -> bool {
    allowed.is_some_and(|allowed| allowed == "*" || allowed.as_bytes() == origin)
}
