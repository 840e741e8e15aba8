//! A bucket as its owner wants it: `{"quota_bytes":N,"quota_keys":N,"public":BOOL}`.

use crate::problem::{Kind, Problem};
use alloc::format;
use core::fmt;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use store::QuotaLimits;

/// Longest body.
pub(crate) const BODY_BYTES_MAX: usize = 4_096;

/// What is said of a bucket.
///
/// What is left out stays what it was; `null` and 0 take a quota away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    quota_bytes: Option<u64>,
    quota_keys: Option<u64>,
    public: Option<bool>,
}

/// The names of its members.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    QuotaBytes,
    QuotaKeys,
    Public,
}

/// Takes an object and nothing else: what is derived would take a list, too.
struct Members;

impl<'d> Visitor<'d> for Members {
    type Value = Wanted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'d>>(self, mut members: A) -> Result<Wanted, A::Error> {
        let mut wanted = Wanted::default();
        while let Some(member) = members.next_key()? {
            match member {
                Member::QuotaBytes => limit(&mut members, "quota_bytes", &mut wanted.quota_bytes)?,
                Member::QuotaKeys => limit(&mut members, "quota_keys", &mut wanted.quota_keys)?,
                Member::Public if wanted.public.is_some() => {
                    return Err(A::Error::duplicate_field("public"));
                }
                Member::Public => wanted.public = Some(members.next_value()?),
            }
        }
        Ok(wanted)
    }
}

fn limit<'d, A: MapAccess<'d>>(
    members: &mut A,
    name: &'static str,
    place: &mut Option<u64>,
) -> Result<(), A::Error> {
    if place.is_some() {
        return Err(A::Error::duplicate_field(name));
    }
    let limit: Option<u64> = members.next_value()?;
    // 0 is the store's word for no quota.
    *place = Some(limit.unwrap_or(0));
    Ok(())
}

impl<'d> Deserialize<'d> for Wanted {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Wanted, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

impl Wanted {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Kind::BadJson`], saying where.
    pub(super) fn parse(body: &[u8]) -> Result<Wanted, Problem> {
        serde_json::from_slice(body).map_err(|error| {
            let detail = format!(
                "A bucket is set by {{\"quota_bytes\":N,\"quota_keys\":N,\"public\":true or \
                 false}}, where each may be left out, and a quota of null or 0 is none: {error}."
            );
            Problem::new(Kind::BadJson, detail)
                .number("line", error.line() as u64)
                .number("column", error.column() as u64)
        })
    }

    /// Whether everybody may read it, if that is said.
    pub(super) fn public(self) -> Option<bool> {
        self.public
    }

    /// The quota that `before` becomes.
    pub(super) fn over(self, before: QuotaLimits) -> QuotaLimits {
        QuotaLimits {
            bytes: self.quota_bytes.unwrap_or(before.bytes),
            keys: self.quota_keys.unwrap_or(before.keys),
        }
    }
}
