//! Reassembly, the window, and each thing that the guest may not do.

use super::*;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Near the wrap, so that positions and numbers differ.
const INITIAL: u32 = u32::MAX - 3;

fn segment(at: i64, data: &[u8], flags: Flags) -> Segment {
    let host = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
    Segment {
        from: host,
        to: host,
        sequence: Sequence::new(INITIAL).number(at),
        acknowledgement: 0,
        flags,
        window: 0,
        mss: None,
        scale: None,
        header_bytes: 20,
        data: data.to_vec(),
    }
}

type Step<'a> = (i64, &'a [u8], Flags);

/// A stream in a window of ten bytes; `expected` is of the last step.
fn check(steps: &[Step], expected: Result<Arrival, Violation>, ready: &[u8]) {
    let mut inbound = Inbound::new(INITIAL, 10);
    let mut last = None;
    for (at, data, flags) in steps {
        assert!(last.is_none_or(|last: Result<_, _>| last.is_ok()));
        last = Some(inbound.accept(&segment(*at, data, *flags)));
    }
    assert_eq!(last, Some(expected));
    assert_eq!(inbound.take(), ready);
}

const NO: Flags = Flags::ACK;
const FIN: Flags = Flags::FIN;

#[test]
fn bytes_come_out_in_order() {
    let moved = |bytes| Ok(Arrival::InOrder { bytes });
    check(&[(1, b"ab", NO)], moved(2), b"ab");
    check(&[(2, b"b", NO)], Ok(Arrival::OutOfOrder), b"");
    check(&[(2, b"b", NO), (1, b"a", NO)], moved(2), b"ab");
    check(&[(3, b"cd", NO), (1, b"abc", NO)], moved(4), b"abcd");
    check(&[(1, b"abc", NO), (2, b"bcde", NO)], moved(2), b"abcde");
    let again = [(1, b"abc" as &[u8], NO), (1, b"abc", NO)];
    check(&again, Ok(Arrival::OutOfOrder), b"abc");
    check(&[(1, b"0123456789", NO)], moved(10), b"0123456789");
}

#[test]
fn a_fin_counts_when_all_before_it_is_there() {
    let finished = Ok(Arrival::Finished);
    check(&[(1, b"", FIN)], finished, b"");
    check(&[(1, b"ab", FIN)], finished, b"ab");
    check(&[(3, b"", FIN), (1, b"ab", NO)], finished, b"ab");
    let again = [(1, b"ab" as &[u8], FIN), (3, b"", FIN)];
    check(&again, Ok(Arrival::OutOfOrder), b"ab");
    let after = [(1, b"ab" as &[u8], FIN), (4, b"", NO)];
    check(&after, Ok(Arrival::Nothing), b"ab");
    let alive = [(1, b"ab" as &[u8], FIN), (3, b"\0", NO)];
    check(&alive, Ok(Arrival::OutOfOrder), b"ab");
}

#[test]
fn what_takes_no_place_is_not_answered_unless_it_is_old() {
    check(&[(1, b"", NO)], Ok(Arrival::Nothing), b"");
    check(&[(4, b"", NO)], Ok(Arrival::Nothing), b"");
    check(&[(0, b"", NO)], Ok(Arrival::OutOfOrder), b"");
    let alive = [(1, b"ab" as &[u8], NO), (2, b"\0", NO)];
    check(&alive, Ok(Arrival::OutOfOrder), b"ab");
}

#[test]
fn a_byte_never_changes() {
    let changed = |at, was, is| Err(Violation::Changed { at, was, is });
    let steps = [(1, b"abc" as &[u8], NO), (1, b"abx", NO)];
    check(&steps, changed(3, b'c', b'x'), b"abc");
    let steps = [(3, b"cd" as &[u8], NO), (2, b"bx", NO)];
    check(&steps, changed(3, b'c', b'x'), b"");
}

#[test]
fn a_window_is_not_passed() {
    let beyond = |end| Err(Violation::BeyondWindow { end, edge: 11 });
    check(&[(1, b"0123456789a", NO)], beyond(12), b"");
    check(&[(11, b"ab", NO)], beyond(13), b"");
    // The window is not closed, so this is no probe.
    check(&[(11, b"a", NO)], beyond(12), b"");
    check(&[(14, b"", NO)], beyond(14), b"");
    let full = (1, b"0123456789" as &[u8], NO);
    let probe = Ok(Arrival::OutOfOrder);
    check(&[full, (11, b"a", NO)], probe, b"0123456789");
    check(&[full, (11, b"", FIN)], Ok(Arrival::Finished), full.1);
}

#[test]
fn a_stream_has_one_beginning_and_one_end() {
    let before = Err(Violation::BeforeStart { at: 0 });
    check(&[(0, b"ab", NO)], before, b"");
    let fin = (3, b"" as &[u8], FIN);
    check(
        &[fin, (4, b"", FIN)],
        Err(Violation::FinMoved { was: 3, is: 4 }),
        b"",
    );
    let beyond = Err(Violation::BeyondFin { end: 4, fin: 3 });
    check(&[fin, (2, b"bc", NO)], beyond, b"");
    check(&[(2, b"bc", NO), fin], beyond, b"");
    check(&[(1, b"abc", NO), fin], beyond, b"abc");
}

#[test]
fn the_window_moves_by_steps_and_never_back() {
    let mut behaviour = Behaviour::on_link(1500);
    behaviour.window_max = 10;
    let mut inbound = Inbound::new(INITIAL, 10);
    let mut check = |behaviour: &Behaviour, data: &[u8], expected: u16| {
        let at = inbound.expected();
        let accepted = inbound.accept(&segment(at, data, NO));
        assert!(accepted.is_ok());
        assert_eq!(inbound.advertise(behaviour, 0), expected);
    };
    check(&behaviour, b"", 10);
    check(&behaviour, b"0123", 6);
    check(&behaviour, b"4", 10);
    behaviour.reads = Reads::Never;
    check(&behaviour, b"56789", 5);
    check(&behaviour, b"01234", 0);
    behaviour.reads = Reads::WhenTaken;
    check(&behaviour, b"", 0);
    behaviour.reads = Reads::Always;
    check(&behaviour, b"", 10);
    behaviour.window_max = 4;
    check(&behaviour, b"", 10);
}
