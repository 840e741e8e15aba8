//! Requests by chance: nothing panics, and the tree stays a tree.

use super::super::path;
use super::*;
use crate::random::Random;
use std::collections::BTreeMap;

const NAMES: [&str; 9] = ["a", "a/b", "a/b/c", "d", "/", "", "/open/x", "/open", "@a"];

/// Everything that can be reached from the root, counted for its owners.
fn check_tree(daemon: &Xenstored) {
    let mut owned = BTreeMap::<u16, usize>::new();
    let mut pending = vec!["/".to_owned()];
    while let Some(path) = pending.pop() {
        let node = daemon.tree.get(&path).expect("a child is a node");
        *owned.entry(node.permissions.owner).or_default() += 1;
        pending.extend(node.children.iter().map(|name| path::child(&path, name)));
    }
    for domid in [0, 7, 8] {
        let count = owned.get(&domid).copied().unwrap_or_default();
        assert_eq!(daemon.node_count(domid), count);
    }
}

fn payload(random: &mut Random) -> Vec<u8> {
    let name = NAMES[random.below(NAMES.len() as u64) as usize];
    let rest: &[u8] = match random.below(6) {
        0 => b"",
        1 => b"n7\0b8\0",
        2 => b"n8\0",
        3 => b"value",
        _ => b"1\0",
    };
    match random.below(8) {
        0 => b"T\0".into(),
        1 => b"F\0".into(),
        2 => (0..random.below(9)).map(|_| random.word() as u8).collect(),
        _ => [name.as_bytes(), b"\0", rest].concat(),
    }
}

#[test]
fn the_tree_stays_whole_whatever_is_asked() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut bed = Bed::new();
        bed.daemon.write("/open", b"");
        bed.daemon.allow("/open", 7, Access::Both);
        bed.daemon.allow("/open", 8, Access::Both);
        let clients = [bed.guest, bed.daemon.connect(8), bed.daemon.connect(0)];
        for _ in 0..300 {
            let client = clients[random.below(3) as usize];
            let (kind, tx_id) = (random.below(24) as u32, random.below(4) as u32);
            let kind = if random.chance(1, 3) { XS_WRITE } else { kind };
            let bytes = request(kind, tx_id, &payload(&mut random));
            bed.daemon.receive(client, &bytes);
            messages(&bed.daemon.send(client, usize::MAX));
        }
        check_tree(&bed.daemon);
        for client in clients {
            assert!(!bed.daemon.is_dead(client));
        }
    }
}
