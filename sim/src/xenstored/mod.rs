//! The xenstore daemon, without its shared pages: bytes in, bytes out.
//!
//! It behaves like the C daemon, its errors and oddities included, because the
//! guest meets that one. Whoever moves the bytes asks [`Xenstored::accepts_input`]
//! first, and leaves them in the ring otherwise.
//!
//! Left out: the memory quota, the timeout of unread events, domains that act
//! for others, permissions of the special watches, and the requests of domain 0
//! that only `xenstored`'s own tools send.
//!
//! Source: `docs/misc/xenstore.txt` and `tools/xenstore/`, Xen 4.17.

mod connection;
mod fault;
mod path;
mod permission;
mod request;
mod serve;
mod toolstack;
mod transaction;
mod tree;
mod view;
mod watch;
pub mod wire;

#[cfg(test)]
mod tests;

pub use fault::ReplyLie;
pub use permission::Access;

use connection::Connection;
use fault::Refusal;
use std::collections::BTreeMap;
use tree::Tree;
use watch::Change;

/// What a guest may use. Domain 0 is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Nodes that a domain owns. A transaction is refused when it would reach this
    /// number, a write when it would pass it.
    pub nodes_per_domain: usize,
    /// What a node may not reach: its value, 24 bytes, 8 for each permission, and its
    /// children's names with a NUL each.
    pub node_bytes: usize,
    /// Watches; the daemon lets one more pass.
    pub watches_per_domain: usize,
    /// Transactions at once; the daemon lets one more pass.
    pub transactions_per_domain: usize,
    /// Nodes that one transaction touches.
    pub nodes_per_transaction: usize,
    /// Entries of a node's permissions.
    pub permissions_per_node: usize,
    /// Replies that wait to be read, before the next request is looked at.
    pub requests_outstanding: usize,
    /// Length of an absolute path.
    pub path_bytes: usize,
    /// Length of a path without the domain's directory.
    pub relative_path_bytes: usize,
}

impl Default for Quotas {
    /// The C daemon's.
    fn default() -> Quotas {
        Quotas {
            nodes_per_domain: 1000,
            node_bytes: 2048,
            watches_per_domain: 128,
            transactions_per_domain: 10,
            nodes_per_transaction: 1024,
            permissions_per_node: 5,
            requests_outstanding: 20,
            path_bytes: 3072,
            relative_path_bytes: 2048,
        }
    }
}

/// One domain's connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Client(u32);

/// The daemon.
#[derive(Debug)]
pub struct Xenstored {
    quotas: Quotas,
    tree: Tree,
    connections: BTreeMap<Client, Connection>,
    next_client: u32,
    /// Commits that fail yet, by a test's order.
    conflicts_left: u32,
}

impl Xenstored {
    /// A daemon that knows no domain.
    pub fn new(quotas: Quotas) -> Self {
        Xenstored {
            quotas,
            tree: Tree::new(),
            connections: BTreeMap::new(),
            next_client: 0,
            conflicts_left: 0,
        }
    }

    /// A guest's connection; its relative paths are below `/local/domain/DOMID`.
    pub fn connect(&mut self, domid: u16) -> Client {
        let client = Client(self.next_client);
        self.next_client += 1;
        self.connections.insert(client, Connection::new(domid));
        self.fire(&[Change::special("@introduceDomain")]);
        client
    }

    /// Ends a connection with its watches and transactions. Its nodes stay.
    pub fn disconnect(&mut self, client: Client) {
        if self.connections.remove(&client).is_some() {
            self.fire(&[Change::special("@releaseDomain")]);
        }
    }

    /// Bytes from a client, in any fragmentation. What is no message ends the connection.
    pub fn receive(&mut self, client: Client, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.receive(bytes);
            self.serve(client);
        }
    }

    /// Whether the daemon would look at more requests now; a real one leaves them in the ring.
    pub fn accepts_input(&self, client: Client) -> bool {
        let connection = self.connections.get(&client);
        connection
            .is_some_and(|connection| !connection.is_dead && connection.has_room(&self.quotas))
    }

    /// Whether the connection ended.
    pub fn is_dead(&self, client: Client) -> bool {
        let connection = self.connections.get(&client);
        connection.is_none_or(|connection| connection.is_dead)
    }

    /// Up to `max_bytes` for the client: replies and events, in order.
    pub fn send(&mut self, client: Client, max_bytes: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(connection) = self.connections.get_mut(&client) {
            let more = connection.send(max_bytes - bytes.len());
            if more.is_empty() {
                break;
            }
            bytes.extend(more);
            // What was held back while too many replies waited.
            self.serve(client);
        }
        bytes
    }

    /// Whether something is ready for the client.
    pub fn has_output(&self, client: Client) -> bool {
        let connection = self.connections.get(&client);
        connection.is_some_and(Connection::has_output)
    }

    /// Watches of a client.
    pub fn watch_count(&self, client: Client) -> usize {
        let connection = self.connections.get(&client);
        connection.map_or(0, |connection| connection.watches.len())
    }

    /// Transactions that a client began and did not end.
    pub fn transaction_count(&self, client: Client) -> usize {
        let connection = self.connections.get(&client);
        connection.map_or(0, |connection| connection.transactions.len())
    }

    /// Nodes that a domain owns.
    pub fn node_count(&self, domid: u16) -> usize {
        self.tree.owned_by(domid)
    }

    /// The next so many commits answer EAGAIN.
    pub fn conflict_next(&mut self, commits: u32) {
        self.conflicts_left = commits;
    }

    /// The next request of this `XS_*` type answers this error and does nothing,
    /// except that a transaction ends by it.
    pub fn fail_next(&mut self, client: Client, kind: u32, error: &'static str) {
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.refuse_next(Refusal { kind, error });
        }
    }

    /// The next reply, events not counted, is wrong. Several orders are worked off in turn.
    pub fn corrupt_next_reply(&mut self, client: Client, how: ReplyLie) {
        self.corrupt_reply(client, 0, how);
    }

    /// As [`Xenstored::corrupt_next_reply`], after so many replies that are right.
    pub fn corrupt_reply(&mut self, client: Client, after: usize, how: ReplyLie) {
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.lie_after(after, how);
        }
    }

    /// Whether all lies that were ordered have been told.
    pub fn has_lied(&self, client: Client) -> bool {
        let connection = self.connections.get(&client);
        connection.is_none_or(Connection::has_lied)
    }

    /// Fires so many events for the client's first watch, read or not.
    pub fn flood_watch(&mut self, client: Client, count: usize) {
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.flood(count);
        }
    }

    /// The state machine asks only for the client whose request it answers.
    fn connection_mut(&mut self, client: Client) -> &mut Connection {
        let connection = self.connections.get_mut(&client);
        connection.expect("a client that is served is connected")
    }
}
