//! States of a split driver's connection. Mirrors `xen/include/public/io/xenbus.h`, Xen 4.17.

/// Where one end of a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum XenbusState {
    /// No state node, or one that makes no sense.
    Unknown = 0,
    /// Setting up.
    Initialising = 1,
    /// Finished early setup, waits for the peer.
    InitWait = 2,
    /// Initialised, waits for the peer's connect.
    Initialised = 3,
    /// Working.
    Connected = 4,
    /// Shutting down.
    Closing = 5,
    /// Gone.
    Closed = 6,
    /// Changing its configuration.
    Reconfiguring = 7,
    /// Changed its configuration.
    Reconfigured = 8,
}

impl XenbusState {
    /// Reads a state node's value.
    pub fn parse(value: &[u8]) -> XenbusState {
        match value {
            b"1" => XenbusState::Initialising,
            b"2" => XenbusState::InitWait,
            b"3" => XenbusState::Initialised,
            b"4" => XenbusState::Connected,
            b"5" => XenbusState::Closing,
            b"6" => XenbusState::Closed,
            b"7" => XenbusState::Reconfiguring,
            b"8" => XenbusState::Reconfigured,
            _ => XenbusState::Unknown,
        }
    }

    /// The state node's value.
    pub fn digit(self) -> &'static str {
        ["0", "1", "2", "3", "4", "5", "6", "7", "8"][self as usize]
    }
}

mirror! {
    ["io/xenbus.h"]
    layouts []
    numbers [
        XenbusState::Unknown => "XenbusStateUnknown",
        XenbusState::Initialising => "XenbusStateInitialising",
        XenbusState::InitWait => "XenbusStateInitWait",
        XenbusState::Initialised => "XenbusStateInitialised",
        XenbusState::Connected => "XenbusStateConnected",
        XenbusState::Closing => "XenbusStateClosing",
        XenbusState::Closed => "XenbusStateClosed",
        XenbusState::Reconfiguring => "XenbusStateReconfiguring",
        XenbusState::Reconfigured => "XenbusStateReconfigured",
    ]
}

#[cfg(test)]
mod tests {
    use super::XenbusState;

    #[test]
    fn states_round_trip() {
        for digit in 1..=8u8 {
            let text = [b'0' + digit];
            let state = XenbusState::parse(&text);
            assert_eq!(state as u8, digit);
            assert_eq!(state.digit().as_bytes(), text);
        }
        for bad in [&b""[..], b"0", b"9", b"44", b" 4", b"4\0"] {
            assert_eq!(XenbusState::parse(bad), XenbusState::Unknown);
        }
    }
}
