//! Who may read and write a node.
//!
//! Source: `perm_for_conn` and `xs_strings_to_perms` of the C daemon, Xen 4.17.

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Write.
    Write,
    /// Read and write.
    Both,
}

impl Access {
    fn letter(self) -> char {
        match self {
            Access::None => 'n',
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Both => 'b',
        }
    }

    fn from_letter(letter: u8) -> Option<Access> {
        match letter {
            b'n' => Some(Access::None),
            b'r' => Some(Access::Read),
            b'w' => Some(Access::Write),
            b'b' => Some(Access::Both),
            _ => None,
        }
    }
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// To see the value, the children or the permissions.
    Read,
    /// To change or remove.
    Write,
    /// To give permissions.
    Own,
}

/// The owner, what everybody may, and the exceptions; the first that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Permissions {
    pub(super) owner: u16,
    others: Access,
    listed: Vec<(u16, Access)>,
}

impl Permissions {
    /// Nobody's but domain 0's: what the root begins with.
    pub(super) fn of_root() -> Permissions {
        Permissions {
            owner: 0,
            others: Access::None,
            listed: Vec::new(),
        }
    }

    /// From the strings of SET_PERMS: a letter and a domain id each, the owner's first.
    pub(super) fn parse(strings: &[&[u8]]) -> Option<Permissions> {
        let entry = |string: &&[u8]| {
            let (letter, digits) = string.split_first()?;
            let domid = str::from_utf8(digits).ok()?.parse().ok()?;
            Some((domid, Access::from_letter(*letter)?))
        };
        let entries: Option<Vec<_>> = strings.iter().map(entry).collect();
        let entries = entries?;
        let ((owner, others), listed) = entries.split_first()?;
        Some(Permissions {
            owner: *owner,
            others: *others,
            listed: listed.into(),
        })
    }

    /// As GET_PERMS answers.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let first = [(self.owner, self.others)];
        let all = first.iter().chain(&self.listed);
        let text: String = all
            .map(|(domid, access)| format!("{}{domid}\0", access.letter()))
            .collect();
        text.into_bytes()
    }

    /// Entries, the owner's among them.
    pub(super) fn count(&self) -> usize {
        1 + self.listed.len()
    }

    /// Gives or takes; the owner may everything anyway.
    pub(super) fn allow(&mut self, domid: u16, access: Access) {
        self.listed.retain(|(listed, _)| *listed != domid);
        self.listed.push((domid, access));
    }

    /// Whether a domain has a right. Domain 0 has every one.
    pub(super) fn grants(&self, domid: u16, right: Right) -> bool {
        if domid == 0 || domid == self.owner {
            return true;
        }
        let listed = self.listed.iter().find(|(listed, _)| *listed == domid);
        let access = listed.map_or(self.others, |(_, access)| *access);
        match right {
            Right::Read => matches!(access, Access::Read | Access::Both),
            Right::Write => matches!(access, Access::Write | Access::Both),
            Right::Own => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_parsed_whole_or_not() {
        let check = |strings: &[&[u8]], expected: Option<&[u8]>| {
            let bytes = Permissions::parse(strings).map(|permissions| permissions.to_bytes());
            assert_eq!(bytes.as_deref(), expected, "{strings:?}");
        };
        check(&[b"n0"], Some(b"n0\0"));
        check(&[b"r1", b"b2", b"w65535"], Some(b"r1\0b2\0w65535\0"));
        for bad in [&b""[..], b"n", b"x1", b"r-1", b"r1x", b"r65536"] {
            check(&[bad], None);
        }
        check(&[], None);
    }

    #[test]
    fn the_owner_then_the_list_then_the_others() {
        let permissions = Permissions::parse(&[b"r1", b"n2", b"w3", b"b4"]);
        let permissions = permissions.expect("four good entries");
        let check = |domid: u16, expected: [bool; 3]| {
            let rights = [Right::Read, Right::Write, Right::Own];
            assert_eq!(
                rights.map(|right| permissions.grants(domid, right)),
                expected
            );
        };
        check(0, [true; 3]);
        check(1, [true; 3]);
        check(2, [false; 3]);
        check(3, [false, true, false]);
        check(4, [true, true, false]);
        check(5, [true, false, false]);
    }
}
