//! A connection's bytes in TLS: the transport that a secure connection sees.

use super::{Connection, Phase};
use crate::certificate::Begun;
use crate::channel::Channel;
use crate::gauge::Counted;
use crate::segment::{Input, Progress, Transport};
use crate::service::Service;
use alloc::boxed::Box;
use store::Now;
use tls::Session;

/// How long the last records may take to go out.
const LAST_NS: u64 = 5_000_000_000;
/// What each record takes beside its plain bytes.
const RECORD_OVERHEAD_BYTES: usize = 22;
/// Plain bytes of a full record.
const RECORD_BYTES: usize = 1 << 14;

/// A connection's TLS.
pub(super) struct Secure {
    stage: Stage,
    ending: Ending,
    /// Why the session failed was said.
    has_failed: bool,
}

/// How far it is.
enum Stage {
    /// Its peer has said nothing.
    New,
    /// There is no room for its session.
    Waiting(#[expect(dead_code, reason = "a guard")] Counted),
    Begun(Box<Begun>),
}

/// Whether it was said that no more is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// Records go first.
    Begun,
    Said,
}

/// A session over the transport that carries it.
struct Secured<'a> {
    session: &'a mut Session,
    transport: &'a mut dyn Transport,
    /// What has come in records.
    record_bytes: usize,
    /// The last of what was to be sent has gone.
    has_said_all: bool,
}

impl Secured<'_> {
    /// Sends records that wait; whether all are sent.
    fn flush(&mut self) -> bool {
        let records = self.session.outgoing();
        if !records.is_empty() {
            let sent = self.transport.send(&[records]);
            self.session.drop_outgoing(sent);
            self.has_said_all |= self.session.outgoing().is_empty();
        }
        self.session.outgoing().is_empty()
    }

    /// Offers plain bytes; how many were taken, and whether all.
    fn offer(&mut self, take: &mut dyn FnMut(&[u8]) -> usize) -> (usize, bool) {
        let mut total = 0;
        while !self.session.plain().is_empty() {
            let offered = self.session.plain().len();
            let taken = take(self.session.plain()).min(offered);
            self.session.drop_plain(taken);
            total += taken;
            if taken < offered {
                return (total, false);
            }
        }
        (total, true)
    }
}

impl Transport for Secured<'_> {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8]) -> usize) -> Input {
        let mut total = 0;
        let mut was_offered = false;
        let input = loop {
            was_offered |= !self.session.plain().is_empty();
            let (taken, is_all) = self.offer(take);
            total += taken;
            if !is_all {
                // Whether the peer is there is known below.
                break match self.transport.receive(&mut |_| 0) {
                    Input::Gone => Input::Gone,
                    _ => Input::Nothing,
                };
            }
            let Secured {
                session, transport, ..
            } = self;
            let record_bytes = &mut self.record_bytes;
            let input = transport.receive(&mut |records| {
                let taken = session.take(records);
                *record_bytes += taken;
                taken
            });
            self.flush();
            let has_plain = !self.session.plain().is_empty();
            match input {
                Input::Bytes(1..) => {}
                Input::Bytes(0) | Input::Nothing if has_plain => {}
                Input::Bytes(0) | Input::Nothing if self.session.is_over() => {
                    break Input::Finished;
                }
                input => break input,
            }
        };
        match input {
            Input::Gone => Input::Gone,
            _ if was_offered => Input::Bytes(total),
            Input::Bytes(_) => Input::Nothing,
            input => input,
        }
    }

    fn send_room(&self) -> usize {
        let room = self.transport.send_room();
        let room = room.saturating_sub(self.session.outgoing().len());
        let records = room.div_ceil(RECORD_BYTES + RECORD_OVERHEAD_BYTES);
        room.saturating_sub(records * RECORD_OVERHEAD_BYTES)
    }

    fn send(&mut self, segments: &[&[u8]]) -> usize {
        if self.session.failure().is_some() || !self.flush() {
            return 0;
        }
        let room = self.transport.send_room();
        let sealed = self.session.seal(segments, room);
        self.flush();
        sealed
    }
}

