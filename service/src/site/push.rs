//! A directory on its way in: a tar becomes the pages of a generation, which is then shown.
//!
//! Nothing of it is seen before the last page is durable; who breaks off leaves a generation that
//! is being filled by nobody, and that is removed.

use super::generation::{self, Generation, NAME_BYTES_MAX};
use super::rules::{self, HEADERS, PageHeaders, REDIRECTS, RULES_BYTES_MAX, Redirects};
use super::switch;
use super::tar::{self, Broken, Decoder, Item};
use crate::admin;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::service::{Keeper, Pending, Service};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::Poll;
use store::backup::Stop;
use store::{
    Batch, BucketName, Change, Condition, Headers, Key, Refusal, Store, Unavailable, Upload,
};

/// Pages handed in and not known to be durable.
const WAITING_MAX: usize = 32;

/// A push under way.
pub(crate) struct Push {
    bucket: BucketName,
    generation: Generation,
    keep: usize,
    decoder: Decoder,
    file: Option<File>,
    /// Its mark first, and then pages.
    waiting: VecDeque<(Vec<u8>, Pending)>,
    is_marked: bool,
    keeper: Keeper,
    headers: Option<PageHeaders>,
    pages: u64,
    files: u64,
    bytes: u64,
    switching: Option<Pending>,
    stop: Stop,
    _alive: Rc<()>,
}

/// The file that comes in.
struct File {
    name: Vec<u8>,
    len_bytes: u64,
    place: Place,
}

/// Where its bytes go.
enum Place {
    /// Nowhere yet: the store has too much to do.
    Waiting,
    /// Into a page.
    Page(Upload),
    /// It says something about the others, and is looked at as a whole.
    Rules(Vec<u8>),
}

/// What is shown now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    pub(crate) bucket: BucketName,
    pub(crate) generation: Generation,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// Begins one.
///
/// # Errors
/// Somebody else pushes, or the store takes no changes.
pub(crate) fn begin(
    service: &mut Service,
    bucket: &BucketName,
    keep: usize,
) -> Result<Push, Problem> {
    switch::refuse_while_pushed(service, bucket)?;
    refusal::refuse_unwritable(&mut service.store)?;
    let last = service.sites.last.get(bucket).copied();
    let next = generation::next(&mut service.store, bucket, last);
    let generation = next.map_err(refusal::unavailable)?.ok_or_else(|| {
        let detail = "The numbers of this bucket's pushes are used up; push into another one.";
        Problem::new(Kind::BadSite, detail)
    })?;
    let filling = switch::fill(service, bucket, generation)?;
    let stop = Stop::default();
    let waiting = VecDeque::from([(b"the site".to_vec(), service.pending(filling))]);
    Ok(Push {
        bucket: bucket.clone(),
        generation,
        keep,
        decoder: Decoder::default(),
        file: None,
        waiting,
        is_marked: false,
        keeper: service.keeper(),
        headers: None,
        pages: 0,
        files: 0,
        bytes: 0,
        switching: None,
        stop: stop.clone(),
        _alive: service.sites.begin_push(bucket, generation, stop),
    })
}

impl Push {
    /// What ends it from elsewhere.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Whether it may be shown, whoever waits for that.
    pub(crate) fn is_switching(&self) -> bool {
        self.switching.is_some()
    }

    /// Takes as many of the tar's bytes as there is room for now.
    ///
    /// # Errors
    /// What is wrong with it, or the store's; nothing is shown of it then.
    pub(crate) fn take(&mut self, store: &mut Store, bytes: &[u8]) -> Result<usize, Problem> {
        let mut used = 0;
        while self.advance(store)? {
            let (count, item) = self.decoder.next(&bytes[used..]).map_err(broken)?;
            used += count;
            match item {
                Item::More => break,
                Item::File(name, len_bytes) => self.file = Some(begun(name, len_bytes)?),
                Item::Content(content) => {
                    let taken = self.take_content(store, content)?;
                    self.decoder.took(taken);
                    used += taken;
                    if taken == 0 {
                        break;
                    }
                }
            }
        }
        Ok(used)
    }

