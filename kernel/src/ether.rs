//! Netfront's frames as the network stack sees them.

use drivers::netfront::Netfront;
use net::Frames;

/// A vif as the stack sees it.
pub(crate) struct Ether<'a>(pub &'a mut Netfront);

impl Frames for Ether<'_> {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        self.0.receive(take)
    }

    fn transmit_room(&self) -> usize {
        self.0.transmit_room()
    }

    fn transmit(&mut self, segments: &[&[u8]]) -> bool {
        self.0.transmit(segments)
    }
}

/// The stack's view when there is no vif.
pub(crate) struct NoEther;

impl Frames for NoEther {
    fn receive(&mut self, _: &mut dyn FnMut(&[u8])) -> bool {
        false
    }

    fn transmit_room(&self) -> usize {
        0
    }

    fn transmit(&mut self, _: &[&[u8]]) -> bool {
        false
    }
}
