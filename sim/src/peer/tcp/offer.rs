//! What our SYN says of what we take.
//!
//! Source: RFC 9293, 3.7.1; RFC 7323, 2.

use crate::peer::behaviour::Behaviour;

/// RFC 7323, 2.3.
pub(super) const SCALE_MAX: u8 = 14;

/// What our SYN said, which holds for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) mss: u16,
    pub(super) scale: Option<u8>,
    pub(super) window: u16,
}

impl Offer {
    pub(super) fn of(behaviour: &Behaviour) -> Offer {
        let fits = |scale: &u8| behaviour.window_max >> scale <= u32::from(u16::MAX);
        let scale = (0..SCALE_MAX).find(fits).unwrap_or(SCALE_MAX);
        Offer {
            mss: behaviour.mss,
            scale: (scale > 0).then_some(scale),
            window: u16::try_from(behaviour.window_max).unwrap_or(u16::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_window_is_scaled_by_no_more_than_it_needs() {
        fn check(window_max: u32, window: u16, scale: Option<u8>) {
            let behaviour = Behaviour {
                window_max,
                ..Behaviour::on_link(1500)
            };
            let offer = Offer::of(&behaviour);
            assert_eq!(
                (offer.mss, offer.window, offer.scale),
                (1460, window, scale)
            );
        }
        check(0, 0, None);
        check(65535, 65535, None);
        check(65536, 65535, Some(1));
        check(1 << 20, 65535, Some(5));
        check(u32::MAX, 65535, Some(14));
    }
}
