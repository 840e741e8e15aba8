//! Clients of a guest: each asks, judges the answer, and asks again.

use super::book::{self, Book};
use super::failure::{Failure, missing, wrong};
use super::life::Life;
use crate::http::Answer;
use crate::simulated::{Client, Outcome};
use sim::machine::World;

const KEYS_EACH: u64 = 6;
const SHARED_KEYS: u64 = 3;
/// Shared keys' numbers begin here.
const SHARED_FIRST: u64 = 1000;

/// What is under way.
#[derive(Clone, Copy, Debug)]
enum Request {
    Put { key: u64, version: u64 },
    Delete { key: u64, version: u64 },
    Get { key: u64 },
    SharedPut { key: u64, version: u64 },
    SharedGet { key: u64 },
}

/// Whose keys a client uses.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// Its own, which nobody else writes.
    Owner(u64),
    /// Everybody's.
    Sharer(u64),
}

/// One client.
pub(super) struct Session {
    client: Client,
    role: Role,
    turn: u64,
    under_way: Option<Request>,
    asked_ns: u64,
    /// How long nobody had run, when it asked.
    stalled_ns: u64,
}

/// Four owners and three who share.
pub(super) fn sessions(world: &mut World) -> Vec<Session> {
    let owners = (0..4).map(Role::Owner);
    let sharers = (0..3).map(Role::Sharer);
    let session = |role| Session {
        client: Client::connect(world),
        role,
        turn: 0,
        under_way: None,
        asked_ns: 0,
        stalled_ns: 0,
    };
    owners.chain(sharers).map(session).collect()
}

fn target(key: u64) -> String {
    format!("/kv/b/{key}")
}

impl Session {
    /// Looks for an answer, and asks if nothing is under way.
    pub(super) fn step(
        &mut self,
        world: &mut World,
        book: &mut Book,
        life: &Life,
    ) -> Result<(), Failure> {
        let now_ns = world.domain.now_ns;
        if let Some(request) = self.under_way {
            match self.client.answer(world) {
                None => return self.wait(request, now_ns, life),
                Some(Outcome::Lost(why)) => {
                    world
                        .domain
                        .note(|| format!("{:?}: no answer: {why}", self.role));
                    // Nobody knows what became of it; the next one has a connection of its own.
                    self.client = Client::connect(world);
                }
                Some(Outcome::Answer(answer)) => {
                    let status = answer.status;
                    world.domain.note(|| format!("{:?}: {status}", self.role));
                    let span_ns = (self.asked_ns, now_ns);
                    request.judge(&answer, book, life, span_ns)?;
                }
            }
        }
        self.ask(world, book);
        self.asked_ns = now_ns;
        self.stalled_ns = life.stalled_ns;
        Ok(())
    }

    fn wait(&self, request: Request, now_ns: u64, life: &Life) -> Result<(), Failure> {
        let waited_ns = now_ns - self.asked_ns - (life.stalled_ns - self.stalled_ns);
        if waited_ns < life.answer_ns_max() {
            return Ok(());
        }
        Err(missing(format!(
            "{request:?}: no answer for {waited_ns} ns"
        )))
    }

    fn ask(&mut self, world: &mut World, book: &mut Book) {
        self.turn += 1;
        let request = match self.role {
            Role::Owner(number) => own_request(number, self.turn, book),
            Role::Sharer(number) => shared_request(number, self.turn, book, world.domain.now_ns),
        };
        world
            .domain
            .note(|| format!("{:?}: asks {request:?}", self.role));
        let Session { client, .. } = self;
        match request {
            Request::Put { key, version } => {
                client.ask(world, "PUT", &target(key), &book::body(key, version));
            }
            Request::SharedPut { key, version } => {
                client.ask(world, "PUT", &target(key), &book::shared_body(key, version));
            }
            Request::Delete { key, .. } => client.ask(world, "DELETE", &target(key), b""),
            Request::Get { key } | Request::SharedGet { key } => {
                client.ask(world, "GET", &target(key), b"");
            }
        }
        self.under_way = Some(request);
    }
}

/// Every third request reads.
fn own_request(number: u64, turn: u64, book: &mut Book) -> Request {
    let key = number * KEYS_EACH + turn * 5 % KEYS_EACH;
    if turn.is_multiple_of(3) {
        return Request::Get { key };
    }
    let version = book.begin(key);
    if book::is_deletion(version) {
        Request::Delete { key, version }
    } else {
        Request::Put { key, version }
    }
}

/// Every other request reads.
fn shared_request(number: u64, turn: u64, book: &mut Book, now_ns: u64) -> Request {
    let key = SHARED_FIRST + (number + turn / 2) % SHARED_KEYS;
    if turn.is_multiple_of(2) {
        return Request::SharedGet { key };
    }
    let version = book.shared_begin(key, now_ns);
    Request::SharedPut { key, version }
}

impl Request {
    /// Nothing of it was done, or will be.
    fn refused(self, book: &mut Book) {
        match self {
            Request::Put { key, version } | Request::Delete { key, version } => {
                book.refused(key, version);
            }
            Request::SharedPut { key, version } => book.shared_refused(key, version),
            Request::Get { .. } | Request::SharedGet { .. } => {}
        }
    }

    fn judge(
        self,
        answer: &Answer,
        book: &mut Book,
        life: &Life,
        span_ns: (u64, u64),
    ) -> Result<(), Failure> {
        let status = answer.status;
        let is_busy = status == 503 && answer.text().contains("/-/problems/store-busy");
        let came_late = status == 408 && life.has_outages();
        if is_busy || came_late {
            self.refused(book);
            return Ok(());
        }
        if status >= 500 && life.may_fail() {
            // Refused, or nobody knows: it stays open.
            return Ok(());
        }
        match self {
            Request::Put { key, version } if matches!(status, 201 | 204) => {
                book.acknowledged(key, version);
            }
            Request::Delete { key, version } if matches!(status, 204 | 404) => {
                book.acknowledged(key, version);
            }
            Request::SharedPut { key, version } if matches!(status, 201 | 204) => {
                book.shared_acknowledged(key, version, span_ns.1);
            }
            Request::Get { key } => book.reads(key, answer)?,
            Request::SharedGet { key } => book.shared_reads(key, answer, span_ns)?,
            _ => return Err(wrong(format!("{self:?}: {status}: {}", answer.text()))),
        }
        Ok(())
    }
}
