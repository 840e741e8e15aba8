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

/// What a state came to.
enum Moved {
    No,
    Yes,
    /// There was a link, and it is gone.
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
    /// Why the last try failed, if it did.
    failed: Option<ConnectError>,
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
        // What a state waits for is registered when it is polled first, and nothing else may
        // ever wake us: so it is polled in the step in which it began.
        loop {
            match self.advance() {
                Moved::No => return lost,
                Moved::Yes => {}
                Moved::Lost => lost = true,
            }
        }
    }

    fn advance(&mut self) -> Moved {
        match &mut self.state {
            State::Connecting(walk) => match task::poll(walk) {
                Poll::Ready(result) => {
                    self.state = self.connected(result);
                    Moved::Yes
                }
                Poll::Pending => Moved::No,
            },
            State::Connected(_, monitor) => match task::poll(monitor) {
                Poll::Ready(()) => {
                    self.lost();
                    Moved::Lost
                }
                Poll::Pending => Moved::No,
            },
            State::Pausing(pause) => match task::poll(pause) {
                Poll::Ready(()) => {
                    self.begin();
                    Moved::Yes
                }
                Poll::Pending => Moved::No,
            },
            State::Broken(farewell) => {
                let said = farewell
                    .as_mut()
                    .is_some_and(|walk| task::poll(walk).is_ready());
                if said {
                    *farewell = None;
                }
                Moved::No
            }
        }
    }

    /// The backend lied: the device is over.
    pub(crate) fn break_off(&mut self, fault: BackendFault) {
        log::error!(
            "{}: the backend is not to be believed: {fault}; the device is disabled, the rest \
             goes on; reboot the domain to use it again",
            self.path
        );
        self.give_up();
    }

    /// There is no way back from here.
    fn give_up(&mut self) {
        let mut walk = farewell(&self.handles, &self.path);
        // Begun at once: nothing else may ever wake us.
        let said = task::poll(&mut walk).is_ready();
        self.state = State::Broken((!said).then_some(walk));
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
            self.give_up();
        } else {
            log::warn!(
                "{}: the backend went away; waiting for it to come back",
                self.path
            );
            self.begin();
        }
    }

    fn connected(&mut self, result: Result<Established<C::Link>, ConnectError>) -> State<C::Link> {
        let failed = core::mem::replace(&mut self.failed, result.as_ref().err().copied());
        match result {
            Ok(Established {
                link,
                frontend,
                watch,
            }) => State::Connected(link, Box::pin(until_lost(frontend, watch))),
            Err(error) => {
                // Said once for all tries that fail alike.
                if failed != Some(error) {
                    log::warn!(
                        "{}: cannot connect: {error}; trying again every 5 s",
                        self.path
                    );
                }
                let timers = self.handles.timers.clone();
                State::Pausing(Box::pin(async move { timers.sleep(RETRY_NS).await }))
            }
        }
    }
}

/// Ends when the backend is no longer connected.
async fn until_lost(frontend: Frontend, watch: Watch) {
    loop {
        watch.fired().await;
        let state = frontend.backend_state().await;
        // Without xenstore nothing is known; the rings go on.
        if matches!(
            state,
            Ok(XenbusState::Closing | XenbusState::Closed | XenbusState::Unknown)
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