impl Connection {
    /// Goes on in TLS, once there is room for a session.
    pub fn secured(mut self) -> Self {
        self.channel = Channel::Secure;
        self.secure = Some(Box::new(Secure {
            stage: Stage::New,
            ending: Ending::No,
            has_failed: false,
        }));
        self
    }

    /// Since when the end of its session is on its way.
    pub(super) fn ends_since_ns(&self) -> Option<u64> {
        let secure = self.secure.as_ref()?;
        let is_ending = secure.ending != Ending::No;
        is_ending.then(|| self.deadline_ns.saturating_sub(LAST_NS))
    }

    /// Whether it has a session of TLS.
    pub fn is_secure(&self) -> bool {
        let secure = self.secure.as_ref();
        secure.is_some_and(|secure| matches!(secure.stage, Stage::Begun(_)))
    }

    /// Whether its peer has not said anything that a session was needed for.
    pub(super) fn is_before_session(&self) -> bool {
        let secure = self.secure.as_ref();
        secure.is_some_and(|secure| matches!(secure.stage, Stage::New))
    }

    /// Whether its handshake is not over: what it takes next may take long.
    pub fn is_in_handshake(&self) -> bool {
        let secure = self.secure.as_ref();
        secure.is_some_and(|secure| match &secure.stage {
            Stage::New | Stage::Waiting(_) => true,
            Stage::Begun(begun) => {
                !begun.session.is_established() && begun.session.failure().is_none()
            }
        })
    }

    /// A step of a connection in TLS.
    #[inline(never)]
    pub(super) fn step_in(
        &mut self,
        service: &mut Service,
        transport: &mut dyn Transport,
        now: Now,
    ) -> Progress {
        let Some(mut secure) = self.secure.take() else {
            return Progress::Abort;
        };
        let progress = self.step_secure(service, &mut secure, transport, now);
        self.secure = Some(secure);
        progress
    }

