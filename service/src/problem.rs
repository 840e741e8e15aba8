//! Refusals as `application/problem+json` (RFC 9457), and the list of them.
//!
//! The names are stable: scripts match on `type`. A name is never reused for
//! something else. `GET /-/problems/NAME` gives the sentence.

use crate::answer::Answer;
use crate::json;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

macro_rules! kinds {
    ($($kind:ident $status:literal $name:literal $title:literal)*) => {
        /// What kind of refusal it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $(#[doc = $title] $kind),* }

        /// Every kind with its status, name and title, in the order of [`Kind`].
        pub(crate) const KINDS: &[(Kind, u16, &str, &str)] =
            &[$((Kind::$kind, $status, $name, $title)),*];
    };
}

kinds! {
    BadRequest 400 "bad-request" "The request is not HTTP/1.1 as RFC 9112 has it."
    BadFraming 400 "bad-framing" "Where the request ends is ambiguous."
    BadHost 400 "bad-host" "The Host field is missing, doubled or malformed."
    BadTarget 400 "bad-target" "The request target is malformed."
    BadPath 400 "bad-path" "The path cannot name a page of a site."
    BadBucket 400 "bad-bucket" "That is not a bucket's name."
    BadSnapshot 400 "bad-snapshot" "That is not a snapshot's name."
    BadKey 400 "bad-key" "That is not a key."
    BadParameter 400 "bad-parameter" "A query parameter is unknown, doubled or malformed."
    BadCondition 400 "bad-condition" "A precondition is malformed."
    BadHeader 400 "bad-header" "A header field to be kept is too long or not text."
    PartialPut 400 "partial-put" "A PUT replaces the whole value."
    BadBody 400 "bad-body" "The body is not chunked coding as RFC 9112 has it."
    BadSite 400 "bad-site" "The body is no tar of a site."
    BadBackup 400 "bad-backup" "The body is no whole backup of a Lampion store."
    BadCertificate 400 "bad-certificate" "The certificate or its key is not taken."
    BadJson 400 "bad-json" "The body is not the JSON that is wanted here."
    UnexpectedBody 400 "unexpected-body" "This request has no body."
    IncompleteBody 400 "incomplete-body" "The body ended before its announced end."
    TokenMissing 401 "token-missing" "This needs the token."
    TokenWrong 401 "token-wrong" "That is not the token."
    ReadTokenOnly 403 "read-token-only" "The read token does not allow this."
    CrossSite 403 "cross-site" "Another site's page asked for a change."
    PlaintextRefused 403 "plaintext-refused" "The token is not taken over plain HTTP."
    NoSuchKey 404 "no-such-key" "There is no value under this key."
    NoSuchBucket 404 "no-such-bucket" "There is no such bucket, or nothing in it."
    NoSuchSnapshot 404 "no-such-snapshot" "There is no snapshot of this name."
    NoSuchGeneration 404 "no-such-generation" "There is no such push of this site."
    NoSuchJob 404 "no-such-job" "There is no job of this number."
    NoCertificate 404 "no-certificate" "There is no certificate."
    NoSuchPath 404 "no-such-path" "There is nothing here."
    MethodNotAllowed 405 "method-not-allowed" "The resource does not have this method."
    RequestTimeout 408 "request-timeout" "The request did not arrive in time."
    Ending 409 "ending" "This boot ends already."
    JobEnded 409 "job-ended" "The job has ended."
    JobStopped 409 "job-stopped" "The owner has stopped this."
    NotAnInteger 409 "not-an-integer" "The value is no integer."
    Overflow 409 "overflow" "The sum does not fit 64 bits."
    TokenSet 409 "token-set" "There is no token that was made here."
    CertificateSet 409 "certificate-set" "The certificate is a setting."
    SiteBusy 409 "site-busy" "Somebody pushes this site."
    SnapshotExists 409 "snapshot-exists" "There is a snapshot of this name already."
    SnapshotGone 410 "snapshot-gone" "The snapshot of this page is not there any more."
    ChangesGone 410 "changes-gone" "The changes since then are not known any more."
    ConditionFailed 412 "condition-failed" "A precondition does not hold."
    ValueTooLarge 413 "value-too-large" "The value is longer than the store takes."
    BodyTooLarge 413 "body-too-large" "The body is longer than is taken here."
    TargetTooLong 414 "target-too-long" "The request line is too long."
    RangeNotSatisfiable 416 "range-not-satisfiable" "The value has no byte in this range."
    ExpectationUnknown 417 "expectation-unknown" "Only 100-continue can be expected."
    Misdirected 421 "misdirected" "This is asked for over the other port, or not at all."
    BackupLossy 422 "backup-lossy" "The backup lacks values that could not be read."
    HeadTooLarge 431 "head-too-large" "The request's head is too large."
    WriteOutcomeUnknown 500 "write-outcome-unknown" "Nobody knows whether the write happened."
    ValueCorrupt 500 "value-corrupt" "The stored bytes do not match their checksum."
    ReadFailed 500 "read-failed" "The disk failed to read the value."
    MethodUnknown 501 "method-unknown" "No resource here has this method."
    CodingUnknown 501 "coding-unknown" "Only the chunked transfer coding is understood."
    StoreOpening 503 "store-opening" "The store is still opening."
    StoreReadOnly 503 "store-read-only" "The store takes no changes."
    StoreInPart 503 "store-in-part" "There is too little memory to know of this key."
    StoreRefused 503 "store-refused" "The store is not open."
    StoreBusy 503 "store-busy" "Too much is waiting for the store."
    StoreRestoring 503 "store-restoring" "A backup is being restored."
    DiskAway 503 "disk-away" "The disk is away."
    StoreSlow 503 "store-slow" "The store did not answer in time."
    TooManyWatchers 503 "too-many-watchers" "As many watch as can."
    NoEntropy 503 "no-entropy" "There is no randomness for a secret."
    NoMemory 503 "no-memory" "There is no memory for this now."
    VersionUnknown 505 "version-unknown" "Only HTTP/1.0 and HTTP/1.1 are spoken."
    NoSpaceDisk 507 "no-space-disk" "The disk is full."
    NoSpaceMemory 507 "no-space-memory" "The index has no memory left."
    NoSpaceQuota 507 "no-space-quota" "The bucket's quota is used up."
    TooManyBuckets 507 "too-many-buckets" "There are as many buckets as there can be."
    TooManySnapshots 507 "too-many-snapshots" "The list of snapshots is full."
}

