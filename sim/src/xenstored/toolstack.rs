//! Domain 0's side: what `xl` and the backends do with the tree, as calls.
//!
//! It has all rights and no quotas, and fires watches like everybody.

use super::Xenstored;
use super::permission::{Access, Permissions};
use super::view::View;
use super::wire::RequestError;

impl Xenstored {
    /// Writes a node, making it and its parents.
    ///
    /// # Panics
    /// If the path is none, which is the test's mistake.
    pub fn write(&mut self, path: &str, value: &[u8]) {
        let written = self.as_domain_0(|view| view.write(path, value));
        assert_eq!(
            written,
            Ok(()),
            "{path}: a path is absolute and well formed"
        );
    }

    /// A node's value.
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        self.tree.get(path).map(|node| &*node.value)
    }

    /// A node's value as text; none if it is not UTF-8.
    pub fn read_text(&self, path: &str) -> Option<String> {
        String::from_utf8(self.read(path)?.into()).ok()
    }

    /// Removes a node and all below it, if it is there. The root stays.
    pub fn remove(&mut self, path: &str) {
        if self.tree.get(path).is_some() && path != "/" {
            let removed = self.as_domain_0(|view| view.remove(path));
            assert_eq!(removed, Ok(()), "domain 0 may remove what is there");
        }
    }

    /// The names of a node's children, in the order of their making.
    pub fn list(&self, path: &str) -> Vec<String> {
        let node = self.tree.get(path);
        node.map(|node| node.children.clone()).unwrap_or_default()
    }

    /// Gives a domain access to a node that is there, or takes it.
    pub fn allow(&mut self, path: &str, domid: u16, access: Access) {
        self.change_permissions(path, |permissions| permissions.allow(domid, access));
    }

    /// Gives a node that is there to a domain: it may do everything with it, and what it
    /// or domain 0 makes below is its own.
    pub fn set_owner(&mut self, path: &str, domid: u16) {
        self.change_permissions(path, |permissions| permissions.owner = domid);
    }

    /// Grows with every change of the tree.
    pub fn version(&self) -> u64 {
        self.tree.version()
    }

    /// A guest may have removed the node in between: then there is nothing to change.
    fn change_permissions(&mut self, path: &str, change: impl FnOnce(&mut Permissions)) {
        if let Some(node) = self.tree.get(path) {
            let mut permissions = node.permissions.clone();
            change(&mut permissions);
            let set = self.as_domain_0(|view| view.set_permissions(path, permissions));
            assert_eq!(set, Ok(()), "domain 0 owns what is there");
        }
    }

    fn as_domain_0(
        &mut self,
        operation: impl FnOnce(&mut View<'_>) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        let mut view = View {
            tree: &mut self.tree,
            transaction: None,
            quotas: &self.quotas,
            domid: 0,
            changes: Vec::new(),
        };
        let result = operation(&mut view);
        let changes = view.changes;
        self.fire(&changes);
        result
    }
}
