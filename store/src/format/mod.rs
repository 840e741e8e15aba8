//! Every byte on disk, as functions from and to plain structs.
//!
//! `docs/data-layout.md` is the description; this is the code. What the disk
//! says is validated here and nowhere else: a decoder answers `None` or a small
//! error for anything it does not like, and never panics.

pub(crate) mod checksum;
pub(crate) mod codec;
pub(crate) mod group;
pub(crate) mod layout;
pub(crate) mod record;
pub(crate) mod segment;
pub(crate) mod summary;
pub(crate) mod superblock;
pub(crate) mod views;
