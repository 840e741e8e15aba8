//! Bytes that are looked at eight at a time.

/// The same in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;
/// The bits in which a look at a word tells what it found in each byte; right up to the first.
const FOUND: u64 = EACH << 7;

/// Where the first byte is that a look finds, or how many there are.
#[inline(always)]
fn first(bytes: &[u8], look: impl Fn(u64) -> u64) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (nth, word) in words.iter().enumerate() {
        let found = look(u64::from_le_bytes(*word)) & FOUND;
        if found != 0 {
            return 8 * nth + found.trailing_zeros() as usize / 8;
        }
    }
    let in_rest = rest
        .iter()
        .position(|byte| look(u64::from(*byte)) & (FOUND & 0xFF) != 0);
    8 * words.len() + in_rest.unwrap_or(rest.len())
}

/// Where `wanted` is first, or how many bytes there are.
#[inline]
pub(crate) fn find(bytes: &[u8], wanted: u8) -> usize {
    first(bytes, |word| {
        let differs = word ^ (EACH * u64::from(wanted));
        differs.wrapping_sub(EACH) & !differs
    })
}

/// How many bytes are neither control characters nor beyond ASCII, until one is.
#[inline]
pub(crate) fn text_len(bytes: &[u8]) -> usize {
    const SPACE: u64 = EACH * 0x20;
    first(bytes, |word| {
        word.wrapping_sub(SPACE) | word.wrapping_add(EACH) | word
    })
}

/// False for what has no control character in it.
pub(crate) fn may_have_control(bytes: &[u8]) -> bool {
    first(bytes, |word| {
        let is_delete = word ^ (EACH * 0x7F);
        let low = word.wrapping_sub(EACH * 0x20) & !word;
        low | is_delete.wrapping_sub(EACH) & !is_delete
    }) < bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place, among some of each kind.
    #[test]
    fn each_look_finds_what_a_look_at_each_byte_finds() {
        for around in [b'a', b' ', b'~', 0, 0x1F, 0x7F, 0x80, 0xFF] {
            for len in 1..20 {
                for at in 0..len {
                    for byte in 0..=255_u8 {
                        let mut text = alloc::vec![around; len];
                        text[at] = byte;
                        let first = |is: &dyn Fn(u8) -> bool| {
                            text.iter().position(|byte| is(*byte)).unwrap_or(len)
                        };
                        assert_eq!(find(&text, byte), first(&|other| other == byte));
                        assert_eq!(find(&text, b' '), first(&|other| other == b' '));
                        let is_text = |byte: u8| (0x20..0x7F).contains(&byte);
                        assert_eq!(text_len(&text), first(&|byte| !is_text(byte)));
                        let has_control = text.iter().any(u8::is_ascii_control);
                        assert_eq!(may_have_control(&text), has_control);
                    }
                }
            }
        }
    }
}
