//! Paths: which are valid, and how they lie to each other.
//!
//! Source: `docs/misc/xenstore.txt` and `is_valid_nodename` of the C daemon, Xen 4.17.

use super::Quotas;

/// Where each domain's directory is, and what its relative paths are below.
const DOMAINS: &str = "/local/domain/";
/// Decimal digits of the largest domain id.
const DOMID_DIGITS_MAX: usize = 5;

/// A domain's directory.
pub(super) fn of_domain(domid: u32) -> String {
    format!("{DOMAINS}{domid}")
}

/// Absolute: what a client wrote, seen from its directory `base`.
pub(super) fn absolute(base: &str, written: &str) -> String {
    if is_relative(written) {
        format!("{base}/{written}")
    } else {
        written.into()
    }
}

/// Whether it depends on who wrote it.
pub(super) fn is_relative(written: &str) -> bool {
    !written.starts_with(['/', '@'])
}

/// Whether a node may have this name.
pub(super) fn is_valid(path: &str, quotas: &Quotas) -> bool {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_@".contains(&byte);
    path.starts_with('/')
        && (path == "/" || !path.ends_with('/'))
        && !path.contains("//")
        && path.bytes().all(named)
        && path.len() <= quotas.path_bytes
        && path.len() - domain_prefix_bytes(path) <= quotas.relative_path_bytes
}

/// The domain's directory does not count against the length of what is in it.
fn domain_prefix_bytes(path: &str) -> usize {
    let Some(rest) = path.strip_prefix(DOMAINS) else {
        return 0;
    };
    let is_domid = |name: &str| {
        let digits = name.bytes().all(|byte| byte.is_ascii_digit());
        digits && (1..=DOMID_DIGITS_MAX).contains(&name.len())
    };
    match rest.split_once('/') {
        Some((name, _)) if is_domid(name) => DOMAINS.len() + name.len() + 1,
        _ => 0,
    }
}

/// The node above; the root is above itself.
pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// The last name of a path.
pub(super) fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The path of a child.
pub(super) fn child(parent: &str, name: &str) -> String {
    let parent = parent.trim_end_matches('/');
    format!("{parent}/{name}")
}

/// Whether `path` is `ancestor` or lies below it.
pub(super) fn is_within(path: &str, ancestor: &str) -> bool {
    if ancestor == "/" {
        return path.starts_with('/');
    }
    path.strip_prefix(ancestor)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_the_daemon_does() {
        let check = |path: &str, expected: bool| {
            assert_eq!(is_valid(path, &Quotas::default()), expected, "{path}");
        };
        check("/", true);
        check("/a-Z_0@/b", true);
        for bad in ["", "a", "@a", "/a/", "//", "/a//b", "/a b", "/a.b", "/ä"] {
            check(bad, false);
        }
        let long = |prefix: &str, len_bytes: usize| {
            let name = "a".repeat(len_bytes - 1);
            format!("{prefix}/{name}")
        };
        check(&long("", 2048), true);
        check(&long("", 2049), false);
        check(&long("/local/domain/65535", 2049), true);
        check(&long("/local/domain/65535", 2050), false);
        check(&long("/local/domain/123456", 2040), false);
    }

    #[test]
    fn within_is_by_whole_names() {
        let check = |path: &str, ancestor: &str, expected: bool| {
            assert_eq!(is_within(path, ancestor), expected, "{path} in {ancestor}");
        };
        check("/a", "/a", true);
        check("/a/b", "/a", true);
        check("/ab", "/a", false);
        check("/a", "/a/b", false);
        check("/a", "/", true);
        check("@releaseDomain", "/", false);
    }
}
