//! From `xl create` to the first answer, beside a Linux guest with nginx.

use tests::bed::Bed;
use tests::guest::{ADDRESS, DISK_BYTES, blank_disk};

/// How often Lampion has to fit into Linux's way to its first answer.
const RATIO_MIN: u64 = 5;

/// Dom0's uptime at the end less that at the beginning, in hundredths of virtual seconds. The
/// neighbour is entered by hand, because a lost ARP request is repeated only a second later.
const MEASURE: &str = "\
    now() { cut -d' ' -f1 /proc/uptime | tr -d .; }; \
    try() { wget -q -O /dev/null http://10.0.2.50/ 2>/dev/null & \
    usleep 20000; kill $! 2>/dev/null; wait $!; }; \
    begin=$(now); $create || exit 1; \
    mac=$(xenstore-read /local/domain/$(xl domid $name)/device/vif/0/mac); \
    arp -i xenbr0 -s 10.0.2.50 $mac; \
    left=600; until try 2>/dev/null; do left=$((left - 1)); [ $left -gt 0 ] || exit 1; done; \
    echo $(($(now) - begin)) $(xl vcpu-list $name | awk 'NR == 2 { print $6 }')";

/// Nanoseconds in one of them; as many instructions.
const HUNDREDTH_NS: u64 = 10_000_000;

#[test]
#[ignore = "needs a counting bed: cargo xtask test"]
fn lampion_answers_long_before_a_linux_with_nginx() {
    let bed = Bed::from_environment();
    let linux = measure(
        &bed,
        "linux",
        "memory=192 kernel=/payload/linux ramdisk=/payload/linux.cpio -- quiet",
    );
    let disk = blank_disk(&bed, "first", DISK_BYTES);
    let words = format!("memory=32 disk={disk},vdev=xvda -- {ADDRESS}");
    let lampion = measure(&bed, "first", &words);
    println!("instructions of the machine from `xl create` to the first answer:");
    println!("Linux with nginx {linux}, Lampion {lampion}");
    assert!(lampion > 0);
    assert!(
        linux >= RATIO_MIN * lampion,
        "{linux} is not much more than {lampion}"
    );
}

fn measure(bed: &Bed, name: &str, words: &str) -> u64 {
    let answer = bed.run(&format!(
        "name={name}; create='vm create {name} {words}'; {MEASURE}"
    ));
    bed.run(&format!("vm console {name} | tail -n 3; vm destroy {name}"));
    println!("{name}: {answer}");
    let hundredths = answer
        .lines()
        .last()
        .and_then(|line| line.split(' ').next());
    let hundredths: u64 = hundredths
        .and_then(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("no number: {answer}"));
    hundredths * HUNDREDTH_NS
}
