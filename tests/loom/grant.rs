//! A page that a backend has mapped.

use crate::page::SharedPage;

/// The page of one ring.
#[derive(Debug)]
pub struct Grant(pub(crate) SharedPage);

impl Grant {
    pub(crate) fn page(&self) -> &SharedPage {
        &self.0
    }
}