    /// All of the body has come: shows it, once all of it is durable.
    pub(crate) fn end(&mut self, service: &mut Service) -> Poll<Result<Pushed, Problem>> {
        match self.ended(service) {
            Ok(Some(pushed)) => Poll::Ready(Ok(pushed)),
            Ok(None) => Poll::Pending,
            Err(problem) => Poll::Ready(Err(problem)),
        }
    }

    fn ended(&mut self, service: &mut Service) -> Result<Option<Pushed>, Problem> {
        if self.switching.is_none() {
            self.decoder.finish().map_err(broken)?;
            if !self.advance(&mut service.store)? || !self.waiting.is_empty() {
                return Ok(None);
            }
            if self.pages == 0 {
                return Err(bad("there is no file in it"));
            }
            let Push {
                bucket,
                generation,
                keep,
                ..
            } = self;
            let ticket = switch::show(service, bucket, *generation, *keep)?;
            self.switching = Some(service.pending(ticket));
        }
        let switching = self
            .switching
            .as_mut()
            .map(|pending| pending.outcome(&mut service.store));
        match switching {
            None | Some(Poll::Pending) => return Ok(None),
            Some(Poll::Ready(outcome)) => outcome.map_err(switch::refused)?,
        };
        Ok(Some(Pushed {
            bucket: self.bucket.clone(),
            generation: self.generation,
            files: self.files,
            bytes: self.bytes,
        }))
    }

    /// Does what had to wait for the store; whether more can be taken.
    fn advance(&mut self, store: &mut Store) -> Result<bool, Problem> {
        if self.stop.is_stopped() {
            return Err(admin::stopped());
        }
        while let Some((name, pending)) = self.waiting.front_mut() {
            match pending.outcome(store) {
                Poll::Pending => break,
                Poll::Ready(outcome) => {
                    outcome.map_err(|refusal| match self.is_marked {
                        true => refused(name, refusal),
                        false => switch::refused(refusal),
                    })?;
                    self.waiting.pop_front();
                }
            }
        }
        // Before its mark is durable nobody knows that no rollback brings back its number.
        self.is_marked |= self.waiting.is_empty();
        if !self.is_marked {
            return Ok(false);
        }
        let Some(file) = &self.file else {
            return Ok(true);
        };
        let is_whole = self.decoder.left_bytes() == 0;
        let is_begun = !matches!(file.place, Place::Waiting);
        if is_begun && !is_whole {
            return Ok(true);
        }
        if self.waiting.len() >= WAITING_MAX || !has_room(store)? {
            return Ok(false);
        }
        if !is_begun && !self.begin_file(store)? {
            return Ok(false);
        }
        if is_whole {
            self.end_file(store)?;
        }
        Ok(true)
    }

    /// Whether the store has taken it on.
    fn begin_file(&mut self, store: &mut Store) -> Result<bool, Problem> {
        let Some(file) = &mut self.file else {
            return Ok(true);
        };
        let (name, len_bytes) = (&file.name[..], file.len_bytes);
        if name == HEADERS && self.headers.is_none() && self.pages > 0 {
            return Err(bad(
                "`_headers` says how the others are kept, so it comes first: `tar -c -C DIR \
                 _headers .`",
            ));
        }
        file.place = if name == HEADERS || name == REDIRECTS {
            if len_bytes > RULES_BYTES_MAX {
                let name = name.escape_ascii();
                return Err(bad(&format!(
                    "`{name}` is longer than {RULES_BYTES_MAX} bytes"
                )));
            }
            Place::Rules(Vec::new())
        } else {
            let headers = self.headers.as_ref().map(|all| all.of(&path(name)));
            let key = key(self.generation, name)?;
            let upload = store.begin_upload(
                self.bucket.clone(),
                key,
                Condition::None,
                headers.unwrap_or_default(),
                Some(len_bytes),
            );
            match upload {
                Ok(upload) => {
                    store.keep_upload(&upload);
                    Place::Page(upload)
                }
                // There are as many uploads as there can be.
                Err(Refusal::Unavailable(Unavailable::Busy)) => return Ok(false),
                Err(refusal) => return Err(refused(name, refusal)),
            }
        };
        Ok(true)
    }

