//! A service over a store in memory, and clients made of two byte queues.

use crate::replies::{self, Content, Reply};
use service::{Config, Connection, Input, Plane, Progress, Service, Transport};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use store::blob::HeapPages;
use store::block::{BlockDevice, Completion, Geometry, IoError, Request, RequestId, SubmitError};

use store::{FormatPermission, MemoryDisk, Now, Options, State, Store, Wake};

pub(crate) const SECOND_NS: u64 = 1_000_000_000;
/// 2026-11-19T02:13:20Z.
pub(crate) const WALL_NS: u64 = 1_795_054_400 * SECOND_NS;
pub(crate) const TOKEN: &str = "0123456789abcdef";
pub(crate) const READ_TOKEN: &str = "fedcba9876543210";

/// What the disk does to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Good,
    /// Nothing completes.
    Stuck,
    /// Every write and flush fails.
    WritesFail,
    /// Every read fails.
    ReadsFail,
}

/// A disk with a mood, which counts what is read.
struct MoodyDisk {
    disk: MemoryDisk,
    mood: Rc<RefCell<Mood>>,
    read_bytes: Rc<Cell<u64>>,
}

impl BlockDevice for MoodyDisk {
    fn geometry(&self) -> Option<Geometry> {
        self.disk.geometry()
    }
    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        let read_bytes = match &request {
            Request::Read { into, .. } => into.bytes().len() as u64,
            _ => 0,
        };
        self.disk.submit(id, request)?;
        self.read_bytes.set(self.read_bytes.get() + read_bytes);
        Ok(())
    }
    fn poll(&mut self) -> Option<Completion> {
        let mood = *self.mood.borrow();
        if mood == Mood::Stuck {
            return None;
        }
        let mut completion = self.disk.poll()?;
        let is_read = completion
            .run
            .as_ref()
            .is_some_and(|_| mood == Mood::ReadsFail);
        if is_read || mood == Mood::WritesFail {
            completion.result = Err(IoError::Failed);
        }
        Some(completion)
    }
}

/// A service and its time.
pub(crate) struct Bench {
    pub(crate) service: Service,
    pub(crate) now: Now,
    pub(crate) mood: Rc<RefCell<Mood>>,
    /// Bytes that were read from the disk since the start.
    pub(crate) read_bytes: Rc<Cell<u64>>,
    /// By which door clients come in.
    pub(crate) plane: Plane,
    disk: MemoryDisk,
}

/// The two directions of one connection.
#[derive(Debug)]
pub(crate) struct Wire {
    input: VecDeque<u8>,
    /// Longest slice offered.
    pub(crate) slice_max: usize,
    pub(crate) end: Option<Input>,
    /// Room for output; taken up by what is sent.
    pub(crate) room: usize,
    pub(crate) output: Vec<u8>,
    /// Bytes the connection took.
    pub(crate) taken: usize,
    /// How often it was offered some.
    pub(crate) offers: usize,
}

/// A peer.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) wire: Wire,
    pub(crate) progress: Progress,
}

impl Default for Wire {
    fn default() -> Self {
        Wire {
            input: VecDeque::new(),
            slice_max: usize::MAX,
            end: None,
            room: usize::MAX,
            output: Vec::new(),
            taken: 0,
            offers: 0,
        }
    }
}

impl Transport for Wire {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8]) -> usize) -> Input {
        if self.end == Some(Input::Gone) {
            return Input::Gone;
        }
        if self.input.is_empty() {
            return self.end.unwrap_or(Input::Nothing);
        }
        let mut total = 0;
        // Piece after piece, as out of a ring, until something is left.
        while !self.input.is_empty() {
            let (first, _) = self.input.as_slices();
            let offered = &first[..first.len().min(self.slice_max)];
            self.offers += 1;
            let (taken, offered) = (take(offered), offered.len());
            assert!(taken <= offered);
            self.input.drain(..taken);
            total += taken;
            if taken < offered {
                break;
            }
        }
        self.taken += total;
        Input::Bytes(total)
    }
    fn send_room(&self) -> usize {
        self.room
    }
    fn send(&mut self, segments: &[&[u8]]) -> usize {
        let mut total = 0;
        for segment in segments {
            let count = segment.len().min(self.room);
            self.output.extend_from_slice(&segment[..count]);
            self.room -= if self.room == usize::MAX { 0 } else { count };
            total += count;
        }
        total
    }
}

