//! Two peers with a network between that does what networks do.

use crate::peer::Peer;
use crate::random::Random;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

pub(super) const ADDRESSES: [Ipv4Addr; 2] =
    [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
pub(super) const SERVER: SocketAddrV4 = SocketAddrV4::new(ADDRESSES[1], 80);

/// What becomes of a frame, in percent, and how long it takes.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) delay_max_ns: u64,
}

pub(super) const FAIR: Weather = Weather {
    lost: 0,
    doubled: 0,
    delay_max_ns: 1,
};

pub(super) struct Network {
    pub(super) peers: [Peer; 2],
    pub(super) now_ns: u64,
    pub(super) weather: Weather,
    random: Random,
    /// By arrival and number: for whom, and what.
    flying: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    sent: u64,
}

impl Network {
    /// The second peer listens on `SERVER`.
    pub(super) fn new(seed: u64, weather: Weather) -> Network {
        let mut random = Random::new(seed);
        let mut peer = |at: usize| {
            let mac = [2, 0, 0, 0, 0, at as u8];
            Peer::new(mac, ADDRESSES[at], random.fork())
        };
        let mut peers = [peer(0), peer(1)];
        peers[1].listen(SERVER.port());
        Network {
            peers,
            now_ns: 0,
            weather,
            random,
            flying: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Goes on to the next event; false if there is none.
    pub(super) fn step(&mut self) -> bool {
        for from in [0, 1] {
            while let Some(frame) = self.peers[from].transmit(self.now_ns) {
                self.carry(1 - from, frame);
            }
            let deadline_ns = self.peers[from].deadline_ns();
            assert!(
                deadline_ns.is_none_or(|at_ns| at_ns > self.now_ns),
                "a peer that has nothing to send wants to be asked later"
            );
        }
        let deadlines = self.peers.iter().filter_map(Peer::deadline_ns);
        let arrivals = self.flying.keys().map(|(at_ns, _)| *at_ns).take(1);
        let Some(next_ns) = deadlines.chain(arrivals).min() else {
            return false;
        };
        self.now_ns = next_ns;
        while let Some(first) = self.flying.first_entry()
            && first.key().0 <= next_ns
        {
            let (to, frame) = first.remove();
            self.peers[to].receive(next_ns, &frame);
        }
        true
    }

    /// Until nothing more is to come.
    pub(super) fn settle(&mut self) {
        while self.step() {}
    }

    fn carry(&mut self, to: usize, frame: Vec<u8>) {
        self.sent += 1;
        assert!(self.sent < 1_000_000, "the peers talk without end");
        if self.random.chance(self.weather.lost, 100) {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(self.weather.doubled, 100));
        for copy in 0..copies {
            let delay_ns = 1 + self.random.below(self.weather.delay_max_ns);
            let arrival = (self.now_ns + delay_ns, self.sent * 2 + copy);
            self.flying.insert(arrival, (to, frame.clone()));
        }
    }
}
