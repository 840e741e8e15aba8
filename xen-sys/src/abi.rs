//! What this crate says and what Xen's headers call it, as data: `cargo xtask abi` compares both.
//!
//! `layout!` stands beside each structure, and asserts its layout at compile time.
//! `mirror!` ends each file, with the header's names for what the file has.

/// A structure of ours.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Its name here.
    pub ours: &'static str,
    /// The types of C that look like it; none, if no header has it.
    pub theirs: &'static [&'static str],
    /// Its size in bytes.
    pub size: usize,
    /// All its fields.
    pub fields: &'static [Field],
}

/// A field of a structure.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name here.
    pub ours: &'static str,
    /// The header's name; none for padding that has no name there.
    pub theirs: Option<&'static str>,
    /// Its offset in bytes.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
}

/// A number of ours.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Its name here.
    pub ours: &'static str,
    /// The same as an expression of C; none, if no header has it.
    pub theirs: Option<&'static str>,
    /// Its value.
    pub value: i64,
}

/// What one file mirrors.
#[derive(Clone, Copy, Debug)]
pub struct Mirror {
    /// The file's module.
    pub module: &'static str,
    /// The headers that have it, below `xen/include/public/`.
    pub headers: &'static [&'static str],
    /// The file's structures.
    pub layouts: &'static [Layout],
    /// The file's numbers.
    pub numbers: &'static [Number],
}

/// A structure with `layout!` beside it.
pub trait Mirrored {
    /// How it lies in memory.
    const LAYOUT: Layout;
}

/// Every file's.
pub const MIRRORS: &[Mirror] = &[
    crate::MIRROR,
    crate::elfnote::MIRROR,
    crate::errno::MIRROR,
    crate::event_channel::MIRROR,
    crate::grant_table::MIRROR,
    crate::hvm::MIRROR,
    crate::hypercall::MIRROR,
    crate::io::blkif::MIRROR,
    crate::io::console::MIRROR,
    crate::io::netif::MIRROR,
    crate::io::ring::MIRROR,
    crate::io::xenbus::MIRROR,
    crate::io::xs_wire::MIRROR,
    crate::memory::MIRROR,
    crate::sched::MIRROR,
    crate::shared_info::MIRROR,
    crate::start_info::MIRROR,
    crate::vcpu::MIRROR,
    crate::version::MIRROR,
];

/// The size of what an accessor returns: a field's, which has no name as a type.
pub(crate) const fn field_bytes<T, F>(_accessor: fn(T) -> F) -> usize {
    size_of::<F>()
}

/// Asserts a layout at compile time: the types of C, the size, then all fields with their
/// offsets, in bytes. A field that C names otherwise is `as` that, unnamed padding is `as _`.
macro_rules! layout {
    (
        $t:ident as [$($theirs:literal),*], $size:literal
        $(, $field:ident @ $offset:literal $(as $twin:tt)?)+ $(,)?
    ) => {
        const _: () = {
            assert!(size_of::<$t>() == $size);
            $(assert!(core::mem::offset_of!($t, $field) == $offset);)+
        };
        // Does not compile unless every field is there.
        const _: fn($t) = |it| { let $t { $($field: _),+ } = it; };
        impl $crate::abi::Mirrored for $t {
            const LAYOUT: $crate::abi::Layout = $crate::abi::Layout {
                ours: stringify!($t),
                theirs: &[$($theirs),*],
                size: size_of::<$t>(),
                fields: &[$($crate::abi::Field {
                    ours: stringify!($field),
                    theirs: twin!($field $($twin)?),
                    offset: core::mem::offset_of!($t, $field),
                    size: $crate::abi::field_bytes(|it: $t| it.$field),
                }),+],
            };
        }
    };
}

/// Makes a file's `MIRROR`: its headers, its structures, and its numbers, each with its
/// expression in C if that is not spelled as here, or `_` if no header has it.
macro_rules! mirror {
    (
        [$($header:literal),+]
        layouts [$($t:ident),* $(,)?]
        numbers [$($number:expr $(=> $twin:tt)?),* $(,)?]
    ) => {
        /// What the headers call it.
        pub const MIRROR: $crate::abi::Mirror = $crate::abi::Mirror {
            module: module_path!(),
            headers: &[$($header),+],
            layouts: &[$(<$t as $crate::abi::Mirrored>::LAYOUT),*],
            numbers: &[$($crate::abi::Number {
                ours: stringify!($number),
                theirs: twin!($number $(=> $twin)?),
                value: $number as i64,
            }),*],
        };
    };
}

/// The name in C.
macro_rules! twin {
    ($field:ident) => {
        Some(stringify!($field))
    };
    ($field:ident _) => {
        None
    };
    ($field:ident $theirs:literal) => {
        Some($theirs)
    };
    ($number:expr) => {
        Some(stringify!($number))
    };
    ($number:expr => _) => {
        None
    };
    ($number:expr => $theirs:literal) => {
        Some($theirs)
    };
}
