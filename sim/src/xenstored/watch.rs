//! Watches, and the changes that fire them.
//!
//! Source: `tools/xenstore/xenstored_watch.c`, Xen 4.17.

use super::path;
use super::permission::{Permissions, Right};
use super::tree::Tree;

/// Which watches a change fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those of the path and of all above it.
    Above,
    /// Those of the path alone: it went away with something above it.
    Exact,
}

/// A change that watches may fire for.
#[derive(Debug)]
pub(super) struct Change {
    path: String,
    scope: Scope,
    /// Who may read by any of these hears of it.
    sight: Vec<Permissions>,
}

impl Change {
    /// A change of the tree, while its node is still or already there.
    pub(super) fn now(
        tree: &Tree,
        path: &str,
        scope: Scope,
        permissions: [Option<Permissions>; 2],
    ) -> Change {
        let mut sight: Vec<_> = permissions.into_iter().flatten().collect();
        sight.extend(tree.parent_permissions(path).cloned());
        let path = path.into();
        Change { path, scope, sight }
    }

    /// A change by a transaction that is in the tree already.
    pub(super) fn committed(
        tree: &Tree,
        path: String,
        scope: Scope,
        before: Option<Permissions>,
    ) -> Change {
        let mut sight: Vec<_> = before.into_iter().collect();
        if let Some(node) = tree.get(&path) {
            sight.push(node.permissions.clone());
            sight.extend(tree.parent_permissions(&path).cloned());
        }
        Change { path, scope, sight }
    }

    /// `@introduceDomain` and `@releaseDomain`, which only domain 0 hears.
    pub(super) fn special(name: &str) -> Change {
        Change {
            path: name.into(),
            scope: Scope::Exact,
            sight: vec![Permissions::of_root()],
        }
    }

    /// Whether a domain may hear of it.
    pub(super) fn is_seen_by(&self, domid: u16) -> bool {
        let mut sight = self.sight.iter();
        sight.any(|permissions| permissions.grants(domid, Right::Read))
    }
}

/// What a client asked to be told of.
#[derive(Debug)]
pub(super) struct Watch {
    path: String,
    token: Vec<u8>,
    /// What events leave out: the client's directory, if its path was relative.
    base_bytes: usize,
}

impl Watch {
    /// A watch of what a client wrote, seen from its directory.
    pub(super) fn new(base: &str, written: &str, token: &[u8]) -> Watch {
        Watch {
            path: path::absolute(base, written),
            token: token.into(),
            base_bytes: if path::is_relative(written) {
                base.len() + 1
            } else {
                0
            },
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Two watches of a client differ in one of these.
    pub(super) fn is(&self, path: &str, token: &[u8]) -> bool {
        self.path == path && self.token == token
    }

    /// The payload of the event that a change is to this watch.
    pub(super) fn event(&self, change: &Change) -> Option<Vec<u8>> {
        let fires = match change.scope {
            Scope::Above => path::is_within(&change.path, &self.path),
            Scope::Exact => change.path == self.path,
        };
        fires.then(|| self.event_at(&change.path))
    }

    /// The event of its registration, and of a flood.
    pub(super) fn event_of_itself(&self) -> Vec<u8> {
        self.event_at(&self.path)
    }

    fn event_at(&self, path: &str) -> Vec<u8> {
        let path = &path.as_bytes()[self.base_bytes..];
        [path, b"\0", &self.token, b"\0"].concat()
    }
}
