//! Pages: taken, shared, copied, and ours again.

use super::machine::attached;
use crate::page::PAGE_BYTES;
use core::sync::atomic::Ordering;

#[test]
fn a_page_comes_back_blank_and_the_pool_whole() {
    let (_, attachment) = attached(2);
    let pool = attachment.pool;
    let mut first = pool.take().expect("a page");
    first.fill(7);
    let second = pool.take().expect("another");
    assert!(pool.take().is_none() && first.gfn() != second.gfn());
    drop((first, second));
    assert_eq!((pool.free(), pool.total(), pool.lost()), (2, 2, 0));
    assert!(
        pool.take()
            .is_some_and(|page| page.iter().all(|byte| *byte == 0))
    );
}

#[test]
fn copies_meet_every_alignment_and_the_end_of_the_page() {
    let (_, attachment) = attached(1);
    let shared = attachment.pool.take().expect("a page").share();
    let bytes: [u8; 21] = core::array::from_fn(|index| index as u8 + 1);
    for offset in [0, 1, 7, 8, 13, PAGE_BYTES - 21] {
        for len in [0, 1, 8, 9, 21] {
            shared.copy_in(offset, &bytes[..len]);
            let mut copied = [0; 21];
            shared.copy_out(offset, &mut copied[..len]);
            assert_eq!(copied[..len], bytes[..len], "{len} at {offset}");
        }
    }
    shared.store_u64(16, u64::MAX, Ordering::Relaxed);
    shared.store_u16(18, 0, Ordering::Relaxed);
    assert_eq!(shared.load_u32(16, Ordering::Relaxed), 0x0000_ffff);
    assert_eq!(shared.load_u8(20, Ordering::Relaxed), 0xff);
    drop(shared.unshare());
    assert_eq!(attachment.pool.free(), 1);
}

#[test]
fn a_shared_page_that_is_dropped_is_lost_and_counted() {
    let (_, attachment) = attached(1);
    drop(attachment.pool.take().expect("a page").share());
    assert_eq!((attachment.pool.free(), attachment.pool.lost()), (0, 1));
}

#[test]
#[should_panic(expected = "outside of the page")]
fn an_access_over_the_end_is_refused() {
    let (_, attachment) = attached(1);
    let shared = attachment.pool.take().expect("a page").share();
    shared.copy_in(PAGE_BYTES - 1, &[0; 2]);
}