/// A configuration with both tokens.
pub(crate) fn with_tokens() -> Config {
    let mut config = Config::default();
    config.set("auth.token", TOKEN).expect("a token");
    config.set("auth.read-token", READ_TOKEN).expect("a token");
    config
}

/// A configuration without tokens.
pub(crate) fn open() -> Config {
    let mut config = Config::default();
    config.set("auth", "open").expect("a mode");
    config
}

impl Bench {
    /// Everybody may do everything.
    pub(crate) fn open() -> Self {
        Bench::new(open())
    }

    pub(crate) fn new(config: Config) -> Self {
        Bench::sized(config, 64 << 20)
    }

    pub(crate) fn sized(config: Config, disk_bytes: u64) -> Self {
        Bench::on(config, MemoryDisk::new(disk_bytes))
    }

    /// On a disk that may hold a store already.
    pub(crate) fn on(config: Config, disk: MemoryDisk) -> Self {
        let mut bench = Bench::before(config, disk);
        bench.until_ready();
        bench
    }

    fn until_ready(&mut self) {
        for _ in 0..10_000 {
            self.service.step_store(self.now);
            if *self.service.store().state() == State::Ready {
                return;
            }
        }
        panic!(
            "the store does not open: {:?}",
            self.service.store().state()
        );
    }

    /// Before the first step of the store.
    pub(crate) fn opening(config: Config, disk_bytes: u64) -> Self {
        Bench::before(config, MemoryDisk::new(disk_bytes))
    }

    /// The same disk after a cut of power.
    pub(crate) fn restarted(&self) -> Self {
        let again = self
            .disk
            .under(self.disk.geometry().expect("memory has a shape"));
        let mut bench = Bench::before(self.service.config().clone(), again);
        bench.now = self.now;
        bench.until_ready();
        bench
    }

    /// Damages every place of the disk that holds `pattern`; how many there were.
    pub(crate) fn damage(&self, pattern: &[u8], len_bytes: u64) -> usize {
        let mut image = vec![0; len_bytes as usize];
        self.disk.peek(0, &mut image);
        let hits = image
            .windows(pattern.len())
            .enumerate()
            .filter(|(_, found)| *found == pattern);
        let places: Vec<usize> = hits.map(|(at, _)| at).collect();
        for at in &places {
            self.disk.poke(*at as u64, &[!pattern[0]]);
        }
        places.len()
    }

    fn before(config: Config, disk: MemoryDisk) -> Self {
        let mood = Rc::new(RefCell::new(Mood::Good));
        let read_bytes = Rc::default();
        let device = MoodyDisk {
            disk: disk.clone(),
            mood: Rc::clone(&mood),
            read_bytes: Rc::clone(&read_bytes),
        };
        let options = Options {
            format: FormatPermission::BlankOnly,
            unit_bytes: None,
            memory_bytes: 16 << 20,
            seed: [7; 32],
            pages: Box::new(HeapPages),
        };
        let store = Store::opening(Box::new(device), options);
        let now = Now {
            monotonic_ns: 5 * SECOND_NS,
            wall_ns: WALL_NS,
        };
        Bench {
            service: Service::new(config, store),
            now,
            mood,
            read_bytes,
            plane: Plane::Data,
            disk,
        }
    }

    pub(crate) fn be(&mut self, mood: Mood) {
        *self.mood.borrow_mut() = mood;
    }

    pub(crate) fn pass(&mut self, duration_ns: u64) {
        self.now.monotonic_ns += duration_ns;
        self.now.wall_ns += duration_ns;
    }

    pub(crate) fn client(&self) -> Client {
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
        Client {
            connection: Connection::new(peer, self.plane, self.now),
            wire: Wire::default(),
            progress: Progress::Again,
        }
    }

    /// Steps until somebody else has to move, or a change of the store is waited for that nobody
    /// makes.
    pub(crate) fn settle(&mut self, client: &mut Client) {
        let mut idle = 0;
        while idle < 20 {
            let wake = self.service.step_store(self.now);
            client.step(self);
            match (client.progress, wake) {
                (Progress::Finish | Progress::Abort, _) => return,
                (Progress::Peer { .. }, _) if client.wire.input.is_empty() => return,
                (Progress::Store { .. }, Wake::At(Some(at_ns)))
                    if at_ns < self.now.monotonic_ns + SECOND_NS =>
                {
                    self.pass(at_ns.saturating_sub(self.now.monotonic_ns));
                }
                (Progress::Store { .. } | Progress::Change { .. }, _) => idle += 1,
                _ => {}
            }
        }
    }