    fn take_content(&mut self, store: &mut Store, content: &[u8]) -> Result<usize, Problem> {
        let Some(file) = &mut self.file else {
            return Ok(content.len());
        };
        match &mut file.place {
            Place::Waiting => Ok(0),
            Place::Page(upload) => {
                let taken = store.upload(upload, content);
                taken.map_err(|refusal| refused(&file.name, refusal))
            }
            Place::Rules(text) => {
                text.extend_from_slice(content);
                Ok(content.len())
            }
        }
    }

    fn end_file(&mut self, store: &mut Store) -> Result<(), Problem> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let File {
            name,
            len_bytes,
            place,
        } = file;
        let said = |file: &[u8], bad_rule| bad(&rules::sentence(file, &bad_rule));
        let ticket = match place {
            Place::Waiting => return Ok(()),
            Place::Page(upload) => {
                self.pages += 1;
                store.commit_upload(upload)
            }
            Place::Rules(text) if name == HEADERS => {
                // Of two, the first is the one that counts.
                if self.headers.is_none() {
                    let headers = PageHeaders::parse(&text);
                    self.headers = Some(headers.map_err(|bad| said(HEADERS, bad))?);
                }
                return Ok(());
            }
            Place::Rules(text) => {
                Redirects::parse(&text).map_err(|bad| said(REDIRECTS, bad))?;
                let key = key(self.generation, REDIRECTS)?;
                let headers = Headers::default();
                let put = Change::Put {
                    value: text,
                    headers,
                };
                let changes = Vec::from([(self.bucket.clone(), key, Condition::None, put)]);
                store.submit(Batch { changes })
            }
        };
        let ticket = ticket.map_err(|refusal| refused(&name, refusal))?;
        self.files += 1;
        self.bytes += len_bytes;
        self.waiting.push_back((name, self.keeper.pending(ticket)));
        Ok(())
    }
}

/// A file whose header has come.
fn begun(name: Vec<u8>, len_bytes: u64) -> Result<File, Problem> {
    let name = plain_name(&name)?;
    Ok(File {
        name,
        len_bytes,
        place: Place::Waiting,
    })
}

/// The name of a page: what could be read as another path is none, as in a request.
fn plain_name(name: &[u8]) -> Result<Vec<u8>, Problem> {
    let plain = tar::plain(name);
    let refuse = |why: &str| Err(bad(&format!("`{}` {why}", name.escape_ascii())));
    if plain.len() > NAME_BYTES_MAX {
        return refuse(&format!("is longer than {NAME_BYTES_MAX} bytes"));
    }
    if plain.iter().any(|byte| matches!(byte, 0 | b'\\')) {
        return refuse("has a NUL or a backslash in its name");
    }
    if plain
        .split(|byte| *byte == b'/')
        .any(|part| matches!(part, b"" | b"." | b".."))
    {
        return refuse("is not a name within the directory, such as `docs/index.html`");
    }
    Ok(plain.to_vec())
}

fn key(generation: Generation, name: &[u8]) -> Result<Key, Problem> {
    generation
        .key(name)
        .ok_or_else(|| bad("a name in it is too long"))
}

/// As it stands in `_headers`.
fn path(name: &[u8]) -> Vec<u8> {
    [b"/", name].concat()
}

/// Whether a change would be taken in now.
fn has_room(store: &mut Store) -> Result<bool, Problem> {
    match store.submit(Batch::default()) {
        Ok(_) => Ok(true),
        Err(Refusal::Unavailable(Unavailable::Busy)) => Ok(false),
        Err(refusal) => Err(refusal::problem(refusal).about(NOTHING)),
    }
}

/// How every refusal begins.
const NOTHING: &str = "Nothing was published:";

fn bad(why: &str) -> Problem {
    let why = why.trim_end_matches('.');
    Problem::new(Kind::BadSite, format!("{NOTHING} {why}."))
}

fn broken(broken: Broken) -> Problem {
    bad(&format!("the body is no tar that can be taken: {broken}"))
}

fn refused(name: &[u8], refusal: Refusal) -> Problem {
    let about = format!("Nothing was published, for `{}`:", name.escape_ascii());
    refusal::problem(refusal).about(&about)
}