/// A refusal with its sentence and numbers.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// What kind.
    pub(crate) kind: Kind,
    detail: String,
    numbers: Vec<(&'static str, u64)>,
    lines: Vec<u8>,
}

impl Kind {
    /// Its name, as it is in `type`.
    pub(crate) fn name(self) -> &'static str {
        self.row().2
    }

    /// The row of this kind.
    fn row(self) -> &'static (Kind, u16, &'static str, &'static str) {
        &KINDS[self as usize]
    }
}

impl Problem {
    /// A refusal; `detail` is one or two sentences for a human.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Problem {
            kind,
            detail: detail.into(),
            numbers: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// A body longer than what is collected in memory.
    pub(crate) fn body_too_large(limit_bytes: u64) -> Self {
        let detail = alloc::format!("The body of this request is at most {limit_bytes} bytes.");
        Problem::new(Kind::BodyTooLarge, detail).number("limit_bytes", limit_bytes)
    }

    /// Puts a sentence before the others.
    pub(crate) fn about(mut self, sentence: &str) -> Self {
        self.detail = alloc::format!("{sentence} {}", self.detail);
        self
    }

    /// Adds a member with a number.
    pub(crate) fn number(mut self, name: &'static str, value: u64) -> Self {
        self.numbers.push((name, value));
        self
    }

    /// Adds a header field; `value` is made here, not by a peer.
    pub(crate) fn line(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.lines.extend_from_slice(part.as_bytes());
        }
        self
    }

    /// The answer that says so.
    pub(crate) fn into_answer(self) -> Answer {
        let &(_, status, name, title) = self.kind.row();
        let mut body = String::with_capacity(160 + self.detail.len());
        body.push_str("{\"type\":\"/-/problems/");
        body.push_str(name);
        body.push_str("\",");
        json::push_member(&mut body, "title", title);
        let _ = write!(body, ",\"status\":{status},");
        json::push_member(&mut body, "detail", &self.detail);
        for (name, value) in &self.numbers {
            let _ = write!(body, ",\"{name}\":{value}");
        }
        body.push_str("}\n");
        let mut answer = Answer::text(status, "application/problem+json", body);
        answer.lines.extend_from_slice(&self.lines);
        match status {
            401 => {
                answer.line("WWW-Authenticate", "Bearer realm=\"lampion\"");
                answer.line(
                    "WWW-Authenticate",
                    "Basic realm=\"lampion\", charset=\"UTF-8\"",
                );
            }
            503 => answer.line("Retry-After", "1"),
            _ => {}
        }
        answer
    }
}

/// The page behind a problem's `type`.
pub(crate) fn page(name: &str) -> Option<Answer> {
    let row = KINDS.iter().find(|(_, _, known, _)| *known == name)?;
    let text = alloc::format!("{} ({})\n{}\n", row.2, row.1, row.3);
    Some(Answer::text(200, "text/plain; charset=utf-8", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_names_are_unique() {
        for (index, (kind, status, name, title)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, index);
            assert!(
                (400..600).contains(status) && title.ends_with('.'),
                "{name}"
            );
            let same = KINDS.iter().filter(|(_, _, other, _)| other == name);
            assert_eq!(same.count(), 1, "{name}");
        }
    }
}
