//! What a bucket uses and may use, as JSON: for those who read it, and for its owner.

use crate::answer::Answer;
use crate::json;
use crate::service::Service;
use alloc::string::String;
use core::fmt::Write;
use store::BucketName;

/// `{"buckets":[…]}`.
pub(crate) fn list(service: &Service, names: &[BucketName]) -> Answer {
    let mut out = String::from("{\"buckets\":[");
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(&mut out, service, name);
    }
    out.push_str("]}\n");
    Answer::text(200, "application/json", out)
}

/// Appends the object of one bucket; a quota that is none is `null`.
pub(crate) fn push(out: &mut String, service: &Service, name: &BucketName) {
    let (quota, used) = service.store.quota(name);
    out.push('{');
    json::push_member(out, "name", name.as_str());
    let _ = write!(out, ",\"keys\":{},\"bytes\":{}", used.keys, used.bytes);
    for (member, limit) in [("quota_bytes", quota.bytes), ("quota_keys", quota.keys)] {
        let _ = match limit {
            0 => write!(out, ",\"{member}\":null"),
            limit => write!(out, ",\"{member}\":{limit}"),
        };
    }
    let is_public = service.visibility.is_public(name.as_str().as_bytes());
    let _ = write!(out, ",\"public\":{is_public}}}");
}
