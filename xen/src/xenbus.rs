//! The frontend's end of a split driver's handshake, over xenstore.
//!
//! Source: `xen/include/public/io/xenbus.h` and `docs/misc/xenbus` notes in the
//! protocol headers, Xen 4.17.

use crate::Domid;
use crate::task::Timers;
use crate::xenstore::{Watch, Xenstore, XsError};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;
pub use xen_sys::io::xenbus::XenbusState;

/// A device as the toolstack announced it.
#[derive(Clone, Debug)]
pub struct Frontend {
    xenstore: Xenstore,
    timers: Timers,
    path: String,
    backend: String,
    backend_domid: Domid,
}

/// Why a handshake did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// Xenstore refused.
    Xenstore(XsError),
    /// The backend did not reach the state in time; where it stood last.
    TimedOut(XenbusState),
    /// The backend closes.
    Closed,
    /// The toolstack has taken the device away, or given it another backend.
    Moved,
}

impl From<XsError> for HandshakeError {
    fn from(error: XsError) -> Self {
        HandshakeError::Xenstore(error)
    }
}

impl core::fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            HandshakeError::Xenstore(error) => write!(f, "xenstore: {error}"),
            HandshakeError::TimedOut(state) => {
                write!(f, "the backend stays in state {state:?}")
            }
            HandshakeError::Closed => f.write_str("the backend is closed"),
            HandshakeError::Moved => {
                f.write_str("the toolstack has taken it away, or given it another backend")
            }
        }
    }
}

impl core::error::Error for HandshakeError {}

/// Fires when the backend's state changes, or the device has another backend.
#[derive(Debug)]
pub struct BackendWatch {
    state: Watch,
    place: Watch,
}

