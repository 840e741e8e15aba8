//! The console's shared page. Mirrors `xen/include/public/io/console.h`, Xen 4.17.
//!
//! `connection` at 3088 is newer than 4.20 and never read here.

/// Offset of the input ring.
pub const IN: usize = 0;
/// Bytes of the input ring.
pub const IN_BYTES: u32 = 1024;
/// Offset of the output ring.
pub const OUT: usize = 1024;
/// Bytes of the output ring.
pub const OUT_BYTES: u32 = 2048;
/// Offset of `in_cons`.
pub const IN_CONS: usize = 3072;
/// Offset of `in_prod`.
pub const IN_PROD: usize = 3076;
/// Offset of `out_cons`.
pub const OUT_CONS: usize = 3080;
/// Offset of `out_prod`.
pub const OUT_PROD: usize = 3084;

mirror! {
    ["io/console.h"]
    layouts []
    numbers [
        IN => "offsetof(struct xencons_interface, in)",
        IN_BYTES => "sizeof(((struct xencons_interface *)0)->in)",
        OUT => "offsetof(struct xencons_interface, out)",
        OUT_BYTES => "sizeof(((struct xencons_interface *)0)->out)",
        IN_CONS => "offsetof(struct xencons_interface, in_cons)",
        IN_PROD => "offsetof(struct xencons_interface, in_prod)",
        OUT_CONS => "offsetof(struct xencons_interface, out_cons)",
        OUT_PROD => "offsetof(struct xencons_interface, out_prod)",
    ]
}
