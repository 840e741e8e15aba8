//! Xen's error numbers. Mirrors `xen/include/public/errno.h`, Xen 4.17.

use core::fmt;

/// An error a hypercall returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Operation not permitted.
    pub const EPERM: Errno = Errno(1);
    /// No such entry.
    pub const ENOENT: Errno = Errno(2);
    /// No memory.
    pub const ENOMEM: Errno = Errno(12);
    /// Bad guest address.
    pub const EFAULT: Errno = Errno(14);
    /// Invalid argument.
    pub const EINVAL: Errno = Errno(22);
    /// No space left.
    pub const ENOSPC: Errno = Errno(28);
    /// Not implemented.
    pub const ENOSYS: Errno = Errno(38);

    /// Splits a hypercall's return value.
    ///
    /// # Errors
    /// The negated value when it is negative.
    pub fn check(result: isize) -> Result<usize, Errno> {
        usize::try_from(result)
            .map_err(|_| Errno(i32::try_from(result.unsigned_abs()).unwrap_or(i32::MAX)))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Errno::EPERM => "EPERM",
            Errno::ENOENT => "ENOENT",
            Errno::ENOMEM => "ENOMEM",
            Errno::EFAULT => "EFAULT",
            Errno::EINVAL => "EINVAL",
            Errno::ENOSPC => "ENOSPC",
            Errno::ENOSYS => "ENOSYS",
            Errno(number) => return write!(f, "Xen error {number}"),
        };
        f.write_str(name)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Errno {}

mirror! {
    ["errno.h"]
    layouts []
    numbers [
        Errno::EPERM.0 => "XEN_EPERM",
        Errno::ENOENT.0 => "XEN_ENOENT",
        Errno::ENOMEM.0 => "XEN_ENOMEM",
        Errno::EFAULT.0 => "XEN_EFAULT",
        Errno::EINVAL.0 => "XEN_EINVAL",
        Errno::ENOSPC.0 => "XEN_ENOSPC",
        Errno::ENOSYS.0 => "XEN_ENOSYS",
    ]
}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn negative_results_are_errors() {
        assert_eq!(Errno::check(7), Ok(7));
        assert_eq!(Errno::check(-38), Err(Errno::ENOSYS));
        assert_eq!(Errno::check(isize::MIN + 1), Err(Errno(i32::MAX)));
    }
}
