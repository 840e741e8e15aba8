//! Connecting, staying connected, and beginning again: the same for every device.

use crate::fault::BackendFault;
use crate::resources::Handles;
use alloc::boxed::Box;
use alloc::string::String;
use core::task::Poll;
use xen::task::{self, Task};
use xen::xenbus::{Frontend, HandshakeError, XenbusState};
use xen::xenstore::{Watch, XsError};

/// Pause before a failed handshake is tried again.
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
    pub(crate) watch: Watch,
}

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
    /// The second future ends when the backend goes away.
    Connected(L, Task<()>),
    Pausing(Task<()>),
    /// The future tells the backend; it may never end.
    Broken(Option<Task<()>>),
}

/// How a state was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    /// For the next.
    On,
    /// Because the backend went away.
    Lost,
}

/// One device's way through connections.
pub(crate) struct Session<C: Connect> {
    connect: C,
    handles: Handles,
    path: String,
    state: State<C::Link>,
    /// A device whose loss cannot be mended begins only once.
    once: bool,
}

impl<C: Connect> Session<C> {
    pub(crate) fn new(connect: C, handles: Handles, path: String, once: bool) -> Self {
        let first = connect.connect(handles.clone(), path.clone());
        Session {
            connect,
            handles,
            path,
            state: State::Connecting(first),
            once,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Connecting(_) | State::Pausing(_) => Phase::Connecting,
            State::Connected(..) => Phase::Connected,
            State::Broken(_) => Phase::Broken,
        }
    }

    pub(crate) fn link(&mut self) -> Option<&mut C::Link> {
        match &mut self.state {
            State::Connected(link, _) => Some(link),
            _ => None,
        }
    }

    pub(crate) fn link_ref(&self) -> Option<&C::Link> {
        match &self.state {
            State::Connected(link, _) => Some(link),
            _ => None,
        }
    }

    /// Advances handshakes; `true` when the link was lost in this step (it is gone already).
    pub(crate) fn step(&mut self) -> bool {
        let mut lost = false;
        // What begins is polled at once: only then does it ask, or register its deadline, and
        // without either nothing might ever cause another step.
        while let Some(moved) = self.advance() {
            lost |= moved == Moved::Lost;
        }
        lost
    }

    /// Polls the state; how it has moved on to another, if it has.
    fn advance(&mut self) -> Option<Moved> {
        match &mut self.state {
            State::Connecting(walk) => {
                let result = ready(walk)?;
                self.state = self.connected(result);
                Some(Moved::On)
            }
            State::Connected(_, monitor) => {
                ready(monitor)?;
                self.lost();
                Some(Moved::Lost)
            }
            State::Pausing(pause) => {
                ready(pause)?;
                self.begin();
                Some(Moved::On)
            }
            State::Broken(farewell) => {
                ready(farewell.as_mut()?)?;
                *farewell = None;
                None
            }
        }
    }

    /// The backend lied: the device is over.
    pub(crate) fn break_off(&mut self, fault: BackendFault) {
        log::error!(
            "{}: the backend is not to be believed: {fault}; the device is disabled, the rest \
             goes on; detach and attach it, or reboot the domain, to use it again",
            self.path
        );
        self.state = State::Broken(Some(farewell(&self.handles, &self.path)));
        self.step();
    }

    fn begin(&mut self) {
        self.state = State::Connecting(
            self.connect
                .connect(self.handles.clone(), self.path.clone()),
        );
    }

    fn lost(&mut self) {
        if self.once {
            log::error!(
                "{}: the backend went away; reboot the domain to use the device again",
                self.path
            );
            self.state = State::Broken(Some(farewell(&self.handles, &self.path)));
        } else {
            log::warn!(
                "{}: the backend went away; waiting for it to come back",
                self.path
            );
            self.begin();
        }
    }

    fn connected(&self, result: Result<Established<C::Link>, ConnectError>) -> State<C::Link> {
        match result {
            Ok(Established {
                link,
                frontend,
                watch,
            }) => State::Connected(link, Box::pin(until_lost(frontend, watch))),
            Err(error) => {
                log::warn!(
                    "{}: cannot connect: {error}; trying again in 5 s",
                    self.path
                );
                let timers = self.handles.timers.clone();
                State::Pausing(Box::pin(async move { timers.sleep(RETRY_NS).await }))
            }
        }
    }
}

fn ready<T>(task: &mut Task<T>) -> Option<T> {
    match task::poll(task) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Ends when the backend is no longer connected.
async fn until_lost(frontend: Frontend, watch: Watch) {
    loop {
        watch.fired().await;
        let state = frontend.backend_state().await;
        // Without xenstore nothing is known; the rings go on. A backend that begins anew was
        // gone, though that was not seen: watches tell of many changes as of one.
        if matches!(
            state,
            Ok(XenbusState::Closing
                | XenbusState::Closed
                | XenbusState::Unknown
                | XenbusState::Initialising
                | XenbusState::InitWait)
        ) {
            return;
        }
    }
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
