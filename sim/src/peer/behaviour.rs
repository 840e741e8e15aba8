//! How one connection of a peer behaves, within the RFC.

/// When received bytes make room for more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    /// As they come: the window stays open.
    Always,
    /// When `Peer::received` takes them.
    WhenTaken,
    /// Never: the window closes behind what was advertised.
    Never,
}

/// Whether the client is still there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Talks {
    /// It sends what it has to.
    Always,
    /// It vanished: it hears nothing, says nothing and refuses nothing.
    Never,
}

/// How one connection behaves; it may be changed at any time.
///
/// What the first SYN says (`mss`, and a window scale where `window_max` needs
/// one) is settled when it goes out, so a change has to come before that.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// The largest segment it asks for, in bytes.
    pub mss: u16,
    /// The largest window it advertises, in bytes.
    pub window_max: u32,
    /// How long it waits with an acknowledgement that nothing hurries.
    pub ack_delay_ns: u64,
    /// The most bytes it puts into one segment; at least 1.
    pub segment_max: usize,
    /// When received bytes make room for more.
    pub reads: Reads,
    /// Whether it is still there.
    pub talks: Talks,
}

impl Behaviour {
    /// A plain client on a link of this MTU.
    pub(super) fn on_link(mtu_bytes: u16) -> Behaviour {
        let mss = mtu_bytes - 40;
        Behaviour {
            mss,
            window_max: 65535,
            ack_delay_ns: 0,
            segment_max: usize::from(mss),
            reads: Reads::Always,
            talks: Talks::Always,
        }
    }
}
