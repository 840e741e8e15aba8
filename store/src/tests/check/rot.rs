//! Random damage of every kind: what a look calls good, a store shows right.

use super::*;
use crate::tests::crash::{DISK, drive, effort, open_on};
use crate::tests::rot::{Specimen, mutate, shown, specimen};
use crate::tests::sim_disk::{Image, SimDisk};
use alloc::collections::BTreeMap;

fn look_at(image: &Image, seed: u64) -> Result<Seen, String> {
    let disk = SimDisk::new(image.clone(), DISK, seed);
    let tick = disk.clone();
    look_with(disk, move || _ = tick.tick())
}

/// What the store does with the image, and whether all it shows is right.
fn opened_as(specimen: &Specimen, image: Image, seed: u64) -> (&'static str, bool) {
    let disk = SimDisk::new(image, DISK, seed);
    let mut store = open_on(&disk, seed as u8);
    drive(&mut store, &disk);
    match store.state() {
        State::Ready => match shown(&mut store, &disk, specimen) {
            Some(found) => ("right", specimen.states.contains(&found)),
            None => ("read error", false),
        },
        State::ReadOnly(_) => ("read-only", false),
        _ => ("refused", false),
    }
}

fn rot(close: bool, rounds: u64, mutations: u64) {
    let specimen = specimen(90 + u64::from(close), close, rounds);
    look_at(&specimen.image, 1)
        .expect("a store")
        .assert_clean("before");
    let sectors = specimen.image.written();
    let mut tally: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for seed in 0..mutations * effort() {
        let mut random = Random(seed);
        let mut image = specimen.image.clone();
        let what = mutate(&mut image, &sectors, &mut random);
        let said = match look_at(&image, seed) {
            Ok(seen) if seen.findings.is_empty() => "clean",
            Ok(_) => "findings",
            Err(_) => "not looked at",
        };
        let (opened, right) = opened_as(&specimen, image, seed);
        assert!(
            right || said != "clean",
            "seed {seed}: {what}: called clean, and a store is {opened}"
        );
        *tally.entry((said, opened)).or_default() += 1;
    }
    std::println!("closed {close}, {} sectors: {tally:?}", sectors.len());
    assert!(tally.contains_key(&("clean", "right")));
    assert!(tally.contains_key(&("findings", "read-only")));
}

#[test]
fn what_is_called_clean_of_a_closed_store_is_right() {
    rot(true, 40, 400);
}

#[test]
fn what_is_called_clean_of_a_crashed_store_is_right() {
    rot(false, 40, 400);
}

#[test]
fn what_is_called_clean_of_a_store_of_many_segments_is_right() {
    rot(true, 300, 80);
}
