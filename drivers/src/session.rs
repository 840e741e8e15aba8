//! Connecting, staying connected, and beginning again: the same for every device.

use crate::fault::BackendFault;
use crate::resources::Handles;
use alloc::boxed::Box;
use alloc::string::String;
use core::task::Poll;
use xen::task::{self, Task};
use xen::xenbus::{BackendWatch, Frontend, HandshakeError, XenbusState};
use xen::xenstore::XsError;

/// Pause before a failed handshake is tried again, and before a connection is that was lost
/// sooner than this: a backend that flaps must not make us write to xenstore all the time.
const RETRY_NS: u64 = 5_000_000_000;

/// Why a connection did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectError {
    Handshake(HandshakeError),
    Fault(BackendFault),
    /// No page, grant entry or port left.
    Resources,
}

impl From<HandshakeError> for ConnectError {
    fn from(error: HandshakeError) -> Self {
        ConnectError::Handshake(error)
    }
}

impl From<XsError> for ConnectError {
    fn from(error: XsError) -> Self {
        ConnectError::Handshake(HandshakeError::Xenstore(error))
    }
}

impl From<BackendFault> for ConnectError {
    fn from(fault: BackendFault) -> Self {
        ConnectError::Fault(fault)
    }
}

impl core::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ConnectError::Handshake(error) => write!(f, "{error}"),
            ConnectError::Fault(fault) => write!(f, "{fault}"),
            ConnectError::Resources => f.write_str("no pages or grant entries left"),
        }
    }
}

/// A connection that came about: the link, and who to watch.
pub(crate) struct Established<L> {
    pub(crate) link: L,
    pub(crate) frontend: Frontend,
    pub(crate) watch: BackendWatch,
    /// What is to be read again whenever the backend says anew that it is connected.
    pub(crate) reread: Option<Reread>,
}

/// Begins to read it.
pub(crate) type Reread = Box<dyn Fn() -> Task<()>>;

/// How a device's handshake runs.
pub(crate) trait Connect {
    type Link;
    fn connect(
        &self,
        handles: Handles,
        path: String,
    ) -> Task<Result<Established<Self::Link>, ConnectError>>;
}

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Shaking hands, or waiting to try again.
    Connecting,
    /// Working.
    Connected,
    /// The backend lied, or the device is closed for good.
    Broken,
}

enum State<L> {
    Connecting(Task<Result<Established<L>, ConnectError>>),
    /// The future ends when the backend goes away; the number is when it came.
    Connected(L, Task<()>, u64),
    Pausing(Task<()>),
    /// The future tells the backend; it may never end.
    Broken(Option<Task<()>>),
}

/// What one look at the state came to.
enum Advance {
    Nowhere,
    Changed,
    Lost,
}

/// One device's way through connections.
pub(crate) struct Session<C: Connect> {
    connect: C,
    handles: Handles,
    path: String,
    state: State<C::Link>,
    /// How many have come about.
    connections: u32,
    /// Why the last try failed, if it did.
    failed: Option<ConnectError>,
}

impl<C: Connect> Session<C> {
    pub(crate) fn new(connect: C, handles: Handles, path: String) -> Self {
        let first = connect.connect(handles.clone(), path.clone());
        Session {
            connect,
            handles,
            path,
            state: State::Connecting(first),
            connections: 0,
            failed: None,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Connecting(_) | State::Pausing(_) => Phase::Connecting,
            State::Connected(..) => Phase::Connected,
            State::Broken(_) => Phase::Broken,
        }
    }

    /// How many connections have come about.
    pub(crate) fn connections(&self) -> u32 {
        self.connections
    }

    pub(crate) fn link(&mut self) -> Option<&mut C::Link> {
        match &mut self.state {
            State::Connected(link, ..) => Some(link),
            _ => None,
        }
    }

    pub(crate) fn link_ref(&self) -> Option<&C::Link> {
        match &self.state {
            State::Connected(link, ..) => Some(link),
            _ => None,
        }
    }

    /// Advances handshakes; `true` when the link was lost in this step (it is gone already).
    ///
    /// What a change of state begins is polled in the same step: only so does it send its
    /// first request, or register its deadline, before the loop may sleep.
    pub(crate) fn step(&mut self) -> bool {
        let mut lost = false;
        loop {
            match self.advance() {
                Advance::Nowhere => return lost,
                Advance::Changed => {}
                Advance::Lost => lost = true,
            }
        }
    }

