//! A million keys in a guest of 128 MiB, and their disk in a guest of less.

use crate::{faults, until_ready};
use sim::disk::Disk;
use sim::random::Random;
use store::blob::HeapPages;
use store::{
    Batch, BucketName, Change, Condition, FormatPermission, Headers, Key, MemoryDisk, Now, State,
    Store, Wake,
};
use tests::http::Answer;
use tests::simulated::{
    Client, Cut, GUEST, GUEST_ADMIN, LIMIT_NS, Options, Outcome, Simulation, request_at,
};

const MIB: u64 = 1 << 20;
/// What Xen leaves a guest of 128 MiB, and somewhat less.
const RAM_BYTES: u64 = 127 * MIB;
const SMALL_RAM_BYTES: u64 = 63 * MIB;
const DISK_BYTES: u64 = 320 * MIB;
const KEYS: u64 = 1_000_000;
const PER_BATCH: u64 = 1_000;
const OVERWRITES: u64 = 100_000;
/// Connections, and requests of each that wait for their answers.
const CLIENTS: usize = 16;
const PIPELINED: u64 = 32;
/// Some of the keys are read and compared.
const LOOKED_AT: u64 = 200;

/// 16 bytes, in no order.
fn key(number: u64) -> String {
    format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn value(number: u64, version: u64) -> Vec<u8> {
    Random::new(number << 8 | version).bytes(100)
}

/// A disk that a store with all keys was closed on.
fn filled() -> Vec<u8> {
    let disk = MemoryDisk::new(DISK_BYTES);
    let options = store::Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: 256 * MIB,
        seed: [7; 32],
        pages: Box::new(HeapPages),
    };
    let mut store = Store::opening(Box::new(disk.clone()), options);
    let now = Now {
        monotonic_ns: 0,
        wall_ns: 1_700_000_000_000_000_000,
    };
    let settle = |store: &mut Store| while store.step(now) == Wake::Now {};
    settle(&mut store);
    let bucket = BucketName::new("b").expect("a name");
    for first in (0..KEYS).step_by(PER_BATCH as usize) {
        let change = |number| {
            let put = Change::Put {
                value: value(number, 0),
                headers: Headers::default(),
            };
            let key = Key::new(key(number).as_bytes()).expect("a key");
            (bucket.clone(), key, Condition::None, put)
        };
        let changes = (first..first + PER_BATCH).map(change).collect();
        store.submit(Batch { changes }).expect("accepted");
        settle(&mut store);
    }
    store.close();
    settle(&mut store);
    assert_eq!(*store.state(), State::Closed);
    let mut image = vec![0; DISK_BYTES as usize];
    disk.peek(0, &mut image);
    image
}

fn ask(simulation: &mut Simulation, request: (&str, &str)) -> Answer {
    let door = match request.1.starts_with("/-/admin/") {
        true => GUEST_ADMIN,
        false => GUEST,
    };
    match request_at(simulation, door, request, b"") {
        Outcome::Answer(answer) => answer,
        Outcome::Lost(why) => panic!("{request:?}: {why}\n{}", simulation.console()),
    }
}

fn metric(simulation: &mut Simulation, name: &str) -> u64 {
    let text = ask(simulation, ("GET", "/metrics")).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|number| number.trim().parse().ok())
        .unwrap_or_else(|| panic!("{name}: {text}"))
}

/// Writes some keys again; which version each has then.
fn overwrite(simulation: &mut Simulation, versions: &mut [u8]) {
    let mut random = Random::new(3);
    let connect = |_| simulation.world(Client::connect);
    let mut clients: Vec<Client> = (0..CLIENTS).map(connect).collect();
    let mut left = OVERWRITES;
    while left > 0 {
        let mut waiting = 0;
        for client in &mut clients {
            for _ in 0..PIPELINED.min(left) {
                let number = random.below(KEYS);
                versions[number as usize] += 1;
                let body = value(number, versions[number as usize].into());
                let target = format!("/kv/b/{}", key(number));
                simulation.world(|world| client.ask(world, "PUT", &target, &body));
                (left, waiting) = (left - 1, waiting + 1);
            }
        }
        let ran = simulation.run(LIMIT_NS, |world| {
            for client in &mut clients {
                while let Some(outcome) = client.answer(world) {
                    match outcome {
                        Outcome::Answer(answer) => {
                            assert_eq!(answer.status, 204, "{}", answer.text())
                        }
                        Outcome::Lost(why) => panic!("{why}"),
                    }
                    waiting -= 1;
                }
            }
            waiting == 0
        });
        ran.unwrap_or_else(|stuck| panic!("{stuck:?}\n{}", simulation.console()));
    }
    for client in clients {
        simulation.world(|world| client.abort(world));
    }
}

