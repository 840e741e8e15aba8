//! Pages, grants, rings and events over the memory of a simulated domain.
//!
//! Small on purpose: Miri runs them, too, and judges each access by Rust's
//! rules (`cargo xtask analyse miri`).

mod events;
mod grants;
mod machine;
mod pages;
mod resume;
mod rings;
