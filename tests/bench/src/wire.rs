//! A connection's other side: one buffer for each direction, nothing lost and nothing late.

use service::{Input, Transport};

/// What was said, and how the answer began.
///
/// It does as little as it can, since what it does is counted, too.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) input: Vec<u8>,
    /// Bytes of the input that were taken.
    taken: usize,
    /// The beginning of what was sent first.
    pub(crate) answer: [u8; 13],
    pub(crate) sent: usize,
}

impl Wire {
    /// The next thing that is said.
    pub(crate) fn say(&mut self, input: &[u8]) {
        self.input.clear();
        self.input.extend_from_slice(input);
        (self.taken, self.sent) = (0, 0);
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.taken == self.input.len()
    }
}

impl Transport for Wire {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8]) -> usize) -> Input {
        if self.is_heard() {
            return Input::Nothing;
        }
        let taken = take(&self.input[self.taken..]);
        self.taken += taken;
        Input::Bytes(taken)
    }
    fn send_room(&self) -> usize {
        1 << 20
    }
    fn send(&mut self, segments: &[&[u8]]) -> usize {
        if self.sent == 0 {
            let first = segments.first().and_then(|first| first.first_chunk());
            self.answer = *first.expect("an answer begins with its status");
        }
        let sent = segments.iter().map(|segment| segment.len()).sum();
        self.sent += sent;
        sent
    }
}
