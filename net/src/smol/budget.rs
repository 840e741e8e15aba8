//! How much memory a new connection's buffers get.
//!
//! smoltcp's buffers cannot grow, so a size is chosen when a connection is
//! made: the smallest is set aside for each connection that may still come,
//! and a new one takes no more than an eighth of what is then to spare. So
//! few connections get large buffers and many get small ones.
//!
//! # Invariants
//!
//! - `used <= total`.
//! - No receive buffer exceeds 32 KiB, so that no window is ever scaled and
//!   every SYN|ACK is the same.

/// Receive and send buffer sizes in bytes, smallest first.
const SIZES: [(u32, u32); 5] = [
    (4 << 10, 8 << 10),
    (8 << 10, 16 << 10),
    (16 << 10, 32 << 10),
    (32 << 10, 64 << 10),
    (32 << 10, 128 << 10),
];

/// The smallest receive buffer: what a SYN|ACK promises.
pub(crate) const RECEIVE_BYTES_MIN: usize = SIZES[0].0 as usize;

/// One in so many places is for those who have few connections.
const RESERVE_PART: u32 = 16;

/// The smallest connection.
const COST_MIN: u64 = SIZES[0].0 as u64 + SIZES[0].1 as u64;

/// Buffers for one connection, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) receive: u32,
    pub(crate) send: u32,
}

impl Share {
    fn cost(self) -> u64 {
        u64::from(self.receive) + u64::from(self.send)
    }
}

/// The memory for all socket buffers.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    used: u64,
    connections: u32,
    connections_max: u32,
}

impl Budget {
    /// `total` bytes for at most `connections_max`, fewer if they do not fit.
    pub(crate) fn new(total: u64, connections_max: u32) -> Budget {
        let fit = u32::try_from(total / COST_MIN).unwrap_or(u32::MAX);
        Budget {
            total,
            used: 0,
            connections: 0,
            connections_max: connections_max.min(fit),
        }
    }

    /// Most connections there can be.
    pub(crate) fn connections_max(&self) -> u32 {
        self.connections_max
    }

    /// Bytes, in use and in all.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.used, self.total)
    }

    /// Whether only places are left that are kept for those who have few.
    pub(crate) fn is_in_reserve(&self) -> bool {
        self.connections_max - self.connections <= self.reserved()
    }

    /// So many places are kept for those who have few.
    pub(crate) fn reserved(&self) -> u32 {
        self.connections_max / RESERVE_PART
    }

    /// Whether one more connection fits.
    pub(crate) fn has_room(&self) -> bool {
        self.connections < self.connections_max && self.used + COST_MIN <= self.total
    }

    /// Takes a share, if one more connection fits.
    pub(crate) fn take(&mut self) -> Option<Share> {
        if !self.has_room() {
            return None;
        }
        let waiting = u64::from(self.connections_max - self.connections) * COST_MIN;
        let spare = self.total.saturating_sub(self.used + waiting);
        let shares = SIZES
            .iter()
            .rev()
            .map(|&(receive, send)| Share { receive, send });
        let share = shares
            .into_iter()
            .find(|share| share.cost() <= COST_MIN + spare / 8)?;
        self.used += share.cost();
        self.connections += 1;
        assert!(self.used <= self.total, "a share fits what is left");
        Some(share)
    }

    /// Gives a share back.
    pub(crate) fn put(&mut self, share: Share) {
        assert!(self.used >= share.cost(), "a share was taken before");
        self.used -= share.cost();
        self.connections -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_promised_connection_fits_and_all_comes_back() {
        for (total, asked) in [
            (1 << 20, 64),
            (3 << 19, 64),
            (2 << 20, 256),
            (64 << 20, 256),
        ] {
            let mut budget = Budget::new(total, asked);
            let max = budget.connections_max();
            assert!(max == asked || u64::from(max) == total / COST_MIN);
            let shares: Vec<Share> = core::iter::from_fn(|| budget.take()).collect();
            assert_eq!(shares.len(), max as usize);
            assert!(shares[0].cost() >= shares[shares.len() - 1].cost());
            shares.into_iter().for_each(|share| budget.put(share));
            assert_eq!(budget.bytes(), (0, total));
        }
    }

    #[test]
    fn a_budget_of_nothing_takes_nobody() {
        assert_eq!(Budget::new(COST_MIN - 1, 10).take(), None);
    }
}
