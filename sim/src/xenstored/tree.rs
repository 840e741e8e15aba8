//! The nodes that all see.
//!
//! Source: `tools/xenstore/xenstored_core.c`, Xen 4.17.

use super::path;
use super::permission::Permissions;
use std::collections::BTreeMap;

/// `sizeof(struct xs_tdb_record_hdr)`: what a node's quota pays beside its contents.
const RECORD_HEADER_BYTES: usize = 24;
/// `sizeof(struct xs_permissions)`.
const RECORD_PERMISSION_BYTES: usize = 8;

/// A value, who may see it, and what is below.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Vec<u8>,
    pub(super) permissions: Permissions,
    /// Names, in the order of their making, as the daemon lists them.
    pub(super) children: Vec<String>,
    /// New with every change of the node itself.
    pub(super) generation: u64,
}

impl Node {
    /// Empty.
    pub(super) fn new(permissions: Permissions) -> Node {
        Node {
            value: Vec::new(),
            permissions,
            children: Vec::new(),
            generation: 0,
        }
    }

    /// The bytes that a node's quota counts.
    pub(super) fn record_bytes(&self) -> usize {
        RECORD_HEADER_BYTES
            + RECORD_PERMISSION_BYTES * self.permissions.count()
            + self.value.len()
            + self.children_bytes().len()
    }

    /// The children's names with a NUL after each.
    pub(super) fn children_bytes(&self) -> Vec<u8> {
        let names = self.children.iter();
        names.flat_map(|name| name.bytes().chain([0])).collect()
    }
}

/// The nodes by their path.
///
/// # Invariants
/// The root is there; each other node is a child of its parent, and each child a node.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    owned: BTreeMap<u16, usize>,
    generation: u64,
    version: u64,
}

impl Tree {
    /// What the daemon begins with.
    pub(super) fn new() -> Tree {
        let mut tree = Tree {
            nodes: BTreeMap::new(),
            owned: BTreeMap::new(),
            generation: 0,
            version: 0,
        };
        for (path, children) in [
            ("/", vec!["tool".into()]),
            ("/tool", vec!["xenstored".into()]),
            ("/tool/xenstored", vec![]),
        ] {
            let mut node = Node::new(Permissions::of_root());
            node.children = children;
            tree.set(path, Some(node));
        }
        tree
    }

    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Puts a node or takes it away; the caller does the same with its parent's children.
    pub(super) fn set(&mut self, path: &str, node: Option<Node>) {
        self.version += 1;
        let generation = self.next_generation();
        let after = node.as_ref().map(|node| node.permissions.owner);
        let before = match node {
            Some(node) => {
                let node = Node { generation, ..node };
                self.nodes.insert(path.into(), node)
            }
            None => self.nodes.remove(path),
        };
        if let Some(before) = before {
            let count = self.owned.entry(before.permissions.owner).or_default();
            *count -= 1;
        }
        if let Some(after) = after {
            *self.owned.entry(after).or_default() += 1;
        }
    }

    /// Nodes that a domain owns.
    pub(super) fn owned_by(&self, domid: u16) -> usize {
        self.owned.get(&domid).copied().unwrap_or_default()
    }

    /// Grows with every change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// A number that no node had.
    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// The permissions of the node above.
    pub(super) fn parent_permissions(&self, path: &str) -> Option<&Permissions> {
        self.get(path::parent(path)).map(|node| &node.permissions)
    }
}
