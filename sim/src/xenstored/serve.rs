//! From a whole message to its reply and to the events it causes.
//!
//! Source: `process_message` and what it calls, `tools/xenstore/`, Xen 4.17.

use super::path;
use super::view::View;
use super::watch::{Change, Watch};
use super::wire::{
    self, OK, RequestError, XS_CONTROL, XS_DIRECTORY_PART, XS_GET_DOMAIN_PATH, XS_GET_PERMS,
    XS_INTRODUCE, XS_IS_DOMAIN_INTRODUCED, XS_MKDIR, XS_RELEASE, XS_RESET_WATCHES, XS_RESUME,
    XS_SET_PERMS, XS_SET_TARGET,
};
use super::{Client, Xenstored, request};
use xen_sys::io::xs_wire::{
    XENSTORE_PAYLOAD_MAX, XS_DIRECTORY, XS_ERROR, XS_READ, XS_RM, XS_TRANSACTION_END,
    XS_TRANSACTION_START, XS_UNWATCH, XS_WATCH, XS_WRITE, XsdSockmsg,
};

/// `XENSTORE_REL_PATH_MAX`, which limits the names of special events.
const SPECIAL_BYTES_MAX: usize = 2048;

/// The payload of a reply, or the error that it names.
type Reply = Result<Vec<u8>, RequestError>;

impl Xenstored {
    /// Works off the requests that are there as a whole.
    pub(super) fn serve(&mut self, client: Client) {
        while let Some(connection) = self.connections.get_mut(&client)
            && let Some((header, payload)) = connection.take(&self.quotas)
        {
            let refusal = connection.take_refusal(header.kind);
            if let Some(error) = refusal {
                // The daemon forgets a transaction before it looks whether it can commit.
                if header.kind == XS_TRANSACTION_END {
                    connection.transactions.remove(&header.tx_id);
                }
                connection.reply(XS_ERROR, header, &[error.as_bytes(), b"\0"].concat());
                continue;
            }
            let (mut reply, changes) = self.answer(client, header, &payload);
            if reply
                .as_ref()
                .is_ok_and(|payload| payload.len() > XENSTORE_PAYLOAD_MAX)
            {
                reply = Err(RequestError::TooBig);
            }
            self.fire(&changes);
            let Some(connection) = self.connections.get_mut(&client) else {
                return;
            };
            match reply {
                Ok(payload) => connection.reply(header.kind, header, &payload),
                Err(error) => {
                    let name = error.name().as_bytes();
                    connection.reply(XS_ERROR, header, &[name, b"\0"].concat());
                    continue;
                }
            }
            if header.kind == XS_WATCH {
                connection.tell_newest_watch();
            }
        }
    }

    /// Tells the clients whose watches a change fires.
    pub(super) fn fire(&mut self, changes: &[Change]) {
        for change in changes {
            for connection in self.connections.values_mut() {
                connection.hear(change);
            }
        }
    }

    fn answer(
        &mut self,
        client: Client,
        header: XsdSockmsg,
        payload: &[u8],
    ) -> (Reply, Vec<Change>) {
        let silent = |reply| (reply, Vec::new());
        let domid = self.connections[&client].domid;
        match header.kind {
            XS_WATCH => return silent(self.watch(client, payload)),
            XS_UNWATCH => return silent(self.unwatch(client, payload)),
            XS_CONTROL
            | XS_INTRODUCE
            | XS_RELEASE
            | XS_RESUME
            | XS_SET_TARGET
            | XS_IS_DOMAIN_INTRODUCED
                if domid != 0 =>
            {
                return silent(Err(RequestError::Denied));
            }
            XS_IS_DOMAIN_INTRODUCED
            | XS_GET_DOMAIN_PATH
            | XS_RESET_WATCHES
            | XS_TRANSACTION_START
            | XS_TRANSACTION_END
            | XS_DIRECTORY
            | XS_DIRECTORY_PART
            | XS_READ
            | XS_WRITE
            | XS_MKDIR
            | XS_RM
            | XS_GET_PERMS
            | XS_SET_PERMS => {}
            _ => return silent(Err(RequestError::NotImplemented)),
        }
        let transactions = &self.connections[&client].transactions;
        if header.tx_id != 0 && !transactions.contains_key(&header.tx_id) {
            return silent(Err(RequestError::Missing));
        }
        match header.kind {
            XS_IS_DOMAIN_INTRODUCED => silent(self.is_introduced(payload)),
            XS_GET_DOMAIN_PATH => silent(domain_path(payload)),
            XS_RESET_WATCHES => {
                self.connection_mut(client).reset();
                silent(Ok(OK.into()))
            }
            XS_TRANSACTION_START => silent(self.start(client, header.tx_id)),
            XS_TRANSACTION_END => match self.end(client, header.tx_id, payload) {
                Ok(changes) => (Ok(OK.into()), changes),
                Err(error) => silent(Err(error)),
            },
            _ => self.answer_on_tree(client, header, payload),
        }
    }

