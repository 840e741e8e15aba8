//! The tree as one request sees it: through a transaction or not, with or without rights.
//!
//! Source: `tools/xenstore/xenstored_core.c`, Xen 4.17.

use super::Quotas;
use super::path;
use super::permission::{Permissions, Right};
use super::transaction::Transaction;
use super::tree::{Node, Tree};
use super::watch::{Change, Scope};
use super::wire::RequestError;

/// What a request works on.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) transaction: Option<&'a mut Transaction>,
    pub(super) quotas: &'a Quotas,
    /// Who asks; domain 0 has all rights and no quotas.
    pub(super) domid: u16,
    /// What watches fire for.
    pub(super) changes: Vec<Change>,
}

impl View<'_> {
    /// The node, if its asker may do that with it.
    pub(super) fn authorize(&mut self, path: &str, right: Right) -> Result<Node, RequestError> {
        self.find(path, right)?.ok_or(RequestError::Missing)
    }

    /// Writes a value, making what is missing.
    pub(super) fn write(&mut self, path: &str, value: &[u8]) -> Result<(), RequestError> {
        let Some(mut node) = self.find(path, Right::Write)? else {
            return self.create(path, value);
        };
        node.value = value.into();
        self.check_size(&node)?;
        self.announce(path, Scope::Above, [Some(&node.permissions), None]);
        self.set(path, Some(node));
        Ok(())
    }

    /// Makes a node, if it is not there.
    pub(super) fn make(&mut self, path: &str) -> Result<(), RequestError> {
        match self.find(path, Right::Write)? {
            Some(_) => Ok(()),
            None => self.create(path, b""),
        }
    }

    /// Removes a node and all below it. It is fine if only the node itself is missing.
    pub(super) fn remove(&mut self, path: &str) -> Result<(), RequestError> {
        let found = self.find(path, Right::Write)?;
        let parent_path = path::parent(path);
        let parent = self.look(parent_path)?;
        if found.is_none() {
            return parent.map(drop).ok_or(RequestError::Missing);
        }
        if path == "/" {
            return Err(RequestError::Invalid);
        }
        let mut parent = parent.ok_or(RequestError::Invalid)?;
        for (below, node) in self.subtree(path)?.into_iter().rev() {
            let scope = if below == path {
                Scope::Above
            } else {
                Scope::Exact
            };
            self.announce(&below, scope, [Some(&node.permissions), None]);
            self.set(&below, None);
        }
        parent.children.retain(|name| name != path::leaf(path));
        self.set(parent_path, Some(parent));
        Ok(())
    }

    /// Replaces the permissions of a node.
    pub(super) fn set_permissions(
        &mut self,
        path: &str,
        permissions: Permissions,
    ) -> Result<(), RequestError> {
        let limited = self.domid != 0;
        if limited && permissions.count() > self.quotas.permissions_per_node {
            return Err(RequestError::NoSpace);
        }
        let mut node = self.authorize(path, Right::Own)?;
        if limited && permissions.owner != node.permissions.owner {
            return Err(RequestError::NotOwner);
        }
        let before = std::mem::replace(&mut node.permissions, permissions);
        self.check_size(&node)?;
        self.announce(path, Scope::Above, [Some(&before), Some(&node.permissions)]);
        self.set(path, Some(node));
        Ok(())
    }

    /// Who may not see a node's surroundings does not learn whether it exists.
    fn find(&mut self, path: &str, right: Right) -> Result<Option<Node>, RequestError> {
        if !path::is_valid(path, self.quotas) {
            return Err(RequestError::Invalid);
        }
        let found = self.look(path)?;
        if let Some(node) = &found
            && node.permissions.grants(self.domid, right)
        {
            return Ok(found);
        }
        let right_above = match right {
            Right::Read => Right::Read,
            Right::Write | Right::Own => Right::Write,
        };
        let above = self.nearest_above(path)?;
        if found.is_some() || !above.permissions.grants(self.domid, right_above) {
            return Err(RequestError::Denied);
        }
        Ok(None)
    }

    fn nearest_above(&mut self, path: &str) -> Result<Node, RequestError> {
        let mut above = path::parent(path);
        loop {
            if let Some(node) = self.look(above)? {
                return Ok(node);
            }
            assert!(above != "/", "nothing removes the root");
            above = path::parent(above);
        }
    }

    fn look(&mut self, path: &str) -> Result<Option<Node>, RequestError> {
        let nodes_max = match self.domid {
            0 => usize::MAX,
            _ => self.quotas.nodes_per_transaction,
        };
        match &mut self.transaction {
            Some(transaction) => transaction.look(self.tree, path, nodes_max),
            None => Ok(self.tree.get(path).cloned()),
        }
    }

    fn set(&mut self, path: &str, mut node: Option<Node>) {
        match &mut self.transaction {
            Some(transaction) => {
                if let Some(node) = &mut node {
                    node.generation = self.tree.next_generation();
                }
                transaction.set(path, node);
            }
            None => self.tree.set(path, node),
        }
    }

    fn announce(&mut self, path: &str, scope: Scope, permissions: [Option<&Permissions>; 2]) {
        match &mut self.transaction {
            Some(transaction) => {
                if let Some(before) = permissions[0] {
                    transaction.announce(path, scope, before.clone());
                }
            }
            None => {
                let permissions = permissions.map(Option::<&Permissions>::cloned);
                self.changes
                    .push(Change::now(self.tree, path, scope, permissions));
            }
        }
    }

    /// Makes a node that is missing, and what is missing above it.
    fn create(&mut self, path: &str, value: &[u8]) -> Result<(), RequestError> {
        let mut missing = vec![path];
        let mut above = path::parent(path);
        let mut parent = loop {
            if let Some(node) = self.look(above)? {
                break node;
            }
            missing.push(above);
            above = path::parent(above);
        };
        self.check_count(missing.len())?;
        let mut permissions = parent.permissions.clone();
        if self.domid != 0 {
            permissions.owner = self.domid;
        }
        let mut made = Vec::new();
        while let Some(next) = missing.pop() {
            let name = path::leaf(next);
            parent.children.push(name.into());
            made.push((above, parent));
            (above, parent) = (next, Node::new(permissions.clone()));
        }
        parent.value = value.into();
        made.push((above, parent));
        for (_, node) in &made {
            self.check_size(node)?;
        }
        for (path, node) in made {
            self.set(path, Some(node));
        }
        self.announce(path, Scope::Above, [Some(&permissions), None]);
        Ok(())
    }

    /// A node and all below it, each before what is below it, the last child first.
    fn subtree(&mut self, path: &str) -> Result<Vec<(String, Node)>, RequestError> {
        let mut pending = vec![path.to_owned()];
        let mut nodes = Vec::new();
        while let Some(path) = pending.pop() {
            let Some(node) = self.look(&path)? else {
                continue;
            };
            let children = node.children.iter();
            pending.extend(children.map(|name| path::child(&path, name)));
            nodes.push((path, node));
        }
        Ok(nodes)
    }

    fn check_size(&self, node: &Node) -> Result<(), RequestError> {
        if self.domid != 0 && node.record_bytes() >= self.quotas.node_bytes {
            return Err(RequestError::NoSpace);
        }
        Ok(())
    }

    /// In a transaction the daemon counts what is new at its end.
    fn check_count(&self, new_count: usize) -> Result<(), RequestError> {
        let new_count = if self.transaction.is_some() {
            1
        } else {
            new_count
        };
        let count = self.tree.owned_by(self.domid) + new_count;
        if self.domid != 0 && count > self.quotas.nodes_per_domain {
            return Err(RequestError::NoSpace);
        }
        Ok(())
    }
}
