//! What a short body is about, which is looked at as a whole.

use super::buckets;
use super::wanted;
use crate::awaited::Awaited;
use crate::certificate::PEM_BYTES_MAX;
use crate::http::head::Framing;
use crate::problem::Problem;
use crate::route::Action;
use crate::service::Service;
use store::BucketName;

/// What it is about.
#[derive(Debug)]
pub(crate) enum Subject {
    /// What this bucket is to be.
    Bucket(BucketName),
    /// The certificate to show, with its key.
    Certificate,
}

impl Subject {
    /// The longest body.
    pub(crate) fn bytes_max(&self) -> usize {
        match self {
            Subject::Bucket(_) => wanted::BODY_BYTES_MAX,
            Subject::Certificate => PEM_BYTES_MAX,
        }
    }

    /// Begins to collect the body.
    ///
    /// # Errors
    /// It says ahead that it is too long.
    pub(super) fn collect(self, framing: Framing) -> Result<Action, Problem> {
        let max = self.bytes_max() as u64;
        match framing {
            Framing::Length(len_bytes) if len_bytes > max => Err(Problem::body_too_large(max)),
            _ => Ok(Action::Collect(self)),
        }
    }

    /// Does what the body says.
    ///
    /// # Errors
    /// The refusal to answer with; nothing was changed.
    pub(crate) fn set(self, service: &mut Service, content: &[u8]) -> Result<Action, Problem> {
        match self {
            Subject::Bucket(bucket) => buckets::set_bucket(service, bucket, content),
            Subject::Certificate => {
                let keeping = service.keep_certificate(content)?;
                Ok(Action::Await(Awaited::Certificate(keeping)))
            }
        }
    }
}
