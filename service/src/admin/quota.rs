//! A quota as its owner writes it: `{"quota_bytes":N,"quota_keys":N}`.

use crate::http::head::Framing;
use crate::problem::{Kind, Problem};
use alloc::format;
use core::fmt;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use store::QuotaLimits;

/// Longest body.
pub(crate) const BODY_BYTES_MAX: usize = 4_096;

/// What is said of a quota.
///
/// What is left out stays what it was; `null` and 0 take it away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quota {
    quota_bytes: Option<u64>,
    quota_keys: Option<u64>,
}

/// The names of its members.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    QuotaBytes,
    QuotaKeys,
}

/// Takes an object and nothing else: what is derived would take a list, too.
struct Members;

impl<'d> Visitor<'d> for Members {
    type Value = Quota;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'d>>(self, mut members: A) -> Result<Quota, A::Error> {
        let mut quota = Quota::default();
        while let Some(member) = members.next_key()? {
            let (place, name) = match member {
                Member::QuotaBytes => (&mut quota.quota_bytes, "quota_bytes"),
                Member::QuotaKeys => (&mut quota.quota_keys, "quota_keys"),
            };
            if place.is_some() {
                return Err(A::Error::duplicate_field(name));
            }
            let limit: Option<u64> = members.next_value()?;
            // 0 is the store's word for no quota.
            *place = Some(limit.unwrap_or(0));
        }
        Ok(quota)
    }
}

impl<'d> Deserialize<'d> for Quota {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Quota, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

impl Quota {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Kind::BadJson`], saying where.
    pub(super) fn parse(body: &[u8]) -> Result<Quota, Problem> {
        serde_json::from_slice(body).map_err(|error| {
            let detail = format!(
                "A quota is {{\"quota_bytes\":N,\"quota_keys\":N}}, where either may be left out, \
                 and null or 0 is none: {error}."
            );
            Problem::new(Kind::BadJson, detail)
                .number("line", error.line() as u64)
                .number("column", error.column() as u64)
        })
    }

    /// The quota that `before` becomes.
    pub(super) fn over(self, before: QuotaLimits) -> QuotaLimits {
        QuotaLimits {
            bytes: self.quota_bytes.unwrap_or(before.bytes),
            keys: self.quota_keys.unwrap_or(before.keys),
        }
    }
}

/// A body that says ahead that it is too long.
pub(super) fn refuse_too_long(framing: Framing) -> Result<(), Problem> {
    match framing {
        Framing::Length(len_bytes) if len_bytes > BODY_BYTES_MAX as u64 => {
            Err(Problem::body_too_large(BODY_BYTES_MAX as u64))
        }
        _ => Ok(()),
    }
}
