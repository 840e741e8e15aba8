//! What it takes to open a store of so many keys of 16 bytes with values of 100.

use crate::storing::{disk, filled, opening, settle};
use store::State;

/// After an orderly end.
pub(crate) fn closed(size: usize, times: usize) {
    let disk = disk();
    let mut store = filled(&disk, size);
    store.close();
    settle(&mut store);
    for _ in 0..times {
        let mut store = opening(&disk);
        settle(&mut store);
        assert_eq!(*store.state(), State::Ready, "nothing is wrong with it");
        store.close();
        settle(&mut store);
    }
}

/// After its guest was killed.
pub(crate) fn killed(size: usize, times: usize) {
    let disk = disk();
    drop(filled(&disk, size));
    for _ in 0..times {
        let mut store = opening(&disk);
        settle(&mut store);
        assert_eq!(*store.state(), State::Ready, "nothing is wrong with it");
    }
}