    /// Steps until the peer has to move or the connection is over.
    pub(crate) fn run(&mut self, client: &mut Client) {
        // With a stuck disk nothing more will come after this many tries.
        for tries in 0..200_000 {
            let wake = self.service.step_store(self.now);
            client.step(self);
            match client.progress {
                Progress::Again => {}
                Progress::Peer { .. } if client.wire.input.is_empty() => return,
                Progress::Peer { .. } if client.wire.room == 0 => return,
                Progress::Peer { deadline_ns } => {
                    assert!(tries < 100_000, "input is left alone until {deadline_ns}");
                }
                Progress::Store { .. } if *self.mood.borrow() != Mood::Good && tries > 1000 => {
                    return;
                }
                Progress::Store { .. } => match wake {
                    Wake::At(Some(at_ns)) if at_ns < self.now.monotonic_ns + SECOND_NS => {
                        let ahead_ns = at_ns.saturating_sub(self.now.monotonic_ns);
                        self.pass(ahead_ns);
                    }
                    _ => {}
                },
                Progress::Change { .. } => panic!("it watches: there is no end"),
                Progress::Session { .. } => return,
                Progress::Finish | Progress::Abort => return,
            }
        }
        panic!("no end: {:?}", client.progress);
    }

    /// What comes back for `input` on a connection of its own, raw.
    pub(crate) fn raw(&mut self, input: &[u8]) -> (Vec<u8>, Progress) {
        let mut client = self.client();
        client.say(input);
        self.run(&mut client);
        (std::mem::take(&mut client.wire.output), client.progress)
    }

    /// The answers to `input` on a connection of its own.
    pub(crate) fn talk(&mut self, input: &[u8]) -> Vec<Reply> {
        replies::parse(&self.raw(input).0, Content::Usual)
    }

    /// The one answer to `input`.
    pub(crate) fn ask(&mut self, input: impl AsRef<[u8]>) -> Reply {
        let input = input.as_ref();
        let content = if input.starts_with(b"HEAD ") {
            Content::Never
        } else {
            Content::Usual
        };
        let mut replies = replies::parse(&self.raw(input).0, content);
        assert_eq!(
            replies.len(),
            1,
            "{}: {replies:?}",
            String::from_utf8_lossy(input)
        );
        replies.remove(0)
    }

    /// A GET.
    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.ask(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"))
    }

    /// Any method with more lines, each ended by CRLF.
    pub(crate) fn with(&mut self, method: &str, target: &str, lines: &str) -> Reply {
        self.ask(format!(
            "{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"
        ))
    }

    /// A request on the admin plane, with more lines and a body.
    pub(crate) fn admin(&mut self, method: &str, target: &str, lines: &str, body: &str) -> Reply {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        self.plane = Plane::Admin;
        let reply = self.ask(format!(
            "{method} {target} HTTP/1.1\r\nHost: h\r\n{length}{lines}\r\n{body}"
        ));
        self.plane = Plane::Data;
        reply
    }

    /// A PUT with more lines, each ended by CRLF.
    pub(crate) fn put(&mut self, target: &str, lines: &str, body: impl AsRef<[u8]>) -> Reply {
        self.ask(put(target, lines, body.as_ref()))
    }
}

/// The bytes of a PUT.
pub(crate) fn put(target: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("PUT {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{lines}\r\n");
    [head.as_bytes(), body].concat()
}

impl Client {
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.input.extend(bytes.as_ref());
    }

    pub(crate) fn step(&mut self, bench: &mut Bench) {
        self.progress = self
            .connection
            .step(&mut bench.service, &mut self.wire, bench.now);
    }

    /// The answers since the last call.
    pub(crate) fn replies(&mut self) -> Vec<Reply> {
        replies::parse(&std::mem::take(&mut self.wire.output), Content::Usual)
    }

    pub(crate) fn unread_bytes(&self) -> usize {
        self.wire.input.len()
    }

    /// When it wants to be stepped without news.
    pub(crate) fn deadline_ns(&self) -> u64 {
        match self.progress {
            Progress::Peer { deadline_ns }
            | Progress::Store { deadline_ns }
            | Progress::Change { deadline_ns }
            | Progress::Session { deadline_ns } => deadline_ns,
            other => panic!("no deadline: {other:?}"),
        }
    }
}

/// Bytes that are not all alike, the same for the same length.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut random = Random(len as u64 + 1);
    (0..len).map(|_| random.next() as u8).collect()
}

/// Numbers for tests: xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