    /// Its session, which may begin now; else what it waits for.
    fn session<'s>(
        &mut self,
        service: &mut Service,
        stage: &'s mut Stage,
        transport: &mut dyn Transport,
        now: Now,
    ) -> Result<&'s mut Session, Progress> {
        if self.counted.is_none() {
            self.enter(service);
        }
        if !matches!(stage, Stage::Begun(_)) {
            self.begin_session(service, stage, transport, now)?;
        }
        match stage {
            Stage::Begun(begun) => Ok(&mut begun.session),
            _ => Err(Progress::Abort),
        }
    }

    /// Begins it, once the peer has said something and there is room.
    fn begin_session(
        &mut self,
        service: &mut Service,
        stage: &mut Stage,
        transport: &mut dyn Transport,
        now: Now,
    ) -> Result<(), Progress> {
        let mut has_spoken = false;
        let input = transport.receive(&mut |bytes| {
            has_spoken |= !bytes.is_empty();
            0
        });
        if matches!(input, Input::Gone | Input::Finished) || service.sessions_are_held() {
            return Err(Progress::Abort);
        }
        let is_waiting = matches!(stage, Stage::Waiting(_));
        if now.monotonic_ns >= self.deadline_ns {
            service.counters.timeouts += 1;
            return Err(Progress::Abort);
        }
        if !has_spoken {
            let deadline_ns = self.deadline_ns;
            return Err(Progress::Peer { deadline_ns });
        }
        let patience_ns = service.config.limits.head_timeout_ns;
        let deadline_ns = now.monotonic_ns.saturating_add(patience_ns);
        if !service.has_room_for_session(is_waiting) {
            if !is_waiting {
                *stage = Stage::Waiting(service.wait_for_session());
                self.deadline_ns = deadline_ns;
            }
            let deadline_ns = self.deadline_ns;
            return Err(Progress::Session { deadline_ns });
        }
        let begun = service.begin_session().ok_or(Progress::Abort)?;
        *stage = Stage::Begun(Box::new(begun));
        self.deadline_ns = deadline_ns;
        Ok(())
    }

    fn step_secure(
        &mut self,
        service: &mut Service,
        secure: &mut Secure,
        transport: &mut dyn Transport,
        now: Now,
    ) -> Progress {
        let session = match self.session(service, &mut secure.stage, transport, now) {
            Ok(session) => session,
            Err(waits) => return waits,
        };
        let was_established = session.is_established();
        let mut secured = Secured {
            session,
            transport,
            record_bytes: 0,
            has_said_all: false,
        };
        secured.flush();
        let received_bytes = service.counters.received_bytes;
        let mut progress = match secured.session.failure() {
            None => self.step_plain(service, &mut secured, now),
            Some(_) => Progress::Finish,
        };
        if !was_established {
            service.note_handshake(secured.record_bytes > 0);
        }
        if secured.session.failure().is_some() && progress != Progress::Abort {
            let is_told = core::mem::replace(&mut secure.has_failed, true);
            progress = self.give_up(service, secured.session, is_told, now);
        } else if !was_established && secured.session.is_established() {
            service.counters.tls_sessions += 1;
            if self.is_idle() {
                // The first request is waited for as any other is.
                self.deadline_ns = now.monotonic_ns + service.config.limits.idle_timeout_ns;
            }
            progress = self.until_deadline(progress);
        } else if !was_established && secured.has_said_all {
            // It is the peer's turn, at most twice in a handshake.
            self.deadline_ns = now.monotonic_ns + service.config.limits.head_timeout_ns;
            progress = self.until_deadline(progress);
        } else if service.counters.received_bytes == received_bytes {
            progress = self.note_records(service, secured.record_bytes, progress, now);
        }
        match progress {
            Progress::Finish => self.end_secured(&mut secured, &mut secure.ending, now),
            progress => progress,
        }
    }

    /// Who waits for the peer does so until another deadline.
    fn until_deadline(&self, progress: Progress) -> Progress {
        let deadline_ns = self.deadline_ns;
        match progress {
            Progress::Peer { .. } => Progress::Peer { deadline_ns },
            progress => progress,
        }
    }

    /// Parts of a record have come: who sends a body moves, though none of it can be read yet.
    fn note_records(
        &mut self,
        service: &Service,
        bytes: usize,
        progress: Progress,
        now: Now,
    ) -> Progress {
        if bytes > 0 && matches!(self.phase, Phase::Receive(_) | Phase::Collect(_)) {
            let patience_ns = service.config.limits.body_timeout_ns;
            self.deadline_ns = self.pace.moved(bytes, now.monotonic_ns, patience_ns);
        }
        self.until_deadline(progress)
    }

    /// The session has failed: what was under way is over, and why is said once.
    fn give_up(
        &mut self,
        service: &mut Service,
        session: &Session,
        is_told: bool,
        now: Now,
    ) -> Progress {
        if !is_told {
            service.counters.tls_failures += 1;
            if let Some(failure) = session.failure() {
                log::debug!("tls: {}: {failure}", self.peer);
            }
            self.tell_of_backup("its TLS failed");
            self.abort();
            self.phase = Phase::Finished;
        }
        self.over(service, now, Progress::Finish)
    }

    /// All is said but that it is all.
    fn end_secured(
        &mut self,
        secured: &mut Secured<'_>,
        ending: &mut Ending,
        now: Now,
    ) -> Progress {
        if *ending == Ending::No {
            *ending = Ending::Begun;
            self.deadline_ns = now.monotonic_ns.saturating_add(LAST_NS);
        }
        if *ending == Ending::Begun && secured.flush() {
            *ending = Ending::Said;
            secured.session.close();
        }
        if *ending == Ending::Said && secured.flush() {
            return Progress::Finish;
        }
        if secured.transport.receive(&mut |_| 0) == Input::Gone {
            return Progress::Abort;
        }
        if now.monotonic_ns < self.deadline_ns {
            let deadline_ns = self.deadline_ns;
            return Progress::Peer { deadline_ns };
        }
        match ending {
            // The answer is on its way, and is to arrive also where this word does not.
            Ending::Said => Progress::Finish,
            _ => Progress::Abort,
        }
    }
}
