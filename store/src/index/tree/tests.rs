//! Against a model that is slow and obvious.

use super::super::version::Form;
use super::*;
use crate::tests::bed::Random;
use alloc::collections::BTreeMap;
use core::cmp::Reverse;

type Model = BTreeMap<(Vec<u8>, Reverse<u64>), Version>;

fn version(seq: u64, dead: u32) -> Version {
    Version {
        pos: seq * 512,
        seq,
        modified_ms: seq,
        expires_ms: 0,
        value_len: 3,
        checksum: 4,
        metadata_len: 5,
        form: Form::Whole,
        upload_len: 0,
        dead,
    }
}

/// What keys there are.
#[derive(Clone, Copy, PartialEq)]
enum Keys {
    /// All of one length.
    Equal,
    /// Up to a kibibyte.
    Long,
    /// Of none to nine bytes, of which most are zero: many begin like others.
    Short,
}

fn key_of(number: u64, keys: Keys) -> Vec<u8> {
    let len = match keys {
        Keys::Equal => 16,
        Keys::Long => 1 + number as usize * 37 % 1024,
        Keys::Short => {
            let mut key = alloc::vec![0; 1 + (number % 9) as usize];
            let at = number as usize / 9 % key.len();
            key[at] = (number / 81) as u8 & 3;
            return key;
        }
    };
    let mut key = alloc::vec![b'k'; len.max(3)];
    key[..3].copy_from_slice(&number.to_be_bytes()[5..]);
    key
}

/// All entries forward, backward, and the sum of what leaves and branches take.
fn check(tree: &Tree, model: &Model) {
    let mut place = tree.seek(&[], u64::MAX);
    for ((key, seq), version) in model {
        let (found, entry) = tree.get(place).expect("as many as in the model");
        assert_eq!((found, entry.seq, entry), (key.as_slice(), seq.0, *version));
        place = tree.next(place);
    }
    assert_eq!(tree.get(place), None);
    for (key, _) in model.iter().rev() {
        place = tree.before(place).expect("as many as in the model");
        assert_eq!(
            tree.get(place).map(|(found, _)| found),
            Some(key.0.as_slice())
        );
    }
    assert_eq!(tree.before(place), None);
    assert_eq!(tree.len(), model.len());
    let leaves = tree.branches.iter().flat_map(|branch| &branch.0);
    let taken: usize = leaves.map(Leaf::ram_bytes).sum();
    assert_eq!(tree.ram_bytes(), taken + tree.branches.len() * BRANCH_BYTES);
    assert!(tree.branches.iter().all(|branch| !branch.0.is_empty()));
    for leaf in tree.branches.iter().flat_map(|branch| &branch.0) {
        assert!(leaf.first_is_right());
    }
}

fn run(seed: u64, keys: u64, steps: u64, kind: Keys) {
    let mut random = Random(seed);
    let (mut tree, mut model) = (Tree::default(), Model::new());
    for step in 0..steps {
        let key = key_of(random.below(keys), kind);
        // It grows, then it shrinks.
        let grows = random.below(10) < if step * 2 < steps { 8 } else { 2 };
        let wanted = random.below(step + 1);
        let place = tree.seek(&key, wanted);
        let expected = model.range((key.clone(), Reverse(wanted))..).next();
        let found = tree
            .get(place)
            .map(|(key, version)| (key.to_vec(), version.seq));
        assert_eq!(found, expected.map(|((key, seq), _)| (key.clone(), seq.0)));
        if grows {
            let version = version(step + 1, 0);
            tree.insert(&key, &version);
            model.insert((key, Reverse(step + 1)), version);
        } else if let Some((name, version)) = expected {
            let (name, mut version) = (name.clone(), *version);
            if random.below(3) == 0 {
                version.dead = random.below(3) as u32;
                tree.replace(place, &version);
                model.insert(name, version);
            } else {
                tree.remove(place);
                model.remove(&name);
            }
        }
        if step % 1024 == 0 {
            check(&tree, &model);
        }
    }
    check(&tree, &model);
    for (key, seq) in model.keys() {
        tree.remove(tree.seek(key, seq.0));
    }
    assert_eq!((tree.len(), tree.ram_bytes()), (0, 0));
}

#[test]
fn it_is_what_an_ordered_map_is() {
    run(1, 400, 20_000, Keys::Equal);
    run(2, 100_000, 60_000, Keys::Equal);
    run(3, 3, 3_000, Keys::Equal);
    run(4, 3_000, 12_000, Keys::Long);
    run(5, 2_000, 20_000, Keys::Short);
}

#[test]
fn keys_in_order_fill_their_leaves() {
    let mut tree = Tree::default();
    for number in 0..100_000u64 {
        tree.insert(&key_of(number, Keys::Equal), &version(number + 1, 0));
    }
    assert!(
        tree.ram_bytes() / tree.len() < 52,
        "{}",
        tree.ram_bytes() / tree.len()
    );
}

#[test]
fn keys_in_any_order_take_little_more() {
    let mut random = Random(7);
    let mut tree = Tree::default();
    for number in 0..200_000u64 {
        let mut key = random.below(1 << 31).to_be_bytes().to_vec();
        key.extend(number.to_be_bytes());
        tree.insert(&key, &version(number + 1, 0));
    }
    let each = tree.ram_bytes() / tree.len();
    assert!(each < 60, "{each} bytes");
}
