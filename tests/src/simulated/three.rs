//! Three values: what a sweep writes, and finds again.

use super::{Outcome, Simulation, request};
use crate::data::value;

/// What is written, some of it in several requests to the disk.
fn values() -> [(&'static str, Vec<u8>); 3] {
    [
        ("/kv/a/small", value(1, 1, 100)),
        ("/kv/a/large", value(2, 1, 80_000)),
        ("/kv/a/again", value(3, 1, 3_000)),
    ]
}

/// Writes them; which were acknowledged.
pub fn put_all(simulation: &mut Simulation) -> Vec<bool> {
    put_each(simulation, |_| {})
}

/// As [`put_all`]; `acknowledged` is told the number of each as it happens.
pub fn put_each(simulation: &mut Simulation, mut acknowledged: impl FnMut(usize)) -> Vec<bool> {
    let mut put = |(number, (target, body)): (usize, (&str, Vec<u8>))| {
        let answered = request(simulation, "PUT", target, &body);
        let is_there =
            matches!(answered, Outcome::Answer(answer) if matches!(answer.status, 201 | 204));
        if is_there {
            acknowledged(number);
        }
        is_there
    };
    values().into_iter().enumerate().map(&mut put).collect()
}

/// What was acknowledged is there, and what was not is there whole or not at all.
///
/// # Panics
/// Otherwise.
pub fn check_all(simulation: &mut Simulation, acknowledged: &[bool]) {
    for ((target, body), acknowledged) in values().into_iter().zip(acknowledged) {
        match request(simulation, "GET", target, b"") {
            Outcome::Answer(answer) if answer.status == 200 => assert!(answer.body == body),
            Outcome::Answer(answer) if answer.status == 404 && !acknowledged => {}
            other => panic!("{target}: {other:?}:\n{}", simulation.console()),
        }
    }
}
