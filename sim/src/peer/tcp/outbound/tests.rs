//! What goes out against windows, losses and acknowledgements.

use super::*;

const MS: u64 = 1_000_000;

/// Open, with a window of `window` bytes.
fn open(window: u16) -> Outbound {
    let mut outbound = Outbound::new(0, 0);
    let syn = outbound.next_piece(0, 100).expect("the SYN goes first");
    assert_eq!(
        (syn.sequence, syn.flags, &syn.data[..]),
        (0, Flags::SYN, &[][..])
    );
    assert_eq!(outbound.next_piece(0, 100), None);
    outbound.open_window(window);
    outbound.open();
    outbound
}

/// Without data: the latest of the guest's segments.
fn hear(outbound: &mut Outbound, now_ns: u64, ack: i64, window_bytes: i64) {
    let news = News {
        ack,
        start: 1,
        window_bytes,
        span: 0,
    };
    assert_eq!(outbound.hear(now_ns, news), Ok(()));
}

/// All that goes out now: where, what, and whether with a FIN.
fn sent(outbound: &mut Outbound, now_ns: u64) -> Vec<(u32, String, Flags)> {
    let pieces = std::iter::from_fn(|| outbound.next_piece(now_ns, 4));
    pieces
        .map(|piece| {
            let text = String::from_utf8(piece.data).expect("tests send text");
            (piece.sequence, text, piece.flags)
        })
        .collect()
}

fn text(at: u32, text: &str, flags: Flags) -> (u32, String, Flags) {
    (at, text.to_owned(), flags)
}

const NO: Flags = Flags(0);

#[test]
fn data_and_fin_go_out_up_to_the_window() {
    let mut outbound = open(6);
    outbound.push(b"abcdefgh");
    outbound.finish();
    let expected = [text(1, "abcd", NO), text(5, "ef", NO)];
    assert_eq!(sent(&mut outbound, 0), expected);
    hear(&mut outbound, 0, 5, 4);
    let expected = [text(7, "gh", Flags::PSH)];
    assert_eq!(sent(&mut outbound, 0), expected, "no place for the FIN");
    hear(&mut outbound, 0, 7, 3);
    assert_eq!(sent(&mut outbound, 0), [text(9, "", Flags::FIN)]);
    assert!(!outbound.is_finished());
    hear(&mut outbound, 0, 10, 3);
    assert!(outbound.is_finished());
    assert_eq!(outbound.timer().deadline_ns(), None);
}

#[test]
fn a_loss_is_mended_by_the_timer_and_then_by_each_acknowledgement() {
    let mut outbound = open(100);
    outbound.push(b"abcdefghijkl");
    assert_eq!(sent(&mut outbound, 0).len(), 3);
    assert_eq!(sent(&mut outbound, 199 * MS), []);
    assert_eq!(sent(&mut outbound, 200 * MS), [text(1, "abcd", NO)]);
    hear(&mut outbound, 210 * MS, 5, 100);
    assert_eq!(sent(&mut outbound, 210 * MS), [text(5, "efgh", NO)]);
    hear(&mut outbound, 220 * MS, 13, 100);
    assert_eq!(sent(&mut outbound, 220 * MS), []);
    assert_eq!(outbound.waiting_bytes(), 0);
}

#[test]
fn three_duplicates_mend_a_loss_at_once() {
    let mut outbound = open(100);
    outbound.push(b"abcdefgh");
    assert_eq!(sent(&mut outbound, 0).len(), 2);
    for _ in 0..2 {
        hear(&mut outbound, MS, 1, 100);
        assert_eq!(sent(&mut outbound, MS), []);
    }
    hear(&mut outbound, MS, 1, 100);
    assert_eq!(sent(&mut outbound, MS), [text(1, "abcd", NO)]);
    hear(&mut outbound, MS, 1, 100);
    assert_eq!(sent(&mut outbound, MS), []);
}

#[test]
fn a_closed_window_is_probed_as_long_as_it_is_acknowledged() {
    let mut outbound = open(0);
    outbound.push(b"ab");
    assert!(outbound.is_due(4), "a probe is to be prepared");
    assert_eq!(sent(&mut outbound, 0), []);
    assert!(!outbound.is_due(4));
    let mut probes = 0;
    while probes < 100 {
        let now_ns = outbound.timer().deadline_ns().expect("it probes");
        assert!(!outbound.timer().is_hopeless(now_ns));
        assert_eq!(sent(&mut outbound, now_ns), [text(1, "a", NO)]);
        hear(&mut outbound, now_ns, 1, 0);
        probes += 1;
    }
    let now_ns = 1_000_000 * MS;
    hear(&mut outbound, now_ns, 1, 10);
    let expected = [text(1, "a", NO), text(2, "b", Flags::PSH)];
    assert_eq!(sent(&mut outbound, now_ns), expected);
}

#[test]
fn a_fin_probes_a_closed_window_too() {
    let mut outbound = open(0);
    outbound.finish();
    assert_eq!(sent(&mut outbound, 0), []);
    let expected = [text(1, "", Flags::FIN)];
    assert_eq!(sent(&mut outbound, 200 * MS), expected);
}

#[test]
fn silence_ends_hope_after_a_minute() {
    let mut outbound = open(10);
    outbound.push(b"a");
    assert_eq!(sent(&mut outbound, 0).len(), 1);
    hear(&mut outbound, 59_000 * MS, 1, 10);
    assert!(!outbound.timer().is_hopeless(59_999 * MS));
    assert!(outbound.timer().is_hopeless(60_000 * MS));
}

#[test]
fn an_acknowledgement_lies_within_what_was_sent() {
    fn check(ack: i64, expected: Result<(), Violation>) {
        let mut outbound = open(10);
        outbound.push(b"ab");
        assert_eq!(sent(&mut outbound, 0).len(), 1);
        let news = News {
            ack,
            start: 1,
            window_bytes: 10,
            span: 0,
        };
        assert_eq!(outbound.hear(0, news), expected);
    }
    check(0, Err(Violation::AckBeforeStart { ack: 0 }));
    check(1, Ok(()));
    check(3, Ok(()));
    check(4, Err(Violation::AckBeyondSent { ack: 4, sent: 3 }));
}

#[test]
fn an_old_window_is_not_believed() {
    let mut outbound = open(10);
    outbound.push(b"abcdefgh");
    assert_eq!(sent(&mut outbound, 0).len(), 2);
    hear(&mut outbound, 0, 9, 2);
    hear(&mut outbound, 0, 5, 100);
    outbound.push(b"ijklm");
    assert_eq!(sent(&mut outbound, 0), [text(9, "ij", NO)]);
}
