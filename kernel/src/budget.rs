//! How the RAM found at boot is divided, in one place.

use xen::page::PAGE_BYTES;

const MIB: u64 = 1 << 20;

/// Who gets how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Pages that may be shared with backends.
    pub pool_pages: u32,
    /// Pages posted to the network backend for receiving.
    pub rx_pages: u32,
    /// Pages for packets to send.
    pub tx_pages: u32,
    /// Disk requests at once, each of 11 pages.
    pub blk_requests: u32,
    /// Socket buffers.
    pub socket_bytes: u64,
    /// The store's index and cache.
    pub store_bytes: u64,
    /// Sessions of TLS: of what is left beside sockets and store.
    pub sessions_bytes: u64,
    /// Less heap than this is too little to start.
    pub heap_bytes_min: u64,
}

/// The smallest disk a store fits on.
const MEMORY_DISK_BYTES_MIN: u64 = 8 * MIB;
/// Pages of a full block request.
const BLK_REQUEST_PAGES: u32 = 11;
/// Of the last write.
const FLIGHT_PAGES: u32 = 4;
/// Rings: two of the network, one of the disk, and one in reserve.
const RING_PAGES: u32 = 4;

impl Budget {
    /// Smallest `memory=` that is served, in MiB.
    pub const MEMORY_MIN_MIB: u64 = 8;

    /// Size of the disk in memory that serves where there is none.
    pub fn memory_disk_bytes(self) -> u64 {
        (self.store_bytes - self.store_bytes / 4)
            .max(MEMORY_DISK_BYTES_MIN.min(self.store_bytes.saturating_mul(2)))
    }

    /// The store's index and cache, beside a disk or a disk in memory.
    pub fn store_memory_bytes(self, on_disk: bool) -> u64 {
        if on_disk {
            self.store_bytes
        } else {
            self.store_bytes / 4
        }
    }

    /// Batches of changes that come in, and pages with values: a part of what is left beside the
    /// store.
    pub fn bodies_bytes(self) -> u64 {
        (self.store_bytes / 16).clamp(MIB / 4, 16 * MIB)
    }

    /// The smallest `memory=`, in MiB, whose domain gives its store so much beside a disk.
    pub fn machine_mib(store_bytes: u64) -> u64 {
        // Xen keeps some of the domain's memory for itself.
        let is_enough = |mib: u64| {
            let ram_bytes = (mib - 1).saturating_mul(MIB);
            Budget::from_ram(ram_bytes).store_bytes >= store_bytes
        };
        if is_enough(Budget::MEMORY_MIN_MIB) {
            return Budget::MEMORY_MIN_MIB;
        }
        // A store gets more than half of what is added.
        let (mut less, mut enough) = (
            Budget::MEMORY_MIN_MIB,
            Budget::MEMORY_MIN_MIB + 64 + 2 * store_bytes.div_ceil(MIB),
        );
        while enough - less > 1 {
            let middle = less.midpoint(enough);
            match is_enough(middle) {
                true => enough = middle,
                false => less = middle,
            }
        }
        enough
    }

    /// The division for a domain of that much RAM.
    pub fn from_ram(ram_bytes: u64) -> Budget {
        let small = ram_bytes < 12 * MIB;
        let large = ram_bytes >= 48 * MIB;
        let (rx_pages, tx_pages, blk_requests) = match (small, large) {
            (true, _) => (32, 32, 4),
            (_, false) => (128, 64, 8),
            (_, true) => (256, 128, 16),
        };
        let disk_pages = blk_requests * BLK_REQUEST_PAGES + FLIGHT_PAGES;
        let pool_pages = RING_PAGES + rx_pages + tx_pages + disk_pages;
        let pool_bytes = u64::from(pool_pages) * PAGE_BYTES as u64;
        // The image with its stack, tables, and what connections and requests hold in passing.
        let fixed = 4 * MIB + pool_bytes;
        let rest = ram_bytes.saturating_sub(fixed);
        let socket_bytes = (rest / 4).clamp(MIB / 2, 16 * MIB);
        let sessions_bytes = (rest / 12).clamp(MIB / 4, 16 * MIB);
        let store_bytes = rest.saturating_sub(socket_bytes) / 4 * 3;
        let heap_bytes_min = 2 * MIB + MIB / 2;
        Budget {
            pool_pages,
            rx_pages,
            tx_pages,
            blk_requests,
            socket_bytes,
            store_bytes: store_bytes.max(MIB / 2),
            sessions_bytes,
            heap_bytes_min,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, MIB};

    /// The image with its stack: 3.3 MiB.
    const IMAGE_BYTES: u64 = 7 * MIB / 2;

    #[test]
    fn parts_fit_the_whole() {
        for mib in [8, 12, 16, 32, 64, 128, 1024, 65_536] {
            let ram = mib * MIB;
            let budget = Budget::from_ram(ram);
            let pool = u64::from(budget.pool_pages) * 4096;
            let sum = pool
                + budget.socket_bytes
                + budget.store_bytes
                + budget.bodies_bytes()
                + budget.sessions_bytes
                + IMAGE_BYTES;
            assert!(sum <= ram, "{mib} MiB: {sum} of {ram} given away");
        }
    }

    #[test]
    fn the_memory_that_is_asked_for_is_enough_and_not_much_more() {
        for store_bytes in [0, 1, MIB, 40 * MIB, 80 * MIB, 3 * 1024 * MIB, 1 << 60] {
            let mib = Budget::machine_mib(store_bytes);
            assert!(Budget::from_ram((mib - 1) * MIB).store_bytes >= store_bytes);
            let less = Budget::from_ram((mib - 2) * MIB).store_bytes;
            assert!(mib == Budget::MEMORY_MIN_MIB || less < store_bytes, "{mib}");
        }
    }

    #[test]
    fn a_memory_map_that_lies_overflows_nothing() {
        for ram in [0, u64::MAX / 4, u64::MAX] {
            let budget = Budget::from_ram(ram);
            assert!(budget.store_bytes <= ram.max(MIB / 2));
            assert!(budget.memory_disk_bytes() <= budget.store_bytes.saturating_mul(2));
        }
    }
}
