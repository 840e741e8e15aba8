//! What waits for room in the transport: the pieces of at most one answer.

use crate::allowance::Held;
use crate::segment::{Segment, Transport};
use alloc::collections::VecDeque;
use alloc::rc::Rc;

/// Most pieces handed to the transport at once.
const PIECES_MAX: usize = 8;

/// Pieces in order; the first may be sent in part.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: VecDeque<Segment>,
    /// Bytes of the first piece that are sent.
    sent: usize,
    /// What of the memory for bodies is taken by what waits.
    held: Option<Rc<Held>>,
}

impl Output {
    /// Adds a piece at the end.
    pub(crate) fn push(&mut self, piece: Segment) {
        if !piece.bytes().is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Gives that back once all is sent.
    pub(crate) fn hold(&mut self, held: Option<Rc<Held>>) {
        self.held = held;
    }

    /// Whether all is sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many pieces wait.
    pub(crate) fn piece_count(&self) -> usize {
        self.pieces.len()
    }

    /// How many bytes wait.
    pub(crate) fn len_bytes(&self) -> usize {
        self.pieces
            .iter()
            .map(|piece| piece.bytes().len())
            .sum::<usize>()
            - self.sent
    }

    /// Hands over what there is room for; how many bytes that was.
    pub(crate) fn send(&mut self, transport: &mut dyn Transport) -> usize {
        let mut total = 0;
        while !self.pieces.is_empty() && transport.send_room() > 0 {
            let mut slices = [&[][..]; PIECES_MAX];
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = piece.bytes();
            }
            slices[0] = &slices[0][self.sent..];
            let count = self.pieces.len().min(PIECES_MAX);
            let sent = transport.send(&slices[..count]);
            if sent == 0 {
                break;
            }
            total += sent;
            self.drop_sent(sent);
        }
        if self.pieces.is_empty() {
            // An idle connection keeps no memory for this.
            *self = Output::default();
        }
        total
    }

    /// So many bytes of what waits have been sent.
    pub(super) fn drop_sent(&mut self, sent: usize) {
        self.sent += sent;
        while let Some(first) = self.pieces.front() {
            let len_bytes = first.bytes().len();
            if self.sent < len_bytes {
                return;
            }
            self.sent -= len_bytes;
            self.pieces.pop_front();
        }
        assert_eq!(self.sent, 0, "a transport sends at most what it was given");
    }

    /// Forgets what was not sent.
    pub(crate) fn clear(&mut self) {
        *self = Output::default();
    }
}
