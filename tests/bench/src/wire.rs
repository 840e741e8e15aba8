//! A connection's other side: one buffer for each direction, nothing lost and nothing late.

use service::{Input, Transport};

/// What was said, and what was answered.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) input: Vec<u8>,
    pub(crate) output: Vec<u8>,
}

impl Transport for Wire {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8]) -> usize) -> Input {
        if self.input.is_empty() {
            return Input::Nothing;
        }
        let taken = take(&self.input);
        self.input.drain(..taken);
        Input::Bytes(taken)
    }
    fn send_room(&self) -> usize {
        usize::MAX
    }
    fn send(&mut self, segments: &[&[u8]]) -> usize {
        let before = self.output.len();
        for segment in segments {
            self.output.extend_from_slice(segment);
        }
        self.output.len() - before
    }
}
