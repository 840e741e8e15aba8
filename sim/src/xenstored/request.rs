//! The requests that read or change the tree: their payloads and replies.
//!
//! Source: `docs/misc/xenstore.txt`, Xen 4.17.

use super::path;
use super::permission::{Permissions, Right};
use super::view::View;
use super::wire::{
    self, OK, RequestError, XS_DIRECTORY_PART, XS_GET_PERMS, XS_MKDIR, XS_SET_PERMS,
};
use xen_sys::io::xs_wire::{XENSTORE_PAYLOAD_MAX, XS_DIRECTORY, XS_READ, XS_RM, XS_WRITE};

/// Answers; `base` is the directory of who asks.
pub(super) fn answer(
    view: &mut View<'_>,
    kind: u32,
    base: &str,
    payload: &[u8],
) -> Result<Vec<u8>, RequestError> {
    let only_path = || path_of(base, wire::only_string(payload)?);
    let done = match kind {
        XS_READ => return Ok(view.authorize(&only_path()?, Right::Read)?.value),
        XS_DIRECTORY => {
            let node = view.authorize(&only_path()?, Right::Read)?;
            return Ok(node.children_bytes());
        }
        XS_DIRECTORY_PART => return directory_part(view, base, payload),
        XS_GET_PERMS => {
            let node = view.authorize(&only_path()?, Right::Read)?;
            return Ok(node.permissions.to_bytes());
        }
        XS_MKDIR => view.make(&only_path()?),
        XS_RM => view.remove(&only_path()?),
        XS_WRITE => write(view, base, payload),
        XS_SET_PERMS => set_permissions(view, base, payload),
        _ => Err(RequestError::NotImplemented),
    };
    done.map(|()| OK.into())
}

fn path_of(base: &str, written: &[u8]) -> Result<String, RequestError> {
    Ok(path::absolute(base, wire::text(written)?))
}

/// The value may hold NULs of its own.
fn write(view: &mut View<'_>, base: &str, payload: &[u8]) -> Result<(), RequestError> {
    let nul = payload.iter().position(|byte| *byte == 0);
    let nul = nul.ok_or(RequestError::Invalid)?;
    view.write(&path_of(base, &payload[..nul])?, &payload[nul + 1..])
}

fn set_permissions(view: &mut View<'_>, base: &str, payload: &[u8]) -> Result<(), RequestError> {
    let strings = wire::strings(payload);
    let (written, entries) = strings.split_first().ok_or(RequestError::Invalid)?;
    let permissions = Permissions::parse(entries).ok_or(RequestError::Invalid)?;
    view.set_permissions(&path_of(base, written)?, permissions)
}

/// The generation lets a client see that the list changed between two parts.
fn directory_part(
    view: &mut View<'_>,
    base: &str,
    payload: &[u8],
) -> Result<Vec<u8>, RequestError> {
    let strings = wire::strings(payload);
    let [written, offset] = strings[..] else {
        return Err(RequestError::Invalid);
    };
    let node = view.authorize(&path_of(base, written)?, Right::Read)?;
    let names = node.children_bytes();
    let mut reply = format!("{}\0", node.generation).into_bytes();
    let offset = wire::leading_number(offset) as usize;
    let rest = names.get(offset..).unwrap_or_default();
    // One byte is left for the empty string that ends the last part.
    let room = XENSTORE_PAYLOAD_MAX - reply.len() - 1;
    let end = if rest.len() <= room {
        rest.len()
    } else {
        let last_nul = rest[..room].iter().rposition(|byte| *byte == 0);
        last_nul.map_or(0, |at| at + 1)
    };
    reply.extend(&rest[..end]);
    if end == rest.len() {
        reply.push(0);
    }
    Ok(reply)
}