/// Some keys have the version they should, now or at a snapshot.
fn judge(simulation: &mut Simulation, query: &str, version: impl Fn(u64) -> u8) {
    for nth in 0..LOOKED_AT {
        let number = nth * (KEYS / LOOKED_AT);
        let target = format!("/kv/b/{}{query}", key(number));
        let answer = ask(simulation, ("GET", &target));
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(
            answer.body,
            value(number, version(number).into()),
            "{target}"
        );
    }
}

fn assert_fits(simulation: &Simulation) {
    let (held, heap) = (simulation.heap().peak_bytes, simulation.heap_bytes());
    println!("at most {held} bytes of a heap of {heap}");
    assert!(held <= heap / 16 * 15, "{held} bytes of a heap of {heap}");
}

#[test]
fn a_million_keys_fit_128_mib_and_less_memory_says_how_much_it_needs() {
    let options = |ram_bytes| {
        let mut options = Options::new(41);
        (options.ram_bytes, options.disk_bytes) = (ram_bytes, None);
        // Its certificate would be one key more.
        options.command_line.push_str(" https.port=off");
        options
    };
    let disk = Disk::from_image(filled(), Random::new(1));
    let mut simulation = Simulation::begin_on(options(RAM_BYTES), disk);
    until_ready(&mut simulation);
    assert_eq!(metric(&mut simulation, "lampion_store_keys"), KEYS);
    assert_eq!(metric(&mut simulation, "lampion_store_in_part"), 0);
    let taken = ask(&mut simulation, ("PUT", "/-/admin/snapshots/before"));
    assert_eq!(taken.status, 201, "{}", taken.text());
    let mut versions = vec![0; KEYS as usize];
    overwrite(&mut simulation, &mut versions);
    judge(&mut simulation, "", |number| versions[number as usize]);
    judge(&mut simulation, "?at=before", |_| 0);
    assert_fits(&simulation);
    simulation.restart(Cut::Power);
    until_ready(&mut simulation);
    judge(&mut simulation, "", |number| versions[number as usize]);
    assert_fits(&simulation);
    assert_eq!(faults(&simulation), [""; 0]);
    let disk = simulation.world(|world| {
        let (_, disk) = world.vbd.as_ref().expect("a disk");
        disk.image()
    });
    drop(simulation);
    let on_disk = |ram_bytes| {
        let disk = Disk::from_image(disk.clone(), Random::new(2));
        Simulation::begin_on(options(ram_bytes), disk)
    };
    let mut simulation = on_disk(SMALL_RAM_BYTES);
    let needed_mib = needed(&mut simulation, &versions);
    assert_fits(&simulation);
    assert!((96..=128).contains(&needed_mib), "{needed_mib}");
    assert_eq!(faults(&simulation), [""; 0]);
    drop(simulation);
    let mut simulation = on_disk((needed_mib - 1) * MIB);
    until_ready(&mut simulation);
    judge(&mut simulation, "", |number| versions[number as usize]);
    assert_fits(&simulation);
}

/// With too little memory: the first keys can be read, of the others it is said that nothing is
/// known, and how much memory is needed, which is the answer.
fn needed(simulation: &mut Simulation, versions: &[u8]) -> u64 {
    let ready = (0..100).find_map(|_| {
        let _ = simulation.pass(1_000_000_000);
        let ready = ask(simulation, ("GET", "/readyz?for=write"));
        (!ready.text().contains("store-opening")).then_some(ready)
    });
    let ready = ready.unwrap_or_else(|| panic!("it never opens:\n{}", simulation.console()));
    assert_eq!(ready.status, 503);
    let (mut known, mut unknown) = (0, 0);
    for nth in 0..LOOKED_AT {
        let number = nth * (KEYS / LOOKED_AT);
        let answer = ask(simulation, ("GET", &format!("/kv/b/{}", key(number))));
        match answer.status {
            200 => {
                let version = versions[number as usize].into();
                assert_eq!(answer.body, value(number, version));
                known += 1;
            }
            503 => {
                assert!(answer.text().contains("store-in-part"), "{}", answer.text());
                unknown += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(
        known > 20 && unknown > 20,
        "{known} known, {unknown} unknown"
    );
    assert_eq!(metric(simulation, "lampion_store_in_part"), 1);
    let metrics = ask(simulation, ("GET", "/metrics")).text();
    assert!(
        !metrics.contains("\nlampion_store_keys ")
            && !metrics.contains("\nlampion_store_live_bytes ")
    );
    let put = ask(simulation, ("DELETE", &format!("/kv/b/{}", key(0))));
    assert!(
        put.status == 503 && put.text().contains("store-read-only"),
        "{}",
        put.text()
    );
    let console = simulation.console();
    assert_eq!(console.matches("write memory=").count(), 1, "{console}");
    let text = ready.text();
    let said = text
        .split("memory=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    said.and_then(|mib| mib.parse().ok())
        .unwrap_or_else(|| panic!("{text}"))
}
