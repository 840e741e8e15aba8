//! Two openings one after the other are undone while they begin a segment.
//!
//! The first leaves the beginning of its group there and not the segment's header, the second
//! its header and all of its group but the beginning. Both log the same records again at the
//! same place, so only the generation keeps what they left from becoming one whole group.

use crate::explore::{self, Explorer, NOTHING};
use crate::image::Image;
use crate::look::Look;
use crate::model::State;
use crate::pages::Supply;
use crate::rig::Rig;
use crate::shape::{DISK_BYTES, Shape};
use crate::worker::{self, Worker};
use sim::disk::{Disk, Event, SECTOR};
use sim::random::Random;
use store::Store;

/// Batches after which the log is looked at, one after the other: some end where the next group
/// needs another segment.
const BATCHES: usize = 40;

/// What a crash keeps of a group that begins a segment.
#[derive(Clone, Copy)]
enum Keep {
    /// Its first sector, and the footer of the segment before.
    Beginning,
    /// All but its first sector, and the header of the segment.
    Rest,
}

fn apply(image: &mut [u8], offset: u64, bytes: &[u8]) {
    let at = offset as usize;
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// What is left when an opening is undone at its first group; `None` if that begins no segment.
fn undone(mut image: Vec<u8>, seed: u64, keep: Keep) -> Option<Vec<u8>> {
    let look = Look::at(&Image::new(image.clone()), &Shape::SEGMENTS);
    let options = worker::options(seed, &Supply::new());
    let mut store = Store::opening(Box::new(look.clone()), options);
    explore::drive(&mut store);
    let events = look.take_log();
    let mut flushed = events.split(|event| *event == Event::Flush);
    let writes = [flushed.next()?, flushed.next()?].map(|part| {
        let write = |event: &Event| match event {
            Event::Write { offset, bytes } => Some((*offset, bytes.clone())),
            Event::Flush => None,
        };
        part.iter().filter_map(write).collect::<Vec<_>>()
    });
    let [superblock, first_group] = writes;
    for (offset, bytes) in &superblock {
        apply(&mut image, *offset, bytes);
    }
    // A summary may go before them.
    let [.., footer, header, group] = &first_group[..] else {
        return None;
    };
    match keep {
        Keep::Beginning => {
            apply(&mut image, footer.0, &footer.1);
            apply(&mut image, group.0, &group.1[..SECTOR]);
        }
        Keep::Rest => {
            apply(&mut image, header.0, &header.1);
            apply(&mut image, group.0 + SECTOR as u64, &group.1[SECTOR..]);
        }
    }
    Some(image)
}

#[test]
fn what_two_undone_openings_left_is_no_group() {
    let mut random = Random::new(7);
    let shape = Shape::SEGMENTS;
    let rig = Rig::new(Disk::new(DISK_BYTES, random.fork()), &shape, random.fork());
    let mut worker = Worker::new(shape, rig.clone(), vec![State::default()], 7);
    worker.prepare();
    let mut looked_at = 0;
    for _ in 0..BATCHES {
        worker.submit_bulk("more", &[1_700], 3);
        worker.settle();
        let image = rig.disk(|disk| disk.image());
        let once = undone(image, 100, Keep::Beginning);
        let Some(twice) = once.and_then(|image| undone(image, 101, Keep::Rest)) else {
            continue;
        };
        let mut explorer = Explorer::new(shape, NOTHING, 102);
        explorer.find(twice, &[], &worker.states, worker.window());
        looked_at += 1;
    }
    println!("{looked_at} logs that end where a segment does");
    assert!(looked_at > 0);
}
