//! Which generation of a site is shown, and where its redirects lead.

use super::generation::{self, Generation};
use super::rules::{REDIRECTS, RULES_BYTES_MAX, Redirects};
use crate::problem::Problem;
use crate::refusal;
use crate::service::Service;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::Poll;
use store::{At, BucketName, Key, ReadError, Reader, Seq, Store, Unavailable};

/// What was found of a site.
#[derive(Debug)]
pub(super) struct Shown {
    /// When that was durable.
    seq: Seq,
    generation: Option<Generation>,
    /// When its redirects were written: after a rollback there may be others under their name.
    written: Option<Seq>,
    rules: Rules,
}

/// The redirects of the generation that is shown.
#[derive(Debug)]
enum Rules {
    Reading(Box<Reader>, Vec<u8>),
    Known(Rc<Redirects>),
    Failed(ReadError),
}

impl Service {
    /// The pushed generation that a site shows; `None` if its bucket itself is the site.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub(super) fn shown(&mut self, bucket: &BucketName) -> Result<Option<Generation>, Problem> {
        let seq = self.store.durable_seq();
        if let Some(shown) = self.sites.shown.get(bucket)
            && shown.seq == seq
        {
            return Ok(shown.generation);
        }
        let looked = self.look(bucket, seq);
        looked.map_err(refusal::unavailable)
    }

    fn look(&mut self, bucket: &BucketName, seq: Seq) -> Result<Option<Generation>, Unavailable> {
        let generation = generation::current(&mut self.store, bucket)?;
        let key = generation.and_then(|generation| generation.key(REDIRECTS));
        let written = match &key {
            Some(key) => self.store.lookup(At::NOW, bucket, key)?,
            None => None,
        };
        let written = written.map(|version| version.seq);
        match self.sites.shown.get_mut(bucket) {
            Some(shown) if (shown.generation, shown.written) == (generation, written) => {
                shown.seq = seq;
            }
            _ => {
                let rules = begin(&mut self.store, bucket, key.as_ref())?;
                let shown = Shown {
                    seq,
                    generation,
                    written,
                    rules,
                };
                self.sites.shown.insert(bucket.clone(), shown);
                self.sites.is_at_rest = false;
            }
        }
        Ok(generation)
    }

    /// Looks at all sites there are, so that their redirects are known when somebody asks.
    pub(super) fn look_at_sites(&mut self) {
        let buckets: Vec<BucketName> = self.config.sites.buckets().cloned().collect();
        for bucket in buckets {
            // What cannot be read now is told to who asks for a page.
            let _ = self.shown(&bucket);
        }
    }

    /// The redirects of what a site shows; `None` while they are being read.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn redirects(
        &mut self,
        bucket: &BucketName,
    ) -> Result<Option<Rc<Redirects>>, Problem> {
        let Some(shown) = self.sites.shown.get_mut(bucket) else {
            return Ok(Some(Rc::default()));
        };
        shown.rules.advance(&mut self.store);
        match &shown.rules {
            Rules::Known(redirects) => Ok(Some(Rc::clone(redirects))),
            Rules::Reading(..) => Ok(None),
            Rules::Failed(error) => {
                let problem = refusal::unreadable(error.clone());
                // Once more when somebody asks again: it may have been the disk.
                self.sites.shown.remove(bucket);
                Err(problem.about("The site's redirects cannot be read."))
            }
        }
    }

    /// Goes on with redirects that are being read; whether some still are.
    pub(super) fn follow_redirects(&mut self) -> bool {
        let mut is_reading = false;
        for shown in self.sites.shown.values_mut() {
            shown.rules.advance(&mut self.store);
            is_reading |= matches!(shown.rules, Rules::Reading(..));
        }
        is_reading
    }
}

fn begin(store: &mut Store, bucket: &BucketName, key: Option<&Key>) -> Result<Rules, Unavailable> {
    let opened = match key {
        Some(key) => store.open_value(At::NOW, bucket, key)?,
        None => None,
    };
    let mut rules = match opened {
        Some((version, reader)) if version.len_bytes <= RULES_BYTES_MAX => {
            Rules::Reading(Box::new(reader), Vec::new())
        }
        // A longer one was not pushed.
        _ => Rules::Known(Rc::default()),
    };
    rules.advance(store);
    Ok(rules)
}

impl Rules {
    fn advance(&mut self, store: &mut Store) {
        while let Rules::Reading(reader, text) = self {
            let ended = match store.read(reader) {
                Poll::Pending => return,
                Poll::Ready(Ok(Some(piece))) => {
                    text.extend_from_slice(&piece);
                    continue;
                }
                // What is there by somebody's own hand may be no redirects: then there are none.
                Poll::Ready(Ok(None)) => {
                    Rules::Known(Rc::new(Redirects::parse(text).unwrap_or_default()))
                }
                Poll::Ready(Err(error)) => Rules::Failed(error),
            };
            *self = ended;
        }
    }
}
