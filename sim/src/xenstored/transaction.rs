//! Transactions: copies of what was touched, and whether they may replace the tree's.
//!
//! A node is copied when it is first touched, not when the transaction starts,
//! and each write reads first. So a conflict is any touched node whose
//! generation is another one at the end.
//!
//! Source: `tools/xenstore/xenstored_transaction.c`, Xen 4.17.

use super::Quotas;
use super::permission::Permissions;
use super::tree::{Node, Tree};
use super::watch::{Change, Scope};
use super::wire::RequestError;
use std::collections::BTreeMap;

/// A node as the transaction sees it.
#[derive(Debug)]
struct Touched {
    /// Events come in the order in which nodes were first touched.
    order: usize,
    /// The tree's generation then; none for a node that was missing.
    generation_seen: Option<u64>,
    node: Option<Node>,
    modified: bool,
    event: Option<Scope>,
    /// Who loses the sight of a node hears of it, too.
    permissions_before: Option<Permissions>,
}

/// Writes that nobody else sees yet.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    touched: BTreeMap<String, Touched>,
    /// Change of the number of nodes that each domain owns.
    owned_delta: BTreeMap<u16, isize>,
    /// It touched too much, and can only fail.
    failed: bool,
}

impl Transaction {
    /// The node as the transaction sees it.
    pub(super) fn look(
        &mut self,
        tree: &Tree,
        path: &str,
        nodes_max: usize,
    ) -> Result<Option<Node>, RequestError> {
        if let Some(touched) = self.touched.get(path) {
            return Ok(touched.node.clone());
        }
        let order = self.touched.len();
        if order >= nodes_max {
            self.failed = true;
            return Err(RequestError::NoSpace);
        }
        let node = tree.get(path).cloned();
        let touched = Touched {
            order,
            generation_seen: node.as_ref().map(|node| node.generation),
            node: node.clone(),
            modified: false,
            event: None,
            permissions_before: None,
        };
        self.touched.insert(path.into(), touched);
        Ok(node)
    }

    /// Changes a node that was looked at.
    pub(super) fn set(&mut self, path: &str, node: Option<Node>) {
        let touched = self.touched_mut(path);
        let after = node.as_ref().map(|node| node.permissions.owner);
        touched.modified = true;
        let before = std::mem::replace(&mut touched.node, node);
        if let Some(before) = before {
            let owner = before.permissions.owner;
            *self.owned_delta.entry(owner).or_default() -= 1;
        }
        if let Some(after) = after {
            *self.owned_delta.entry(after).or_default() += 1;
        }
    }

    /// The event that a commit fires.
    pub(super) fn announce(&mut self, path: &str, scope: Scope, before: Permissions) {
        let touched = self.touched_mut(path);
        touched.event = Some(scope);
        touched.permissions_before.get_or_insert(before);
    }

    fn touched_mut(&mut self, path: &str) -> &mut Touched {
        let touched = self.touched.get_mut(path);
        touched.expect("a node is looked at before it is changed")
    }

    /// Replaces the tree's nodes by its own, or changes nothing.
    pub(super) fn commit(
        self,
        tree: &mut Tree,
        quotas: &Quotas,
    ) -> Result<Vec<Change>, RequestError> {
        if self.failed {
            return Err(RequestError::NoMemory);
        }
        for (domid, delta) in self.owned_delta.iter().filter(|(domid, _)| **domid != 0) {
            // The daemon refuses at the limit here, and beyond it elsewhere.
            let count = tree.owned_by(*domid).saturating_add_signed(*delta);
            if count >= quotas.nodes_per_domain {
                return Err(RequestError::NoSpace);
            }
        }
        for (path, touched) in &self.touched {
            if touched.generation_seen != tree.get(path).map(|node| node.generation) {
                return Err(RequestError::Conflict);
            }
        }
        let mut touched: Vec<_> = self.touched.into_iter().collect();
        touched.sort_by_key(|(_, touched)| touched.order);
        let mut events = Vec::new();
        for (path, touched) in touched {
            if touched.modified {
                tree.set(&path, touched.node);
            }
            if let Some(scope) = touched.event {
                events.push((path, scope, touched.permissions_before));
            }
        }
        let seen = |(path, scope, before)| Change::committed(tree, path, scope, before);
        Ok(events.into_iter().map(seen).collect())
    }
}
