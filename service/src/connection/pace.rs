//! How slow a peer may be: who takes or sends a byte now and then does not keep a connection.
//!
//! A peer that does not move at all has so long, and one that moves earns time with each byte; it
//! never has more than it began with.

/// Whoever takes or sends fewer bytes in a second than this has ever less time.
pub(crate) const BYTES_PER_S_MIN: u64 = 500;
/// What a byte is worth.
const NS_PER_BYTE: u64 = 1_000_000_000 / BYTES_PER_S_MIN;

/// What a peer has left.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When it is over; `None` while nothing waits for the peer.
    end_ns: Option<u64>,
}

impl Pace {
    /// Nothing waits for the peer any more.
    pub(super) fn end(&mut self) {
        self.end_ns = None;
    }

    /// So many bytes have moved, where a peer that does not move has `patience_ns`: until when it
    /// has to move again.
    pub(super) fn moved(&mut self, bytes: usize, now_ns: u64, patience_ns: u64) -> u64 {
        let most_ns = now_ns.saturating_add(patience_ns);
        let earned_ns = (bytes as u64).saturating_mul(NS_PER_BYTE);
        let end_ns = self.end_ns.unwrap_or(most_ns);
        let end_ns = end_ns.saturating_add(earned_ns).min(most_ns);
        self.end_ns = Some(end_ns);
        end_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// How long one is borne who moves so many bytes every so many seconds; at most a day.
    fn borne_s(bytes: usize, every_s: u64) -> u64 {
        let mut pace = Pace::default();
        let mut end_ns = pace.moved(0, 0, 60 * S);
        let mut now_ns = 0;
        while now_ns + every_s * S < end_ns && now_ns < 86_400 * S {
            now_ns += every_s * S;
            end_ns = pace.moved(bytes, now_ns, 60 * S);
        }
        end_ns / S
    }

    #[test]
    fn who_moves_fast_enough_is_borne_and_who_trickles_is_not() {
        assert_eq!(borne_s(0, 1), 60);
        assert_eq!(borne_s(1, 1), 60);
        assert_eq!(borne_s(1, 59), 60);
        assert_eq!(borne_s(250, 1), 119);
        assert!(borne_s(500, 1) > 86_000);
        assert!(borne_s(25_000, 50) > 86_000, "pauses are no harm");
        assert!(borne_s(25_000, 60) < 61, "but for those that are too long");
    }

    #[test]
    fn nothing_is_saved_up() {
        let mut pace = Pace::default();
        assert_eq!(pace.moved(usize::MAX, 5 * S, 60 * S), 65 * S);
        assert_eq!(pace.moved(1 << 30, 6 * S, 60 * S), 66 * S);
        pace.end();
        assert_eq!(pace.moved(0, 100 * S, 60 * S), 160 * S);
    }
}