    fn answer_on_tree(
        &mut self,
        client: Client,
        header: XsdSockmsg,
        payload: &[u8],
    ) -> (Reply, Vec<Change>) {
        let Some(connection) = self.connections.get_mut(&client) else {
            return (Err(RequestError::Missing), Vec::new());
        };
        let mut view = View {
            tree: &mut self.tree,
            transaction: connection.transactions.get_mut(&header.tx_id),
            quotas: &self.quotas,
            domid: connection.domid,
            changes: Vec::new(),
        };
        let reply = request::answer(&mut view, header.kind, &connection.base, payload);
        (reply, view.changes)
    }

    fn watch(&mut self, client: Client, payload: &[u8]) -> Reply {
        let strings = wire::strings(payload);
        let [written, token] = strings[..] else {
            return Err(RequestError::Invalid);
        };
        let written = wire::text(written)?;
        let connection = &self.connections[&client];
        let watch = Watch::new(&connection.base, written, token);
        let is_valid = if written.starts_with('@') {
            written.len() <= SPECIAL_BYTES_MAX
        } else {
            path::is_valid(watch.path(), &self.quotas)
        };
        if !is_valid {
            return Err(RequestError::Invalid);
        }
        let mut watches = connection.watches.iter();
        if watches.any(|other| other.is(watch.path(), token)) {
            return Err(RequestError::Exists);
        }
        let count = connection.watches.len();
        if connection.domid != 0 && count > self.quotas.watches_per_domain {
            return Err(RequestError::TooBig);
        }
        self.connection_mut(client).watches.push(watch);
        Ok(OK.into())
    }

    fn unwatch(&mut self, client: Client, payload: &[u8]) -> Reply {
        let strings = wire::strings(payload);
        let [written, token] = strings[..] else {
            return Err(RequestError::Invalid);
        };
        let connection = self.connection_mut(client);
        let path = path::absolute(&connection.base, wire::text(written)?);
        let mut watches = connection.watches.iter();
        let at = watches.position(|watch| watch.is(&path, token));
        connection.watches.remove(at.ok_or(RequestError::Missing)?);
        Ok(OK.into())
    }

    fn start(&mut self, client: Client, within: u32) -> Reply {
        if within != 0 {
            return Err(RequestError::Busy);
        }
        let quotas = self.quotas;
        let id = self.connection_mut(client).begin(&quotas)?;
        Ok(format!("{id}\0").into_bytes())
    }

    fn end(
        &mut self,
        client: Client,
        id: u32,
        payload: &[u8],
    ) -> Result<Vec<Change>, RequestError> {
        let verdict = wire::only_string(payload)?;
        if verdict != b"T" && verdict != b"F" {
            return Err(RequestError::Invalid);
        }
        let transaction = self.connection_mut(client).transactions.remove(&id);
        let transaction = transaction.ok_or(RequestError::Missing)?;
        if verdict == b"F" {
            return Ok(Vec::new());
        }
        if self.conflicts_left > 0 {
            self.conflicts_left -= 1;
            return Err(RequestError::Conflict);
        }
        transaction.commit(&mut self.tree, &self.quotas)
    }

    fn is_introduced(&self, payload: &[u8]) -> Reply {
        let domid = wire::leading_number(wire::only_string(payload)?);
        let mut connections = self.connections.values();
        let known = connections.any(|connection| u32::from(connection.domid) == domid);
        let answer: &[u8] = if known { b"T\0" } else { b"F\0" };
        Ok(answer.into())
    }
}

fn domain_path(payload: &[u8]) -> Reply {
    let domid = wire::leading_number(wire::only_string(payload)?);
    Ok(format!("{}\0", path::of_domain(domid)).into_bytes())
}
