//! The store as a whole, over disks made of memory.

mod accepted;
mod away;
mod backup;
mod basic;
pub(crate) mod bed;
mod changes;
mod check;
pub(crate) mod closed_loop;
mod crash;
mod expiry;
mod faults;
mod growth;
mod in_part;
mod pace;
mod ranges;
mod restore;
mod rot;
mod scrub;
mod sim_disk;
mod snapshots;
mod space;
mod summaries;
mod uploads;
mod writes;
