//! `at=`: of which state a request reads.

use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::service::Service;
use store::{At, Seq, SnapshotName};

/// The state that `at=` asks for: a snapshot's, by its name, or else by its sequence.
///
/// Without `at=` it is that of now; `None` is for a snapshot that is not there.
///
/// # Errors
/// What is neither a name nor a number, or a store that cannot be read.
pub(crate) fn asked(service: &Service, text: Option<&[u8]>) -> Result<Option<At>, Problem> {
    let Some(text) = text else {
        return Ok(Some(At::NOW));
    };
    let text = core::str::from_utf8(text).unwrap_or_default();
    let name = SnapshotName::new(text).map_err(|_| {
        let detail = "`at` is the name of a snapshot, or its sequence.";
        Problem::new(Kind::BadParameter, detail)
    })?;
    let store = &service.store;
    if let Some(at) = store.at(&name).map_err(refusal::unavailable)? {
        return Ok(Some(at));
    }
    match text.parse() {
        Ok(seq) => store.at_seq(Seq(seq)).map_err(refusal::unavailable),
        Err(_) => Ok(None),
    }
}