    fn advance(&mut self) -> Advance {
        match &mut self.state {
            State::Connecting(walk) => match task::poll(walk) {
                Poll::Pending => Advance::Nowhere,
                Poll::Ready(result) => {
                    self.state = self.connected(result);
                    Advance::Changed
                }
            },
            State::Connected(_, monitor, _) => match task::poll(monitor) {
                Poll::Pending => Advance::Nowhere,
                Poll::Ready(()) => {
                    self.state = self.lost();
                    Advance::Lost
                }
            },
            State::Pausing(pause) => match task::poll(pause) {
                Poll::Pending => Advance::Nowhere,
                Poll::Ready(()) => {
                    self.state = self.begin();
                    Advance::Changed
                }
            },
            State::Broken(farewell) => {
                let over = |walk: &mut Task<()>| task::poll(walk).is_ready();
                if farewell.as_mut().is_some_and(over) {
                    *farewell = None;
                }
                Advance::Nowhere
            }
        }
    }

    /// The domain goes on in another one: nobody there knows of a connection, nor of a lie.
    pub(crate) fn renew(&mut self) {
        self.failed = None;
        self.state = self.begin();
        self.step();
    }

    /// The backend lied: the device is over.
    pub(crate) fn break_off(&mut self, fault: BackendFault) {
        log::error!(
            "{}: the backend is not to be believed: {fault}; the device is disabled, the rest \
             goes on; reboot the domain to use it again",
            self.path
        );
        self.state = State::Broken(Some(farewell(&self.handles, &self.path)));
        self.step();
    }

    fn begin(&self) -> State<C::Link> {
        let (handles, path) = (self.handles.clone(), self.path.clone());
        State::Connecting(self.connect.connect(handles, path))
    }

    /// What becomes of a connection whose backend went away.
    fn lost(&self) -> State<C::Link> {
        let path = &self.path;
        let since_ns = match &self.state {
            State::Connected(_, _, since_ns) => *since_ns,
            _ => 0,
        };
        if self.handles.timers.now_ns().saturating_sub(since_ns) < RETRY_NS {
            log::warn!("{path}: the backend went away soon after it came; trying again in 5 s");
            return self.pause();
        }
        log::warn!("{path}: the backend went away; waiting for it to come back");
        self.begin()
    }

    /// Meanwhile our state must not say that what it names is still there.
    fn pause(&self) -> State<C::Link> {
        let farewell = farewell(&self.handles, &self.path);
        let timers = self.handles.timers.clone();
        let end_ns = timers.now_ns().saturating_add(RETRY_NS);
        State::Pausing(Box::pin(async move {
            farewell.await;
            timers.sleep(end_ns.saturating_sub(timers.now_ns())).await;
        }))
    }

    fn connected(&mut self, result: Result<Established<C::Link>, ConnectError>) -> State<C::Link> {
        let failed = core::mem::replace(&mut self.failed, result.as_ref().err().copied());
        match result {
            Ok(Established {
                link,
                frontend,
                watch,
                reread,
            }) => {
                self.connections += 1;
                let since_ns = self.handles.timers.now_ns();
                let monitor = Box::pin(until_lost(frontend, watch, reread));
                State::Connected(link, monitor, since_ns)
            }
            // Twice in a row is a xenstore that does not know: that has to wait.
            Err(error @ ConnectError::Handshake(HandshakeError::Moved))
                if failed != Some(error) =>
            {
                log::info!("{}: {error}", self.path);
                self.begin()
            }
            Err(error) => {
                // Said once for all tries that fail alike.
                if failed != Some(error) {
                    log::warn!(
                        "{}: cannot connect: {error}; trying again every 5 s",
                        self.path
                    );
                }
                self.pause()
            }
        }
    }
}

/// Ends when the backend is no longer connected, or no longer the device's.
async fn until_lost(frontend: Frontend, watch: BackendWatch, reread: Option<Reread>) {
    loop {
        watch.fired().await;
        // The watch does not fire again for a reply that was lost.
        let mut state = frontend.backend_state().await;
        while state == Err(XsError::NoReply) {
            state = frontend.backend_state().await;
        }
        let mut has_moved = frontend.has_moved().await;
        while has_moved == Err(XsError::NoReply) {
            has_moved = frontend.has_moved().await;
        }
        // Without xenstore nothing is known; the rings go on.
        if state.is_ok_and(|state| !is_at_work(state)) || has_moved == Ok(true) {
            return;
        }
        if let Some(reread) = &reread {
            reread().await;
        }
    }
}

/// Whether a backend in this state still has our rings: one that begins anew has not.
fn is_at_work(state: XenbusState) -> bool {
    use XenbusState::{Connected, Reconfigured, Reconfiguring};
    matches!(state, Connected | Reconfiguring | Reconfigured)
}

/// Tells the backend that we are gone.
fn farewell(handles: &Handles, path: &str) -> Task<()> {
    let (xenstore, timers, path) = (
        handles.xenstore.clone(),
        handles.timers.clone(),
        String::from(path),
    );
    Box::pin(async move {
        let Ok(frontend) = Frontend::locate(&xenstore, &timers, &path).await else {
            return;
        };
        // A backend that does not listen cannot be helped.
        let _ = frontend.switch_to(XenbusState::Closing).await;
        let _ = frontend.switch_to(XenbusState::Closed).await;
    })
}
