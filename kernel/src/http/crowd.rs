//! Who gives way when there are more connections than places.
//!
//! It is those whose peer stands still, and if there are too few of them those that have begun
//! nothing yet, or have all they get. Who has few is left alone as long as there are others; then
//! what is lost with a connection counts, then how many its address has, and how long it has
//! stood. Who does what it should never gives way: the stack keeps the last places for addresses
//! that have few.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::Ipv4Addr;
use net::{ConnectionId, FEW_CONNECTIONS};
use service::Stake;

/// Who has not done for so long what it should stands still.
const STANDSTILL_NS: u64 = 2_000_000_000;
/// The same where hardly a place is left; who only waits for its next request has longer.
const STANDSTILL_IN_NEED_NS: u64 = 500_000_000;
/// Longer than it takes from a handshake to a request.
const BEGINNING_NS: u64 = 100_000_000;

/// A connection, and what is lost with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) id: ConnectionId,
    pub(super) address: Ipv4Addr,
    pub(super) stake: Stake,
    /// Since when its peer has not done what it should; `None` if it has nothing to do.
    pub(super) since_ns: Option<u64>,
}

impl Seat {
    /// When it is its turn to give way; `None` if it does not stand still.
    fn tier(&self, is_needed: bool, now_ns: u64) -> Option<u8> {
        match now_ns.saturating_sub(self.since_ns?) {
            STANDSTILL_NS.. => Some(0),
            BEGINNING_NS.. if self.stake <= Stake::Ending => Some(1),
            STANDSTILL_IN_NEED_NS.. if is_needed && self.stake != Stake::Idle => Some(2),
            _ => None,
        }
    }
}

/// All of them.
pub(super) struct Crowd {
    seats: Vec<Seat>,
    counts: BTreeMap<Ipv4Addr, u32>,
}

impl Crowd {
    pub(super) fn of(seats: impl Iterator<Item = Seat>) -> Crowd {
        let seats: Vec<Seat> = seats.collect();
        let mut counts = BTreeMap::new();
        for seat in &seats {
            *counts.entry(seat.address).or_insert(0) += 1;
        }
        Crowd { seats, counts }
    }

    fn count_of(&self, address: Ipv4Addr) -> u32 {
        self.counts.get(&address).copied().unwrap_or(0)
    }

    /// At most so many of those that stand still; in need they have not stood so long.
    pub(super) fn who_stands_still(
        &self,
        count: usize,
        is_needed: bool,
        now_ns: u64,
    ) -> Vec<ConnectionId> {
        let seats = self.seats.iter();
        let still = seats.filter_map(|seat| Some((seat.tier(is_needed, now_ns)?, seat)));
        let mut still: Vec<(u8, &Seat)> = still.collect();
        still.sort_unstable_by_key(|(tier, seat)| {
            let count = self.count_of(seat.address);
            let place = (seat.since_ns, seat.id);
            (
                count <= FEW_CONNECTIONS,
                *tier,
                seat.stake,
                Reverse(count),
                place,
            )
        });
        still.truncate(count);
        still.iter().map(|(_, seat)| seat.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const NOW_NS: u64 = 100 * S;

    fn seat(index: u32, host: u8, stake: Stake, stood_ns: u64) -> Seat {
        Seat {
            id: ConnectionId {
                index,
                generation: 0,
            },
            address: Ipv4Addr::new(10, 0, 0, host),
            stake,
            since_ns: Some(NOW_NS - stood_ns),
        }
    }

    fn still(seats: &[Seat], count: usize) -> Vec<u32> {
        still_in(false, seats, count)
    }

    fn still_in(need: bool, seats: &[Seat], count: usize) -> Vec<u32> {
        let crowd = Crowd::of(seats.iter().copied());
        let ids = crowd.who_stands_still(count, need, NOW_NS);
        ids.iter().map(|id| id.index).collect()
    }

    #[test]
    fn who_has_few_goes_last_whatever_it_does() {
        let mut seats: Vec<Seat> = (0..90)
            .map(|index| seat(index, 1, Stake::Transfer, 3 * S))
            .collect();
        seats.extend((90..98).map(|index| seat(index, 2, Stake::Silent, 50 * S)));
        assert_eq!(still(&seats, 3), [0, 1, 2]);
        seats[0].since_ns = Some(NOW_NS - S);
        seats[0].stake = Stake::Silent;
        assert_eq!(
            still(&seats, 90)[89],
            0,
            "and behind those that have stood for less"
        );
        assert_eq!(still(&seats, 200)[90..], [90, 91, 92, 93, 94, 95, 96, 97]);
    }

    /// A whole network of the silent, and a proxy with what its users ask for.
    #[test]
    fn many_addresses_do_not_drive_out_who_works() {
        let silent = |index: u32| seat(index, index as u8, Stake::Silent, 5 * S + u64::from(index));
        let mut seats: Vec<Seat> = (0..200).map(silent).collect();
        seats.extend((200..250).map(|index| seat(index, 250, Stake::Transfer, 0)));
        seats.push(seat(250, 250, Stake::Idle, 3 * S));
        assert_eq!(still(&seats, 3), [250, 199, 198]);
        assert_eq!(still(&seats, 1_000).len(), 201);
    }

    #[test]
    fn what_is_lost_least_with_goes_first_and_of_that_what_stood_longest() {
        let seats = [
            seat(0, 1, Stake::Transfer, 60 * S),
            seat(1, 1, Stake::Transfer, 50 * S),
            seat(2, 1, Stake::Idle, 40 * S),
            seat(3, 1, Stake::Silent, 10 * S),
            seat(4, 1, Stake::Silent, 20 * S),
            seat(5, 1, Stake::Head, 9 * S),
            seat(6, 1, Stake::Ending, 8 * S),
            seat(7, 1, Stake::Watch, 7 * S),
        ];
        assert_eq!(still(&seats, 9), [4, 3, 5, 6, 2, 7, 0, 1]);
    }

    #[test]
    fn who_moves_or_has_just_come_or_has_nothing_to_do_stays() {
        let mut seats = [
            seat(0, 1, Stake::Silent, 0),
            seat(1, 1, Stake::Transfer, S),
            seat(2, 1, Stake::Transfer, 2 * S),
            seat(3, 1, Stake::Watch, 90 * S),
        ];
        seats[3].since_ns = None;
        assert_eq!(still(&seats, 9), [2]);
        assert_eq!(still_in(true, &seats, 9), [2, 1]);
        seats[0].since_ns = Some(NOW_NS - S / 8);
        assert_eq!(still(&seats, 9), [2, 0], "it has begun nothing");
        assert_eq!(still_in(true, &seats, 9), [2, 0, 1]);
        assert_eq!(still(&[], 2), [0; 0]);
    }
}
