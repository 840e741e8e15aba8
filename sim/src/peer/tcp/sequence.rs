//! Sequence numbers as positions that never wrap.
//!
//! Source: RFC 9293, 3.4.

/// The sequence numbers of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    initial: u32,
}

impl Sequence {
    /// Position 0, the SYN, is at `initial`.
    pub(crate) fn new(initial: u32) -> Sequence {
        Sequence { initial }
    }

    /// The number of a position on the wire.
    pub(crate) fn number(self, position: i64) -> u32 {
        self.initial.wrapping_add(position as u32)
    }

    /// Of the positions with this number the one next to `near`.
    pub(crate) fn position(self, number: u32, near: i64) -> i64 {
        let ahead = number.wrapping_sub(self.number(near)) as i32;
        near + i64::from(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_position_next_to_another() {
        fn check(initial: u32, near: i64, number: u32, expected: i64) {
            let sequence = Sequence::new(initial);
            assert_eq!(sequence.position(number, near), expected);
            assert_eq!(sequence.number(expected), number);
        }
        check(0, 0, 5, 5);
        check(10, 0, 5, -5);
        check(0xffff_fff0, 8, 0x10, 0x20);
        check(0xffff_fff0, 0x18, 0xffff_fff8, 8);
        check(7, 1 << 33, 6, (1 << 33) - 1);
        check(7, (1 << 33) + 100, 0, (1 << 33) - 7);
    }
}