impl BackendWatch {
    /// Waits until it fired since last asked.
    pub async fn fired(&self) {
        poll_fn(|_| {
            // Both, so that what they say together is looked at once.
            let (state, place) = (self.state.take_fired(), self.place.take_fired());
            if state || place {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// Longest wait for a backend to change its state.
const STATE_TIMEOUT_NS: u64 = 30_000_000_000;

impl Frontend {
    /// Reads where the device's backend is. `path` is like `device/vif/0`.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn locate(
        xenstore: &Xenstore,
        timers: &Timers,
        path: &str,
    ) -> Result<Frontend, XsError> {
        let backend = xenstore.read_text(&format!("{path}/backend")).await?;
        let domid = xenstore.read_text(&format!("{path}/backend-id")).await?;
        let backend_domid = Domid(domid.parse().map_err(|_| XsError::Malformed)?);
        let (xenstore, timers) = (xenstore.clone(), timers.clone());
        Ok(Frontend {
            xenstore,
            timers,
            path: path.into(),
            backend,
            backend_domid,
        })
    }

    /// The domain the backend runs in.
    pub fn backend_domid(&self) -> Domid {
        self.backend_domid
    }

    /// The device's path, for messages.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The clock of our steps.
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// A node of ours.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn read(&self, key: &str) -> Result<String, XsError> {
        self.xenstore
            .read_text(&format!("{}/{key}", self.path))
            .await
    }

    /// A node of the backend.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn read_backend(&self, key: &str) -> Result<String, XsError> {
        self.xenstore
            .read_text(&format!("{}/{key}", self.backend))
            .await
    }

    /// A number the backend published; `None` if it did not.
    ///
    /// # Errors
    /// [`XsError::Malformed`] for what is no number, and what a read may fail with.
    pub async fn read_backend_number(&self, key: &str) -> Result<Option<u64>, XsError> {
        match self.read_backend(key).await {
            Ok(text) => text
                .trim()
                .parse()
                .map(Some)
                .map_err(|_| XsError::Malformed),
            Err(XsError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the backend published a 1: what is anything else is not offered.
    ///
    /// # Errors
    /// What a read may fail with.
    pub async fn read_backend_flag(&self, key: &str) -> Result<bool, XsError> {
        match self.read_backend_number(key).await {
            Ok(number) => Ok(number == Some(1)),
            Err(XsError::Malformed) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where the backend stands.
    ///
    /// # Errors
    /// [`XsError`]; a missing node is [`XenbusState::Unknown`], and so is one that is denied:
    /// the daemon does not tell a domain what is missing in a directory that it may not read.
    pub async fn backend_state(&self) -> Result<XenbusState, XsError> {
        match self.xenstore.read(&format!("{}/state", self.backend)).await {
            Ok(value) => Ok(XenbusState::parse(&value)),
            Err(XsError::NotFound | XsError::Denied) => Ok(XenbusState::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Says where we stand.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn switch_to(&self, state: XenbusState) -> Result<(), XsError> {
        self.xenstore
            .write(&format!("{}/state", self.path), state.digit().as_bytes())
            .await
    }

    /// Publishes nodes of ours, all or none.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn publish(&self, nodes: &[(&str, &dyn ToString)]) -> Result<(), XsError> {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|(key, value)| (format!("{}/{key}", self.path), value.to_string()))
            .collect();
        self.xenstore.write_all(&nodes).await
    }

    /// Watches the backend's state, and where the backend is: a driver domain that crashed comes
    /// back as another domain, and nothing is heard of the old one's nodes any more.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn watch_backend(&self) -> Result<BackendWatch, XsError> {
        let watch = async |path: &str, key: &str| {
            let path = format!("{path}/{key}");
            self.xenstore.watch(&path).await
        };
        Ok(BackendWatch {
            state: watch(&self.backend, "state").await?,
            place: watch(&self.path, "backend").await?,
        })
    }

    /// Whether the toolstack has taken the device away, or given it another backend.
    ///
    /// # Errors
    /// [`XsError`].
    pub async fn has_moved(&self) -> Result<bool, XsError> {
        match self.read("backend").await {
            Ok(backend) => Ok(backend != self.backend),
            Err(XsError::NotFound) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Waits until the backend is in one of `wanted`; a backend that closes ends the wait, and so
    /// does a device that is moved.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn wait_for(
        &self,
        watch: &BackendWatch,
        wanted: &[XenbusState],
    ) -> Result<XenbusState, HandshakeError> {
        let ends = [XenbusState::Closing, XenbusState::Closed];
        self.wait(watch, wanted, &ends).await
    }

    async fn wait(
        &self,
        watch: &BackendWatch,
        wanted: &[XenbusState],
        ends: &[XenbusState],
    ) -> Result<XenbusState, HandshakeError> {
        let walk = async {
            loop {
                // First: what an old backend says is nothing to a device that has another one.
                if self.has_moved().await? {
                    return Err(HandshakeError::Moved);
                }
                let state = self.backend_state().await?;
                if wanted.contains(&state) {
                    return Ok(state);
                }
                if ends.contains(&state) {
                    return Err(HandshakeError::Closed);
                }
                watch.fired().await;
            }
        };
        match self.timers.timeout(STATE_TIMEOUT_NS, walk).await {
            Some(result) => result,
            None => Err(HandshakeError::TimedOut(self.backend_state().await?)),
        }
    }

    /// Brings both ends to the start of a handshake, the backend to `InitWait`, whatever an
    /// earlier life left behind.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn restart(&self, watch: &BackendWatch) -> Result<(), HandshakeError> {
        use XenbusState::{Closed, Closing, InitWait, Initialising, Unknown};
        let state = self.backend_state().await?;
        if !matches!(state, Unknown | Initialising | InitWait) {
            self.switch_to(Closing).await?;
            self.switch_to(Closed).await?;
            self.wait(watch, &[Closed, InitWait, Unknown], &[]).await?;
        }
        self.switch_to(Initialising).await?;
        // A closed backend opens again when it sees that, which takes it a while.
        self.wait(watch, &[InitWait], &[]).await?;
        Ok(())
    }
}
