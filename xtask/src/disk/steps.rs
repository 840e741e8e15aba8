//! A store of this host's, stepped until it rests.

use std::fs::File;
use std::io::Read;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use store::blob::HeapPages;
use store::block::BlockDevice;
use store::{FormatPermission, Now, Options, Store, Wake};

/// RAM for index and cache: what a tool on a host may take.
const MEMORY_BYTES: u64 = 4 << 30;

/// The store on a device; a blank one is formatted.
pub(super) fn opened(device: Box<dyn BlockDevice>) -> Store {
    let mut seed = [0; 32];
    // Without it, the store's id could be guessed; nothing else depends on it.
    let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
    if random.is_err() {
        seed[..16].copy_from_slice(&now().wall_ns.to_le_bytes().repeat(2));
    }
    let options = Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: MEMORY_BYTES,
        seed,
        pages: Box::new(HeapPages),
    };
    let mut store = Store::opening(device, options);
    settle(&mut store);
    store
}

/// Steps until there is nothing to do.
pub(super) fn settle(store: &mut Store) {
    while store.step(now()) == Wake::Now {}
}

fn now() -> Now {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let begin = BEGIN.get_or_init(Instant::now);
    Now {
        monotonic_ns: u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX),
        wall_ns: since.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        }),
    }
}
