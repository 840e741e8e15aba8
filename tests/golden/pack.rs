//! A disk as a short text: the bytes that are not zero, and what occurs again told only once.
//!
//! One line each: `disk LEN` first; `is OFFSET HEX`, bytes as they are; `as OFFSET LEN FROM`,
//! as many bytes as lie from `FROM` on, one after the other, so that the two ranges may overlap.
//! Numbers are decimal; whatever no line names is zero.

use std::collections::HashMap;
use std::fmt::Write as _;

/// Shortest run of bytes that is worth a line of its own.
const RUN: usize = 32;
/// Bytes in one line of hexadecimal digits.
const LINE: usize = 48;

/// The text of a disk.
pub(crate) fn pack(disk: &[u8]) -> String {
    let mut text = format!("disk {}\n", disk.len());
    let mut seen: HashMap<&[u8], usize> = HashMap::new();
    let mut begun = None;
    let mut at = 0;
    while at < disk.len() {
        let window = &disk[at..(at + RUN).min(disk.len())];
        let zeros = disk[at..].iter().take_while(|byte| **byte == 0).count();
        let passed = if zeros >= window.len() {
            zeros
        } else if let Some(from) = seen.get(window) {
            let same = (at..disk.len()).take_while(|next| disk[*next] == disk[from + next - at]);
            same.count()
        } else {
            0
        };
        if passed > 0 {
            literal(&mut text, disk, begun.take(), at);
            if zeros < window.len() {
                let _ = writeln!(text, "as {at} {passed} {}", seen[window]);
            }
            at += passed;
        } else {
            begun.get_or_insert(at);
            seen.insert(window, at);
            at += 1;
        }
    }
    literal(&mut text, disk, begun, at);
    text
}

fn literal(text: &mut String, disk: &[u8], begun: Option<usize>, end: usize) {
    for at in (begun.unwrap_or(end)..end).step_by(LINE) {
        let _ = write!(text, "is {at} ");
        for byte in &disk[at..(at + LINE).min(end)] {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
}

/// The disk of a text.
///
/// # Panics
/// If it is no such text: it is part of the checkout, and nobody writes it by hand.
pub(crate) fn unpack(text: &str) -> Vec<u8> {
    let mut disk = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| -> usize { words[at].parse().expect("a number") };
        match words[0] {
            "disk" => disk.resize(number(1), 0),
            "is" => {
                for (index, pair) in words[2].as_bytes().chunks(2).enumerate() {
                    let pair = std::str::from_utf8(pair).expect("two digits");
                    disk[number(1) + index] = u8::from_str_radix(pair, 16).expect("a byte");
                }
            }
            "as" => {
                let (to, len, from) = (number(1), number(2), number(3));
                for index in 0..len {
                    disk[to + index] = disk[from + index];
                }
            }
            other => panic!("{other:?} begins no line of a packed disk"),
        }
    }
    disk
}

#[test]
fn a_disk_goes_both_ways() {
    let mut disk = vec![0u8; 20_000];
    for at in 0..4000 {
        disk[512 + at] = (at % 251) as u8;
        disk[9001 + at] = (at % 251) as u8;
    }
    disk[19_990..].copy_from_slice(b"at the end");
    let text = pack(&disk);
    assert!(text.len() < 2000, "{} bytes", text.len());
    assert!(unpack(&text) == disk);
}
