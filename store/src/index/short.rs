//! Keys that are copied without looking how long they are.

use super::leaf::Beginning;

/// A key of no more bytes is short.
pub(super) const SHORT_BYTES: usize = 32;

/// A key, in a window that has something else behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortKey<'a> {
    window: &'a [u8; SHORT_BYTES],
    len: usize,
}

impl<'a> ShortKey<'a> {
    /// The first `len` bytes, if there are enough behind them.
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8], len: usize) -> Option<Self> {
        let window = bytes.first_chunk()?;
        (len <= SHORT_BYTES).then_some(ShortKey { window, len })
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(super) fn window(self) -> &'a [u8; SHORT_BYTES] {
        self.window
    }

    #[inline(always)]
    pub(crate) fn beginning(self) -> Beginning {
        let [a, b, c, d, e, f, g, h, ..] = *self.window;
        Beginning::cut([a, b, c, d, e, f, g, h], self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_key_does_not_count() {
        let bytes: [u8; 40] = core::array::from_fn(|at| 0xF0 + at as u8 % 8);
        for len in 0..40 {
            let short = ShortKey::new(&bytes, len);
            assert_eq!(short.is_some(), len <= SHORT_BYTES);
            let Some(short) = short else { continue };
            assert_eq!(short.beginning(), Beginning::of(&bytes[..len]));
            assert_eq!(short.len(), len);
        }
        assert!(ShortKey::new(&bytes[..31], 4).is_none());
    }
}
