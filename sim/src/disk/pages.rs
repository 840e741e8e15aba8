//! Bytes that are mostly zero.

use std::collections::BTreeMap;

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

/// An endless run of bytes; only pages that were written take memory.
#[derive(Clone, Default)]
pub(super) struct Pages(BTreeMap<u64, Box<[u8; PAGE]>>);

impl Pages {
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) {
        into.fill(0);
        let end = offset + into.len() as u64;
        let touched = offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES);
        for (number, page) in self.0.range(touched) {
            let start = number * PAGE_BYTES;
            let (from, to) = (start.max(offset), (start + PAGE_BYTES).min(end));
            into[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&page[(from - start) as usize..(to - start) as usize]);
        }
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let within = (at % PAGE_BYTES) as usize;
            let (piece, after) = rest.split_at(rest.len().min(PAGE - within));
            self.write_piece(at / PAGE_BYTES, within, piece);
            at += piece.len() as u64;
            rest = after;
        }
    }

    /// Makes zeros of all from `len_bytes` on.
    pub(super) fn truncate(&mut self, len_bytes: u64) {
        self.0.split_off(&len_bytes.div_ceil(PAGE_BYTES));
        if let Some(page) = self.0.get_mut(&(len_bytes / PAGE_BYTES)) {
            page[(len_bytes % PAGE_BYTES) as usize..].fill(0);
        }
    }

    fn write_piece(&mut self, number: u64, within: usize, piece: &[u8]) {
        let zero = piece.iter().all(|byte| *byte == 0);
        if zero && !self.0.contains_key(&number) {
            return;
        }
        let page = self.0.entry(number).or_insert_with(|| Box::new([0; PAGE]));
        page[within..within + piece.len()].copy_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_across_pages() {
        let check = |offset: u64, len: usize, pages_expected: usize| {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8 | 1).collect();
            let mut pages = Pages::default();
            pages.write(offset, &bytes);
            let mut around = vec![9; len + 1024];
            pages.read(offset - 512, &mut around);
            assert_eq!(around[..512], [0; 512]);
            assert_eq!(around[512..512 + len], bytes);
            assert_eq!(around[512 + len..], [0; 512]);
            assert_eq!(pages.0.len(), pages_expected);
        };
        check(512, 512, 1);
        check(4096, 4096, 1);
        check(3584, 1024, 2);
        check(3584, 8192, 3);
        check(1 << 40, 4096, 1);
    }

    #[test]
    fn zeros_take_no_memory() {
        let mut pages = Pages::default();
        pages.write(0, &[0; 1 << 20]);
        assert!(pages.0.is_empty());
    }

    #[test]
    fn what_was_cut_off_comes_back_as_zeros() {
        for len in [0, 512, 3584, 4096, 4608] {
            let mut pages = Pages::default();
            pages.write(0, &[7; 8192]);
            pages.truncate(len as u64);
            let mut all = [9; 8192];
            pages.read(0, &mut all);
            assert!(all[..len].iter().all(|byte| *byte == 7));
            assert!(all[len..].iter().all(|byte| *byte == 0));
        }
    }
}
