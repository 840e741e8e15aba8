//! The network between the guest's backend and its peers.
//!
//! What it may do to a frame: delay it, so that later ones come first; lose it;
//! bring it twice. It never changes one: Ethernet's checksum would have shown that.

use crate::random::Random;
use std::collections::BTreeMap;

/// Chances in a million, and delays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// A frame is lost.
    pub loss: u64,
    /// A frame comes twice.
    pub twice: u64,
    /// Shortest way of a frame.
    pub delay_min_ns: u64,
    /// Longest way of a frame.
    pub delay_max_ns: u64,
}

const MILLION: u64 = 1_000_000;

/// Frames under way, by the time of arrival and the order of coming.
type Frames = BTreeMap<(u64, u64), Vec<u8>>;

/// Both directions.
#[derive(Debug)]
pub struct Wire {
    /// How it is today.
    pub weather: Weather,
    random: Random,
    to_guest: Frames,
    to_peer: Frames,
    count: u64,
}

impl Wire {
    /// A wire with nothing on it.
    pub fn new(random: Random) -> Wire {
        Wire {
            weather: Weather::default(),
            random,
            to_guest: Frames::new(),
            to_peer: Frames::new(),
            count: 0,
        }
    }

    fn arrivals(&mut self, now_ns: u64) -> Vec<(u64, u64)> {
        let Weather {
            loss,
            twice,
            delay_min_ns,
            delay_max_ns,
        } = self.weather;
        let copies = match (
            self.random.chance(loss, MILLION),
            self.random.chance(twice, MILLION),
        ) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        let arrivals = (0..copies).map(|_| {
            let spread_ns = delay_max_ns.saturating_sub(delay_min_ns) + 1;
            self.count += 1;
            (
                now_ns + delay_min_ns + self.random.below(spread_ns),
                self.count,
            )
        });
        arrivals.collect()
    }

    /// The guest sends a frame.
    pub fn from_guest(&mut self, now_ns: u64, frame: Vec<u8>) {
        for key in self.arrivals(now_ns) {
            self.to_peer.insert(key, frame.clone());
        }
    }

    /// A peer sends a frame.
    pub fn from_peer(&mut self, now_ns: u64, frame: Vec<u8>) {
        for key in self.arrivals(now_ns) {
            self.to_guest.insert(key, frame.clone());
        }
    }

    /// The next frame that has arrived at the guest's backend.
    pub fn next_for_guest(&mut self, now_ns: u64) -> Option<Vec<u8>> {
        next(&mut self.to_guest, now_ns)
    }

    /// The next frame that has arrived at the peer.
    pub fn next_for_peer(&mut self, now_ns: u64) -> Option<Vec<u8>> {
        next(&mut self.to_peer, now_ns)
    }

    /// Nobody is there to take what has arrived.
    pub fn drop_all_for_guest(&mut self, now_ns: u64) {
        while self.next_for_guest(now_ns).is_some() {}
    }

    /// When the next frame arrives anywhere.
    pub fn deadline_ns(&self) -> Option<u64> {
        let first = |frames: &Frames| frames.keys().next().map(|(at_ns, _)| *at_ns);
        let both = [first(&self.to_guest), first(&self.to_peer)];
        both.into_iter().flatten().min()
    }
}

fn next(frames: &mut Frames, now_ns: u64) -> Option<Vec<u8>> {
    let entry = frames.first_entry()?;
    (entry.key().0 <= now_ns).then(|| entry.remove())
}
