//! The offline look at a disk that lies in the bed.

use crate::bed::Bed;
use base64ct::{Base64, Encoding};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;
use store::MemoryDisk;
use store::blob::HeapPages;
use store::check::{Check, Item, Verdict};

/// The disk as it lies in the bed.
///
/// # Panics
/// When it does not come as it is.
pub fn fetched(bed: &Bed, path: &str) -> MemoryDisk {
    let text = bed.run(&format!("base64 {path}")).replace('\n', "");
    let bytes = Base64::decode_vec(&text).expect("base64");
    let disk = MemoryDisk::new(bytes.len() as u64);
    disk.poke(0, &bytes);
    disk
}

/// Looks at it as `cargo xtask disk check` does.
///
/// # Panics
/// When there is a finding, or when it was not closed.
pub fn assert_in_order(disk: MemoryDisk) {
    let found = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&found);
    let see = move |item: &Item<'_>| {
        if let Item::Finding(finding) = item {
            seen.borrow_mut().push(finding.to_string());
        }
    };
    let mut check = Check::new(Box::new(disk), Box::new(HeapPages), Box::new(see));
    let verdict = loop {
        if let Poll::Ready(verdict) = check.step() {
            break verdict;
        }
    };
    match verdict {
        Verdict::Looked(report) => {
            assert_eq!(report.findings, 0, "{:?}", found.borrow());
            assert!(report.closed && report.groups > 0, "{report:?}");
        }
        Verdict::Unlooked(sentence) => panic!("{sentence}"),
    }
}
